//! Tool calls of one answer, put together from pieces whose server leaves out, repeats or changes what
//! tells them apart.
//!
//! By the reference each piece has the index of its call, and the first one has id and name. Servers give
//! every call the index 0, a new index or a new id to every piece, the name in every piece, or none of
//! them. What decides, in this order: an id that is known, an index that is known, the call before; and
//! a name begins a call where the one before it is whole already. Bounded in number and in names; the
//! text is bounded by `gather.rs`.

use std::collections::BTreeSet;

use crate::{fault::Fault, prompt::ToolCall};

use super::{balance::Balance, gather::cut, tool_names::ToolNames};

/// Tool calls of one answer. Each becomes a call of a plugin, and an answer of calls alone is a model that has
/// lost its way.
const CALLS_MAX: usize = 128;
/// Characters of a name or an id. They are looked up, recorded and sent back with each later turn.
pub(super) const NAME_CHARS_MAX: usize = 256;

/// What a server sends of a call at once; blank is missing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) arguments: &'a str,
}

#[derive(Debug)]
struct Growing {
    call: ToolCall,
    /// The server's index, if it gave one.
    index: Option<u64>,
    balance: Balance,
}

impl Growing {
    /// Whether the arguments have ended.
    fn is_whole(&self) -> bool {
        self.balance.is_whole()
    }
}

#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Growing>);

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a call, and no call's arguments have begun without ending.
    pub(super) fn are_whole(&self) -> bool {
        // No arguments at all are those of a tool that takes none.
        let done = |it: &Growing| it.is_whole() || it.call.arguments.trim().is_empty();
        !self.0.is_empty() && self.0.iter().all(done)
    }

    /// Begins a call whatever came before; returns its place.
    pub(super) fn begin(&mut self, piece: Piece<'_>, names: &ToolNames) -> Result<usize, Fault> {
        let at = self.0.len();
        if at >= CALLS_MAX {
            return Err(cut(&format!("asked for more than {CALLS_MAX} tool calls")));
        }
        self.0.push(Growing {
            call: ToolCall {
                id: String::new(),
                name: String::new(),
                arguments: String::new(),
            },
            index: piece.index,
            balance: Balance::default(),
        });
        self.extend(at, piece, names)?;
        Ok(at)
    }

    /// Adds a piece to the call that it belongs to; returns that call's place.
    pub(super) fn add(&mut self, piece: Piece<'_>, names: &ToolNames) -> Result<usize, Fault> {
        match self.place(&piece) {
            Some(at) => {
                self.extend(at, piece, names)?;
                Ok(at)
            }
            None => self.begin(piece, names),
        }
    }

    /// Which call a piece goes on with; none when it begins one.
    fn place(&self, piece: &Piece<'_>) -> Option<usize> {
        let by_index = piece
            .index
            // From the end: a server that gives every call the index 0 means its latest.
            .and_then(|index| self.0.iter().rposition(|it| it.index == Some(index)));
        let known_id = match piece.id {
            "" => None,
            id => self.0.iter().rposition(|it| it.call.id == id),
        };
        let last = self.0.len().checked_sub(1)?;
        let at = known_id.or(by_index);
        // Without a name a piece only ever goes on.
        if piece.name.is_empty() {
            return Some(at.unwrap_or(last));
        }
        match at {
            Some(at) if self.begins(at, piece, known_id.is_some()) => None,
            Some(at) => Some(at),
            // A new id or index with a name is what the reference calls a new call. Without an id it
            // may be a server that counts pieces: its call is not whole yet.
            None if piece.id.is_empty() && self.is_open(last, piece.name) => Some(last),
            None => None,
        }
    }

    fn is_open(&self, at: usize, name: &str) -> bool {
        self.0
            .get(at)
            .is_some_and(|it| it.call.name == name && !it.is_whole())
    }

    /// Whether a piece with a name begins another call than the one at `at`, which has its id or index.
    fn begins(&self, at: usize, piece: &Piece<'_>, same_id: bool) -> bool {
        let Some(before) = self.0.get(at) else {
            return true;
        };
        if !before.is_whole() {
            return false;
        }
        let same_name = before.call.name == piece.name;
        let repeated = same_name
            && (piece.arguments.trim().is_empty()
                || same_id && piece.arguments == before.call.arguments);
        // Whole already: another id of the same index, another name, or arguments anew.
        let other_id = !same_id && !piece.id.is_empty() && !before.call.id.is_empty();
        other_id || !repeated
    }

    fn extend(&mut self, at: usize, piece: Piece<'_>, names: &ToolNames) -> Result<(), Fault> {
        let Some(growing) = self.0.get_mut(at) else {
            debug_assert!(false, "a place is that of a call");
            return Ok(());
        };
        if growing.call.id.is_empty() {
            growing.call.id.push_str(piece.id);
        }
        named(&mut growing.call, piece.name, names);
        // The same whole arguments once more are a repetition.
        if !(growing.is_whole() && growing.call.arguments == piece.arguments) {
            growing.call.arguments.push_str(piece.arguments);
            growing.balance.push(piece.arguments);
        }
        let long = |text: &str| text.chars().count() > NAME_CHARS_MAX;
        if long(&growing.call.id) || long(&growing.call.name) {
            let what = format!("gave a tool call a name or id above {NAME_CHARS_MAX} characters");
            return Err(cut(&what));
        }
        Ok(())
    }

    /// Takes the first call of that name out of the answer.
    pub(super) fn take(&mut self, name: &str) -> Option<ToolCall> {
        let at = self.0.iter().position(|it| it.call.name == name)?;
        Some(self.0.remove(at).call)
    }

    /// The calls under the caller's names, each with an id of its own and with arguments. Tells which
    /// ids are the server's.
    pub(super) fn finished(self, names: &ToolNames) -> Vec<(ToolCall, bool)> {
        let mut seen = BTreeSet::new();
        let finished = |(number, growing): (usize, Growing)| {
            let mut call = growing.call;
            call.name = names.original(&call.name).to_owned();
            let own = !call.id.is_empty() && seen.insert(call.id.clone());
            let mut id = if own {
                call.id
            } else {
                format!("call-{number}")
            };
            // A server may call one of its own `call-1`.
            while !own && !seen.insert(id.clone()) {
                id.push('_');
            }
            call.id = id;
            if call.arguments.trim().is_empty() {
                call.arguments = "{}".to_owned();
            }
            (call, own)
        };
        self.0.into_iter().enumerate().map(finished).collect()
    }
}

