//! `[[files]]` in a profile, a manifest and a plan.
//!
//! Which host folder stands behind a guest path is the operator's: a manifest cannot say it.

use super::{ACCESS_WORDS, Access, FileAsk, FileGrant, Files, pattern};
use crate::{
    ask::Ask,
    read::{Author, Fields, Reader, node::Node},
    rights::part::Part,
    text,
    unit::Unit,
};

/// Most bytes below one writable folder: a terabyte, more than any folder a run should fill.
const QUOTA_BYTES_MAX: u64 = 1 << 40;
/// Most entries below one writable folder, and the most that its opener counts: a run waits for the count, and
/// a million entries take seconds. With a quota above it one run could fill a folder that the next one refuses.
pub const FOLDER_ENTRIES_MAX: u64 = 1_000_000;

pub(super) fn grants(reader: &mut Reader, fields: &Fields<'_>) -> Vec<FileGrant> {
    let grants = reader.tables(fields, "files", file_grant);
    let guests: Vec<&str> = grants.iter().map(|grant| grant.guest.as_str()).collect();
    check_apart(reader, fields, &guests);
    grants
}

pub(super) fn asks(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<Vec<FileAsk>> {
    let asked = reader.asked_tables(fields, "files", author, |reader, node, path| {
        file_ask(reader, node, path, author)
    });
    if let Ask::Only(folders) = &asked {
        let guests: Vec<&str> = folders.iter().map(|file| file.guest.as_str()).collect();
        check_apart(reader, fields, &guests);
    }
    asked
}

/// Reports guest paths that are the same or nested. A nested one would hide a part of the other,
/// and taking it away would then show what was hidden: narrowing would widen.
fn check_apart(reader: &mut Reader, fields: &Fields<'_>, guests: &[&str]) {
    let at = fields.get("files").map_or(fields.at, |node| node.at);
    for (index, guest) in guests.iter().enumerate() {
        let nested = |other: &&&str| {
            pattern::below(other, guest).is_some() || pattern::below(guest, other).is_some()
        };
        let Some(other) = guests.iter().take(index).find(nested) else {
            continue;
        };
        let message = if guest == other {
            format!("two `files` tables have the guest path `{guest}`")
        } else {
            format!("the guest paths `{other}` and `{guest}` lie in one another")
        };
        let cure = "give them guest paths side by side, such as `/docs` and `/out`".to_owned();
        reader.problem(at, message, Some(cure));
    }
}

fn file_grant(reader: &mut Reader, node: &Node, path: &str) -> Option<FileGrant> {
    let fields = reader.fields(node, path, Files::KEYS)?;
    let guest = guest_path(reader, &fields);
    let host = host_folder(reader, &fields);
    reader.required(&fields, "access", "\"read\"");
    let access = reader.word(&fields, "access", &ACCESS_WORDS);
    let (quota_bytes, quota_entries) = quota(reader, &fields, access);
    Some(FileGrant {
        guest: guest?,
        host: host?,
        access: access?,
        quota_bytes,
        quota_entries,
    })
}

fn file_ask(reader: &mut Reader, node: &Node, path: &str, author: Author) -> Option<FileAsk> {
    let known: &[&str] = match author {
        Author::Manifest => &["guest", "access"],
        Author::Plan => Files::KEYS,
    };
    let fields = reader.fields(node, path, known)?;
    let guest = guest_path(reader, &fields);
    if author == Author::Manifest {
        reader.required(&fields, "access", "\"read\"");
    }
    let access = reader
        .word(&fields, "access", &ACCESS_WORDS)
        .unwrap_or(Access::Write);
    let host = host(reader, &fields);
    let mut cap = |key, unit, most| {
        reader
            .quantity(&fields, key, unit, (1, most))
            .unwrap_or(most)
    };
    Some(FileAsk {
        quota_bytes: cap("quota", Unit::Bytes, QUOTA_BYTES_MAX),
        quota_entries: cap("entries", Unit::Count, FOLDER_ENTRIES_MAX),
        guest: guest?,
        host,
        access,
    })
}

fn guest_path(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "guest", "\"/docs\"")?;
    let guest = reader.text(fields, "guest")?;
    if pattern::is_canonical(&guest) {
        return Some(guest);
    }
    let message = format!(
        "`{}` is not an absolute path in normal form",
        fields.path_of("guest")
    );
    reader.problem(node.at, message, Some("write it like `/docs`".to_owned()));
    None
}

