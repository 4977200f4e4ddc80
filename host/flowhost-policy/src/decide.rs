//! Every decision that is not about the network: one pure function for each right.
//!
//! A function here takes the grant and what was asked, and names the rule that decided. It never
//! repairs what was asked; a text that is not a plain name of its kind is refused by the rule
//! `<right>.name`. An empty list allows nothing.

use crate::{
    decision::{Allowed, Denied, Verdict},
    grant::{Access, FileGrant, MessagesGrant, ModelGrant, SecretsGrant, StateGrant, ToolsGrant},
    pattern::{self, model, path, tool, topic},
    text::{quoted, shown},
};

/// Longest name that a denial repeats, in characters.
const SHOWN_MAX: usize = 256;

/// Which way a message goes, seen from the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The plugin sends it.
    Publish,
    /// It reaches the plugin's mailbox.
    Subscribe,
}

/// Whether `guest_path` may be read or written: the grant with the longest guest path decides.
///
/// # Errors
///
/// [`Denied`]: `files.path` for a path that is relative, climbs or holds a backslash, `files#none`
/// when no grant holds it, `files[i].access` when that grant is read-only.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{Access, FileGrant, decide_file};
///
/// let docs = FileGrant {
///     guest: "/docs".into(),
///     host: "docs".into(),
///     access: Access::Read,
///     quota_bytes: 0,
///     quota_entries: 0,
/// };
/// assert!(decide_file(&[docs.clone()], "/docs/a.md", Access::Read).is_ok());
/// let denied = decide_file(&[docs], "/docs/a.md", Access::Write).unwrap_err();
/// assert_eq!(denied.rule, "files[0].access");
/// ```
pub fn decide_file<'a>(
    grants: &'a [FileGrant],
    guest_path: &str,
    access: Access,
) -> Verdict<'a, FileGrant> {
    let deny = |rule: String, cure| {
        let verb = if access == Access::Write {
            "write"
        } else {
            "read"
        };
        Err(Denied {
            right: "files",
            wanted: format!("{verb} {}", shown(guest_path, SHOWN_MAX)),
            rule,
            cure,
        })
    };
    if path::segments(guest_path).is_none() {
        return deny("files.path".to_owned(), None);
    }
    let holding = grants.iter().enumerate().filter_map(|(index, grant)| {
        path::below(&grant.guest, guest_path).map(|depth| (depth, index, grant))
    });
    match holding.max_by_key(|(depth, index, _)| (*depth, std::cmp::Reverse(*index))) {
        None => deny(
            "files#none".to_owned(),
            Some(file_lines(guest_path, access)),
        ),
        Some((_, index, grant)) if grant.access < access => deny(
            format!("files[{index}].access"),
            Some(WRITE_LINES.to_owned()),
        ),
        Some((_, index, grant)) => Ok(Allowed { index, grant }),
    }
}

const WRITE_LINES: &str = "access = \"write\"\nquota = \"10MiB\"\nentries = 1_000";

/// A `[[files]]` table for the folder that holds `guest_path`; its host folder has the same name,
/// relative to the plan.
pub(crate) fn file_lines(guest_path: &str, access: Access) -> String {
    let first =
        path::segments(guest_path).and_then(|mut segments| segments.next().map(str::to_owned));
    let folder = first.unwrap_or_else(|| "files".to_owned());
    let guest = quoted(&format!("/{folder}"));
    let access = if access == Access::Write {
        WRITE_LINES
    } else {
        "access = \"read\""
    };
    format!(
        "[[files]]\nguest = {guest}\nhost = {}\n{access}",
        quoted(&folder)
    )
}

/// Whether the plugin may call `wanted`, written `plugin/tool`.
///
/// # Errors
///
/// [`Denied`] with `tools.call#none`, or `tools.call.name` when it is not a tool's name.
pub fn decide_tool<'a>(grant: &'a ToolsGrant, wanted: &str) -> Verdict<'a, String> {
    let right = List {
        right: "tools.call",
        table: "tools",
        key: "call",
    };
    right.decide(&grant.call, wanted, names(wanted), tool::matches)
}

/// Whether the plugin may ask `wanted`, written `provider/name`. What it may spend is the budget's.
///
/// # Errors
///
/// [`Denied`] with `model.allow#none`, or `model.allow.name` when it is not a model's name.
pub fn decide_model<'a>(grant: &'a ModelGrant, wanted: &str) -> Verdict<'a, String> {
    let right = List {
        right: "model.allow",
        table: "model",
        key: "allow",
    };
    right.decide(
        &grant.allow,
        wanted,
        wanted.contains('/') && names(wanted),
        model::matches,
    )
}

