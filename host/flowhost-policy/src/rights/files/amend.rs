//! A refused path, written into a profile's text.

use toml_edit::{Table, TableLike, Value};

use super::{Access, pattern};
use crate::suggest::{Amendment, Refusal, literal, set, text, text_of};

/// What a writable folder gets first: enough to try, too little to fill a disk.
const QUOTA: [(&str, &str); 2] = [("quota", "\"10MiB\""), ("entries", "1_000")];

/// The access and the path that a refusal names.
pub(super) fn asked<'a>(refusal: &Refusal<'a>) -> Option<(Access, &'a str)> {
    let (verb, guest) = refusal.wanted.split_once(' ')?;
    let access = if verb == Access::Write.word() {
        Access::Write
    } else {
        Access::Read
    };
    Some((access, guest))
}

/// Raises the table that holds the path, or adds one for the highest folder that holds no other's.
pub(super) fn folder(amendment: &mut Amendment, refusal: &Refusal<'_>) -> Option<()> {
    let curable = refusal.rule.ends_with("#none") || refusal.rule.ends_with(".access");
    curable.then_some(())?;
    let (access, guest) = asked(refusal)?;
    let wanted: Vec<&str> = pattern::segments(guest)?.collect();
    let mut tables = amendment.tables("files")?;
    let (mut holding, mut below) = (None, 1);
    for (index, table) in tables.iter().enumerate() {
        let Some(theirs) = text_of(table, "guest") else {
            continue;
        };
        if let Some(depth) = pattern::below(theirs, guest) {
            holding = holding.max(Some((depth, index)));
        }
        let mut segments = pattern::segments(theirs)?;
        let shared = wanted.iter().take_while(|it| segments.next() == Some(it));
        below = below.max(shared.count() + 1);
    }
    if let Some((_, index)) = holding {
        return raise(tables.get_mut(index)?, access);
    }
    let folder = wanted.get(..below)?.join("/");
    let mut table = Table::new();
    table.insert("guest", text(&format!("/{folder}")));
    table.insert("host", text(&folder));
    table.insert("access", text("read"));
    raise(&mut table, access)?;
    tables.push(table)
}

fn raise(table: &mut dyn TableLike, access: Access) -> Option<()> {
    if access == Access::Read {
        return Some(());
    }
    set(table, "access", Value::from("write"));
    for (key, value) in QUOTA {
        if !table.contains_key(key) {
            table.insert(key, literal(value)?);
        }
    }
    Some(())
}