fn host_folder(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "host", "\"docs\"")?;
    let host = reader.text(fields, "host")?;
    match host_fault(&host) {
        None => Some(normal_host(&host)),
        Some(fault) => {
            let shown = text::shown(&host, 128);
            let cure = "name a folder relative to the plan, such as `docs`".to_owned();
            reader.problem(
                node.at,
                format!("`{}` is `{shown}`: {fault}", fields.path_of("host")),
                Some(cure),
            );
            None
        }
    }
}

fn host(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get("host")?;
    let host = reader.text(fields, "host")?;
    if let Some(fault) = host_fault(&host) {
        reader.problem(
            node.at,
            format!("`{}`: {fault}", fields.path_of("host")),
            None,
        );
    }
    Some(normal_host(&host))
}

/// What is wrong with a host folder as far as its text can tell; links are the opener's business.
fn host_fault(host: &str) -> Option<&'static str> {
    if host.is_empty() || host.len() > 1024 {
        return Some("not a folder");
    }
    if text::first_hidden(host).is_some() || host.contains('\\') {
        return Some("it holds a backslash or a character that cannot be seen");
    }
    if host.split('/').any(|segment| segment == "..") {
        return Some("it climbs with `..`");
    }
    if host_input(host).is_some() {
        return None;
    }
    if host.contains("${inputs.") {
        return Some(
            "`${inputs.NAME}` is the whole of it: nothing stands beside it, and a folder below is an \
             input of its own",
        );
    }
    if host.starts_with('~') || host.contains('$') {
        return Some("the home directory and variables are not expanded");
    }
    if !host.starts_with('/') {
        return None;
    }
    let first = host
        .split('/')
        .find(|segment| !matches!(*segment, "" | "."));
    match first {
        None => Some("the root of the machine is never granted"),
        Some("proc" | "sys" | "dev") => Some("kernel and device files are never granted"),
        // By its text alone, because a profile is judged before there is a machine to look at. What
        // a link leads to is compared by device and inode when the folder is opened.
        Some("etc" | "root" | "boot" | "run") => Some("system folders are never granted"),
        Some(_) => None,
    }
}

/// The input that a host folder names: `folder` for `${inputs.folder}`, which is the whole of it.
/// The one who starts the run says which folder that is; no text of a plan or a guest gets there.
///
/// # Examples
///
/// ```
/// assert_eq!(flowhost_policy::host_input("${inputs.folder}"), Some("folder"));
/// assert_eq!(flowhost_policy::host_input("${inputs.folder}/.."), None);
/// ```
#[must_use]
pub fn host_input(host: &str) -> Option<&str> {
    let name = host.strip_prefix("${inputs.")?.strip_suffix('}')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// `./docs//a/` as `docs/a`; the plan's own folder is `.`.
fn normal_host(host: &str) -> String {
    let parts: Vec<&str> = host
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    match (host.starts_with('/'), parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn quota(reader: &mut Reader, fields: &Fields<'_>, access: Option<Access>) -> (u64, u64) {
    if access == Some(Access::Write) {
        reader.required(fields, "quota", "\"10MiB\"");
        reader.required(fields, "entries", "1_000");
    } else {
        for key in ["quota", "entries"] {
            if let (Some(node), Some(Access::Read)) = (fields.get(key), access) {
                let message = format!("`{}` has no meaning for read access", fields.path_of(key));
                reader.problem(node.at, message, Some("remove it".to_owned()));
            }
        }
    }
    let bytes = reader.quantity(fields, "quota", Unit::Bytes, (1, QUOTA_BYTES_MAX));
    let entries = reader.quantity(fields, "entries", Unit::Count, (1, FOLDER_ENTRIES_MAX));
    (bytes.unwrap_or_default(), entries.unwrap_or_default())
}