/// Whether the plugin may send to, or receive from, `wanted`: a topic without wildcards.
///
/// # Errors
///
/// [`Denied`] with `messages.publish#none` or `messages.subscribe#none`, or `….name` when it is not
/// a topic.
pub fn decide_topic<'a>(
    grant: &'a MessagesGrant,
    direction: Direction,
    wanted: &str,
) -> Verdict<'a, String> {
    let (right, key, list) = match direction {
        Direction::Publish => ("messages.publish", "publish", &grant.publish),
        Direction::Subscribe => ("messages.subscribe", "subscribe", &grant.subscribe),
    };
    let right = List {
        right,
        table: "messages",
        key,
    };
    right.decide(list, wanted, topic::is_topic(wanted), topic::matches)
}

/// Whether the plugin may open the state namespace `wanted`. No pattern: a namespace is written out.
///
/// # Errors
///
/// [`Denied`] with `state.namespaces#none` or `state.namespaces.name`.
pub fn decide_state<'a>(grant: &'a StateGrant, wanted: &str) -> Verdict<'a, String> {
    let right = List {
        right: "state.namespaces",
        table: "state",
        key: "namespaces",
    };
    right.decide(&grant.namespaces, wanted, is_plain_name(wanted), |a, b| {
        a == b
    })
}

/// Whether the plugin may know of the secret `wanted` and have it injected. No pattern.
///
/// # Errors
///
/// [`Denied`] with `secrets.names#none` or `secrets.names.name`.
pub fn decide_secret<'a>(grant: &'a SecretsGrant, wanted: &str) -> Verdict<'a, String> {
    let right = List {
        right: "secrets.names",
        table: "secrets",
        key: "names",
    };
    right.decide(&grant.names, wanted, is_secret_name(wanted), |a, b| a == b)
}

/// Whether the plugin may read the value of the secret `wanted`. Knowing its name is not enough.
///
/// # Errors
///
/// [`Denied`] with `secrets.reveal#none` or `secrets.reveal.name`.
pub fn decide_reveal<'a>(grant: &'a SecretsGrant, wanted: &str) -> Verdict<'a, String> {
    let right = List {
        right: "secrets.reveal",
        table: "secrets",
        key: "reveal",
    };
    right.decide(&grant.reveal, wanted, is_secret_name(wanted), |a, b| a == b)
}

/// A right that is a list of texts in the profile.
struct List {
    right: &'static str,
    table: &'static str,
    key: &'static str,
}

impl List {
    fn decide<'a>(
        &self,
        list: &'a [String],
        wanted: &str,
        well_formed: bool,
        matches: fn(&str, &str) -> bool,
    ) -> Verdict<'a, String> {
        if !well_formed {
            return Err(self.deny("name", '.', wanted, None));
        }
        let found = list
            .iter()
            .enumerate()
            .find(|(_, pattern)| matches(pattern, wanted));
        match found {
            Some((index, grant)) => Ok(Allowed { index, grant }),
            None => Err(self.deny("none", '#', wanted, Some(self.line(list, wanted)))),
        }
    }

    fn deny(&self, why: &str, mark: char, wanted: &str, cure: Option<String>) -> Denied {
        let rule = format!("{}{mark}{why}", self.right);
        Denied {
            right: self.right,
            wanted: shown(wanted, SHOWN_MAX),
            rule,
            cure,
        }
    }

    /// The whole line as it would have to stand, with its table.
    fn line(&self, list: &[String], wanted: &str) -> String {
        let known = list.iter().map(String::as_str);
        let all: Vec<String> = known.chain([wanted]).map(quoted).collect();
        format!("[{}]\n{} = [{}]", self.table, self.key, all.join(", "))
    }
}

fn names(text: &str) -> bool {
    let segment = |part: &str| !part.is_empty() && part.chars().all(pattern::is_name_char);
    text.len() <= SHOWN_MAX && text.split('/').all(segment)
}

/// A name of one segment: a state namespace or a plugin.
pub(crate) fn is_plain_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&text.len()) && text.chars().all(plain) && !text.chars().all(|c| c == '.')
}

/// A secret's name: letters, digits and `_`, as an environment variable has it.
pub(crate) fn is_secret_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (1..=64).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}
