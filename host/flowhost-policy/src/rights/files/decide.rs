//! Whether a guest path may be read or written: one pure function on a text.
//!
//! It never repairs what was asked; a text that is no path of ours is refused by `files.path`.

use super::{Access, FileGrant, pattern};
use crate::{
    decision::{Allowed, Denied, Verdict},
    rights::list::SHOWN_MAX,
    text::{quoted, shown},
};

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
        Err(Denied {
            right: "files",
            wanted: format!("{} {}", access.word(), shown(guest_path, SHOWN_MAX)),
            rule,
            cure,
        })
    };
    if pattern::segments(guest_path).is_none() {
        return deny("files.path".to_owned(), None);
    }
    let holding = grants.iter().enumerate().filter_map(|(index, grant)| {
        pattern::below(&grant.guest, guest_path).map(|depth| (depth, index, grant))
    });
    // Of two that are equally deep the first, as everywhere in a profile.
    match holding.max_by_key(|(depth, index, _)| (*depth, std::cmp::Reverse(*index))) {
        None => deny("files#none".to_owned(), Some(lines(guest_path, access))),
        Some((_, index, grant)) if grant.access < access => deny(
            format!("files[{index}].access"),
            Some(WRITE_LINES.to_owned()),
        ),
        Some((_, index, grant)) => Ok(Allowed { index, grant }),
    }
}

/// The rule that decides, for a table of cases: `files[0]`.
pub(super) fn rule(grants: &[FileGrant], guest: &str, access: Access) -> Result<String, Denied> {
    decide_file(grants, guest, access).map(|allowed| format!("files[{}]", allowed.index))
}

const WRITE_LINES: &str = "access = \"write\"\nquota = \"10MiB\"\nentries = 1_000";

/// A `[[files]]` table for the folder that holds `guest_path`; its host folder has the same name,
/// relative to the plan.
pub(super) fn lines(guest_path: &str, access: Access) -> String {
    let first =
        pattern::segments(guest_path).and_then(|mut segments| segments.next().map(str::to_owned));
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
