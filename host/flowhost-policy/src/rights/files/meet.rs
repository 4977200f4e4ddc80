//! What a granted folder and one that another document allows have in common.
//!
//! The result is never more than either; a property test holds it to that.

use super::{Access, FileAsk, FileGrant, pattern};

pub(super) fn meet(granted: &FileGrant, ask: &FileAsk) -> Option<FileGrant> {
    let guest = deeper(&granted.guest, &ask.guest)?;
    let ours = rebased(&granted.host, &granted.guest, guest)?;
    let host = match &ask.host {
        None => ours,
        Some(host) => {
            let theirs = rebased(host, &ask.guest, guest)?;
            deeper_host(&ours, &theirs)?.to_owned()
        }
    };
    let access = granted.access.min(ask.access);
    // Nothing is written with read access, and a quota of its own would make two hashes of one
    // right.
    let quota = |a: u64, b: u64| if access == Access::Write { a.min(b) } else { 0 };
    Some(FileGrant {
        guest: guest.to_owned(),
        host,
        access,
        quota_bytes: quota(granted.quota_bytes, ask.quota_bytes),
        quota_entries: quota(granted.quota_entries, ask.quota_entries),
    })
}

/// The deeper of two guest paths, if one lies at or below the other.
fn deeper<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    if pattern::below(a, b).is_some() {
        Some(b)
    } else {
        pattern::below(b, a).map(|_| a)
    }
}

/// The host folder behind `guest`, when `host` stands at `mount`, which is `guest` or above it.
fn rebased(host: &str, mount: &str, guest: &str) -> Option<String> {
    let depth = pattern::below(mount, guest)?;
    let rest: Vec<&str> = pattern::segments(guest)?.skip(depth).collect();
    Some(match (host, rest.is_empty()) {
        (host, true) => host.to_owned(),
        (".", false) => rest.join("/"),
        (host, false) => format!("{host}/{}", rest.join("/")),
    })
}

/// The deeper of two host folders, if one lies at or below the other. Texts only: links and the
/// plan's own folder above an absolute one are not looked through.
fn deeper_host<'a>(a: &'a str, b: &'a str) -> Option<&'a str> {
    let below = |upper: &str, lower: &str| {
        let inside = |rest: &str| rest.is_empty() || rest.starts_with('/');
        (upper == "." && !lower.starts_with('/')) || lower.strip_prefix(upper).is_some_and(inside)
    };
    if below(a, b) {
        Some(b)
    } else if below(b, a) {
        Some(a)
    } else {
        None
    }
}
