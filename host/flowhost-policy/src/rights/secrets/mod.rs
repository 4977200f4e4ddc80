//! `secrets`: which secrets a plugin may know of, and which of their values it may read.
//!
//! Injection needs only the name; handing a value to the guest is a right of its own.

use super::{
    list::{Texts, one_of, same},
    part::Part,
};
use crate::{
    ask::Ask,
    canonical::Lines,
    decision::{Denied, Verdict},
    narrow::Raised,
    read::{Author, Fields, Reader, node::Node},
    rights::{Asks, Question},
    stranger::{Own, Taken},
    suggest::{Amendment, Outcome, Refusal},
    walk::Walk,
};

/// `[secrets]`. Injection needs only `names`; handing a value to the guest is `reveal`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretsGrant {
    /// Names the plugin may know of and have injected.
    pub names: Vec<String>,
    /// Names whose value the guest may read. A right of its own.
    pub reveal: Vec<String>,
}

/// The right `secrets`.
pub(crate) struct Secrets;

const NAMES: Texts = Texts {
    path: "secrets.names",
    table: "secrets",
    key: "names",
    example: "NAME",
    beside: "",
    is_name: is_secret_name,
    // No pattern: a secret is written out.
    matches: |name, wanted| name == wanted,
    overlap: same,
};
const REVEAL: Texts = Texts {
    path: "secrets.reveal",
    key: "reveal",
    ..NAMES
};

/// Whether the plugin may know of the secret `wanted` and have it injected. No pattern.
///
/// # Errors
///
/// [`Denied`](crate::Denied) with `secrets.names#none` or `secrets.names.name`.
pub fn decide_secret<'a>(grant: &'a SecretsGrant, wanted: &str) -> Verdict<'a, String> {
    NAMES.decide(&grant.names, wanted)
}

/// Whether the plugin may read the value of the secret `wanted`. Knowing its name is not enough.
///
/// # Errors
///
/// [`Denied`](crate::Denied) with `secrets.reveal#none` or `secrets.reveal.name`.
pub fn decide_reveal<'a>(grant: &'a SecretsGrant, wanted: &str) -> Verdict<'a, String> {
    REVEAL.decide(&grant.reveal, wanted).map_err(|denied| {
        // Whose value may be read must be known by name too, or the line is refused.
        let named = grant.names.iter().any(|name| name == wanted);
        let names = NAMES.line(&grant.names, wanted);
        let names = names.lines().last().filter(|_| !named).unwrap_or_default();
        let with_names = |cure: String| format!("{cure}\n{names}").trim_end().to_owned();
        let cure = denied.cure.map(with_names);
        Denied { cure, ..denied }
    })
}

/// A secret's name: letters, digits and `_`, as an environment variable has it.
pub(crate) fn is_secret_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=64).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

impl Part for Secrets {
    type Granted = SecretsGrant;
    type Asked = Ask<SecretsGrant>;

    const CAPABILITY: &'static str = "secrets";
    const LINES: &'static str = "[secrets]\nnames = [\"NAME\"]";
    const KEYS: &'static [&'static str] = &["names", "reveal"];
    const QUESTIONS: &'static [Question] = &[
        Question::new("secret", "NAME", |grants, text, _| {
            NAMES.rule(&grants.secrets.names, text)
        }),
        Question::new("reveal", "NAME", |grants, text, _| {
            REVEAL.rule(&grants.secrets.reveal, text)
        }),
    ];

    fn read(reader: &mut Reader, fields: &Fields<'_>) -> SecretsGrant {
        reader.table(fields, "secrets", table).unwrap_or_default()
    }

    fn ask(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<SecretsGrant> {
        reader.asked(fields, "secrets", author, table)
    }

    fn passed_on(granted: &SecretsGrant) -> Ask<SecretsGrant> {
        Ask::Only(granted.clone())
    }

    fn holds(granted: &SecretsGrant) -> bool {
        !granted.names.is_empty()
    }

    fn narrow(
        walk: &mut Walk<'_>,
        granted: &SecretsGrant,
        pick: fn(&Asks) -> &Ask<SecretsGrant>,
    ) -> SecretsGrant {
        SecretsGrant {
            names: NAMES.narrow(walk, &granted.names, pick, |secrets| &secrets.names),
            reveal: REVEAL.narrow(walk, &granted.reveal, pick, |secrets| &secrets.reveal),
        }
    }

    fn raises(raised: &mut Raised<'_>, asked: &Ask<SecretsGrant>, granted: &SecretsGrant) {
        if let Ask::Only(secrets) = asked {
            NAMES.raises(raised, &secrets.names, &granted.names);
            REVEAL.raises(raised, &secrets.reveal, &granted.reveal);
        }
    }

    fn write(lines: &mut Lines, granted: &SecretsGrant) {
        NAMES.write(lines, &granted.names);
        REVEAL.write(lines, &granted.reveal);
    }

    /// All of it is the operator's.
    fn lend(granted: &mut SecretsGrant, taken: &mut Taken<'_>) {
        let SecretsGrant { names, reveal } = std::mem::take(granted);
        for (list, names) in [(NAMES, names), (REVEAL, reveal)] {
            for (index, name) in names.iter().enumerate() {
                taken.push(Own::Secret, format!("{}[{index}]", list.path), name);
            }
        }
    }

    fn amend(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Outcome {
        let revealed = REVEAL.add(amendment, refusal);
        if revealed.is_some() {
            // Whose value may be read must be known by name too.
            return Outcome::written(amendment.push("secrets", "names", refusal.wanted));
        }
        NAMES.amend(amendment, refusal)
    }

    fn allows(granted: &SecretsGrant, _plugin: &str, refusal: &Refusal<'_>) -> bool {
        NAMES.allows(&granted.names, refusal) || REVEAL.allows(&granted.reveal, refusal)
    }
}

/// Reads the table; whose value may be read must be known by name too.
fn table(reader: &mut Reader, node: &Node, path: &str) -> Option<SecretsGrant> {
    let fields = reader.fields(node, path, Secrets::KEYS)?;
    let check = one_of(
        is_secret_name,
        "a secret is written out: letters, digits and `_`, no pattern",
    );
    let names = reader.texts(&fields, "names", &check);
    let reveal = reader.texts(&fields, "reveal", &check);
    for name in reveal.iter().filter(|name| !names.contains(name)) {
        let at = fields.get("reveal").map_or(fields.at, |node| node.at);
        let message = format!("`{path}.reveal` names `{name}`, which `{path}.names` does not");
        reader.problem(at, message, Some(format!("add `{name}` to `{path}.names`")));
    }
    Some(SecretsGrant { names, reveal })
}
