//! `state`: which namespaces a plugin may open, and how much one of them holds.

use super::{
    list::{Texts, one_of, same},
    part::Part,
};
use crate::{
    ask::Ask,
    canonical::Lines,
    decision::Verdict,
    narrow::Raised,
    pattern::is_plain_name,
    read::{Author, Fields, Reader, node::Node},
    rights::{Asks, Question},
    suggest::{Amendment, Outcome, Refusal},
    unit::Unit,
    walk::Walk,
};

/// `[state]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateGrant {
    /// Namespaces the plugin may open.
    pub namespaces: Vec<String>,
    /// Bytes of keys and values in one namespace.
    pub bytes: u64,
}

/// The right `state`.
pub(crate) struct State;

/// Most bytes in one namespace: a namespace is read whole when a run opens it.
const BYTES_MAX: u64 = 1 << 30;
/// Bytes in one namespace where a profile says nothing. Notes and cursors fit; whoever keeps documents says how
/// much they are.
const BYTES: u64 = 1 << 20;

const NAMESPACES: Texts = Texts {
    path: "state.namespaces",
    table: "state",
    key: "namespaces",
    example: "notes",
    beside: "",
    is_name: is_plain_name,
    // No pattern: a namespace is written out.
    matches: |namespace, wanted| namespace == wanted,
    overlap: same,
};

/// Whether the plugin may open the state namespace `wanted`. No pattern: a namespace is written out.
///
/// # Errors
///
/// [`Denied`](crate::Denied) with `state.namespaces#none` or `state.namespaces.name`.
pub fn decide_state<'a>(grant: &'a StateGrant, wanted: &str) -> Verdict<'a, String> {
    NAMESPACES.decide(&grant.namespaces, wanted)
}

impl Part for State {
    type Granted = StateGrant;
    type Asked = Ask<StateGrant>;

    const CAPABILITY: &'static str = "state";
    const LINES: &'static str = "[state]\nnamespaces = [\"notes\"]";
    const KEYS: &'static [&'static str] = &["namespaces", "bytes"];
    const QUESTIONS: &'static [Question] = &[Question::new("state", "notes", |grants, text, _| {
        NAMESPACES.rule(&grants.state.namespaces, text)
    })];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> StateGrant {
        let read = |reader: &mut Reader, node: &Node, path: &str| table(reader, node, path, BYTES);
        reader.table(fields, "state", read).unwrap_or_default()
    }

    /// Missing bytes are the ceiling: what is not named does not lower anything.
    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<StateGrant> {
        reader.asked(fields, "state", author, |reader, node, path| {
            table(reader, node, path, BYTES_MAX)
        })
    }

    fn passed_on(granted: &StateGrant) -> Ask<StateGrant> {
        Ask::Only(granted.clone())
    }

    fn holds(granted: &StateGrant) -> bool {
        !granted.namespaces.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &StateGrant,
        pick: fn(&Asks) -> &Ask<StateGrant>,
    ) -> StateGrant {
        let namespaces = NAMESPACES.narrow(walk, &granted.namespaces, pick, |it| &it.namespaces);
        let empty = namespaces.is_empty();
        let asked = |asks: &Asks| pick(asks).only().map(|state| state.bytes);
        let bytes = walk.amount("state.bytes", Unit::Bytes, granted.bytes, empty, asked);
        StateGrant { namespaces, bytes }
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<StateGrant>, granted: &StateGrant) {
        if let Ask::Only(state) = asked {
            NAMESPACES.raises(raised, &state.namespaces, &granted.namespaces);
            let bytes = (state.bytes, granted.bytes);
            raised.amount("state.bytes", Unit::Bytes, bytes, BYTES_MAX);
        }
    }

    fn write(lines: &mut Lines, granted: &StateGrant) {
        NAMESPACES.write(lines, &granted.namespaces);
        lines.number("state.bytes", granted.bytes);
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        NAMESPACES.amend(amendment, refusal)
    }

    fn allows(granted: &StateGrant, _plugin: &str, refusal: &Refusal<'_>) -> bool {
        NAMESPACES.allows(&granted.namespaces, refusal)
    }
}

/// Reads the table, with what stands for missing `bytes`.
fn table(reader: &mut Reader, node: &Node, path: &str, usual: u64) -> Option<StateGrant> {
    let fields = reader.fields(node, path, State::KEYS)?;
    let rule = "a namespace is a plain name of at most 64 letters, digits, `-`, `_` and `.`";
    let namespaces = reader.texts(&fields, "namespaces", one_of(is_plain_name, rule));
    let bytes = reader
        .quantity(&fields, "bytes", Unit::Bytes, (1, BYTES_MAX))
        .unwrap_or(usual);
    Some(StateGrant { namespaces, bytes })
}