/// A name that is repeated stays, one that grows is replaced, and one that comes in parts is put together
/// where that makes a tool's name.
fn named(call: &mut ToolCall, name: &str, names: &ToolNames) {
    if name.is_empty() || call.name == name {
        return;
    }
    let joined = format!("{}{name}", call.name);
    if !names.knows(&call.name) && !names.knows(name) && names.starts(&joined) {
        call.name = joined;
    // Once arguments have begun, another name is a slip of the server: the first is the one that
    // they were written for.
    } else if call.arguments.trim().is_empty() || name.starts_with(&call.name) {
        call.name = name.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::prompt::{Prompt, Speaker, ToolSpec, Turn};

    use super::*;

    fn names() -> ToolNames {
        let turns = vec![Turn::new(Speaker::User, "")];
        let mut prompt = Prompt::new("a/b".parse().unwrap(), turns, 1);
        prompt.tools = ["headings", "links"]
            .map(|name| ToolSpec {
                name: name.to_owned(),
                description: String::new(),
                input_schema: json!({}),
            })
            .into();
        ToolNames::new(&prompt)
    }

    /// Index (-1 for none), id, name, arguments.
    type Told<'a> = (i64, &'a str, &'a str, &'a str);

    fn read(pieces: &[Told<'_>]) -> Vec<(String, String)> {
        let mut calls = Calls::default();
        for (index, id, name, arguments) in pieces {
            let index = u64::try_from(*index).ok();
            let piece = Piece {
                index,
                id,
                name,
                arguments,
            };
            calls.add(piece, &names()).unwrap();
        }
        let calls = calls.finished(&names()).into_iter();
        calls.map(|(it, _)| (it.name, it.arguments)).collect()
    }

    #[test]
    fn one_call_is_one_however_its_pieces_are_marked() {
        let table: [&[Told<'_>]; 14] = [
            &[
                (0, "a", "headings", ""),
                (0, "", "", "{\"x\":"),
                (0, "", "", "1}"),
            ],
            // The name in every piece, the id in every piece, neither.
            &[
                (0, "a", "headings", ""),
                (0, "a", "headings", "{\"x\":"),
                (0, "a", "headings", "1}"),
            ],
            &[
                (0, "", "headings", ""),
                (0, "", "headings", "{\"x\":"),
                (0, "", "headings", "1}"),
            ],
            &[
                (-1, "", "headings", "{\"x\":"),
                (-1, "", "", "1}"),
                (-1, "", "", ""),
            ],
            &[
                (-1, "a", "headings", "{\"x\":"),
                (-1, "a", "headings", "1}"),
            ],
            // An index that drifts, with and without the name.
            &[
                (0, "a", "headings", ""),
                (1, "", "", "{\"x\":"),
                (2, "", "", "1}"),
            ],
            &[
                (0, "", "headings", ""),
                (1, "", "headings", "{\"x\":"),
                (2, "", "headings", "1}"),
            ],
            // An id that drifts, with and without the name.
            &[
                (0, "a", "headings", ""),
                (0, "b", "", "{\"x\":"),
                (0, "c", "", "1}"),
            ],
            &[
                (0, "a", "headings", ""),
                (0, "b", "headings", "{\"x\":"),
                (0, "c", "headings", "1}"),
            ],
            // A name that comes late, in parts, or grows.
            &[(0, "a", "", ""), (0, "", "headings", "{\"x\":1}")],
            &[(0, "a", "head", ""), (0, "", "ings", "{\"x\":1}")],
            &[(0, "a", "head", ""), (0, "", "headings", "{\"x\":1}")],
            // The whole call once more at the end.
            &[
                (0, "a", "headings", "{\"x\":1}"),
                (0, "a", "headings", "{\"x\":1}"),
            ],
            &[(0, "a", "headings", "{\"x\":1}"), (0, "a", "headings", "")],
        ];
        let one = [("headings".to_owned(), "{\"x\":1}".to_owned())];
        for pieces in table {
            assert_eq!(read(pieces), one, "{pieces:?}");
        }
    }

    #[test]
    fn two_calls_are_two_however_they_are_marked() {
        let (a, b) = ("{\"x\":1}", "{\"y\":2}");
        let table: [&[Told<'_>]; 9] = [
            &[(0, "a", "headings", a), (1, "b", "links", b)],
            &[(0, "a", "headings", a), (0, "b", "links", b)],
            &[(0, "", "headings", a), (0, "", "links", b)],
            &[(-1, "", "headings", a), (-1, "", "links", b)],
            &[(0, "", "headings", a), (1, "", "links", b)],
            &[(0, "a", "headings", a), (0, "a", "links", b)],
            &[(0, "a", "headings", a), (1, "a", "links", b)],
            // Interleaved.
            &[
                (0, "a", "headings", "{\"x\""),
                (1, "b", "links", "{\"y\""),
                (0, "", "", ":1}"),
                (1, "", "", ":2}"),
            ],
            // Both names before any arguments.
            &[
                (0, "a", "headings", ""),
                (1, "b", "links", ""),
                (0, "", "", a),
                (1, "", "", b),
            ],
        ];
        let two = [
            ("headings".to_owned(), a.to_owned()),
            ("links".to_owned(), b.to_owned()),
        ];
        for pieces in table {
            assert_eq!(read(pieces), two, "{pieces:?}");
        }
        for (index, id, other) in [(0, "", ""), (-1, "", ""), (0, "a", "b"), (1, "a", "b")] {
            let pieces = [(0, id, "links", a), (index, other, "links", b)];
            assert_eq!(read(&pieces).len(), 2, "{pieces:?}");
        }
        let without_arguments = [(0, "a", "links", ""), (1, "b", "links", "")];
        assert_eq!(read(&without_arguments).len(), 2);
    }

    #[test]
    fn every_call_has_an_id_of_its_own() {
        let mut calls = Calls::default();
        for (id, name) in [("call-1", "links"), ("", "links"), ("call-1", "headings")] {
            let piece = Piece {
                id,
                name,
                arguments: "{}",
                ..Piece::default()
            };
            calls.begin(piece, &names()).unwrap();
        }
        let ids: Vec<(String, bool)> = calls
            .finished(&names())
            .into_iter()
            .map(|(call, own)| (call.id, own))
            .collect();
        let id = |id: &str, own| (id.to_owned(), own);
        assert_eq!(
            ids,
            [
                id("call-1", true),
                id("call-1_", false),
                id("call-2", false)
            ]
        );
    }

    proptest! {
        #[test]
        fn any_cutting_of_well_marked_calls_gives_the_same(
            texts in prop::collection::vec(".{0,12}", 1..4), cut in 1_usize..7,
        ) {
            let whole: Vec<String> = texts.iter().map(|it| json!({"x": it}).to_string()).collect();
            let mut calls = Calls::default();
            for (index, arguments) in (0_u64..).zip(&whole) {
                let id = format!("id{index}");
                let head = Piece { index: Some(index), id: &id, name: "links", arguments: "" };
                calls.add(head, &names()).unwrap();
                let characters: Vec<char> = arguments.chars().collect();
                for piece in characters.chunks(cut) {
                    let piece: String = piece.iter().collect();
                    let piece = Piece { index: Some(index), arguments: &piece, ..Piece::default() };
                    calls.add(piece, &names()).unwrap();
                }
            }
            prop_assert!(calls.are_whole());
            let read: Vec<String> =
                calls.finished(&names()).into_iter().map(|(it, _)| it.arguments).collect();
            prop_assert_eq!(read, whole);
        }
    }
}
