//! The effective rights of a plugin, for `--dry-run` and `policy explain`.

use std::fmt::Write as _;

use flowhost::project::Member;
use flowhost_policy::Outcome;
use serde_json::{Value, json};

/// One plugin's rights and limits, with where each came from.
pub(crate) fn document(member: &Member) -> Value {
    let rights = member.trace.iter().map(|entry| {
        let outcome = match &entry.outcome {
            Outcome::Kept => json!({ "outcome": "kept" }),
            Outcome::Narrowed { by, at, to } => {
                json!({ "outcome": "narrowed", "by": by.to_string(), "at": at, "to": to })
            }
            Outcome::Removed { by, at } => {
                json!({ "outcome": "removed", "by": by.to_string(), "at": at })
            }
            Outcome::Missing { cure } => json!({ "outcome": "missing", "cure": cure }),
        };
        json!({ "right": entry.right, "value": entry.value, "source": entry.source, "result": outcome })
    });
    json!({
        "kind": member.inspection.role.as_str(),
        "source": member.decl.source,
        "component": &*member.inspection.digest,
        "profile": member.profile.name,
        "profile_file": member.profile.file,
        "profile_hash": member.effective.hash,
        "folders": folders(member),
        "rights": rights.collect::<Vec<_>>(),
    })
}

fn folders(member: &Member) -> Vec<String> {
    let files = member.effective.grants.files.iter();
    files
        .map(|grant| format!("{} = {}", grant.guest, grant.host))
        .collect()
}

/// The same for a person.
pub(crate) fn text(key: &str, member: &Member) -> String {
    let mut text = format!(
        "\n{key}: {} {} under `{}` ({})\n",
        member.inspection.role, member.decl.source, member.profile.name, member.profile.file
    );
    let _infallible = writeln!(text, "  component {}", member.inspection.digest);
    let _infallible = writeln!(text, "  rights    {}", member.effective.hash);
    for entry in &member.trace {
        let _infallible = writeln!(text, "  {entry}");
    }
    for folder in folders(member) {
        let _infallible = writeln!(text, "  folder {folder}");
    }
    text
}
