//! A profile's text as a document, and the few ways in which a refusal may change it.
//!
//! The text is edited as a document, not as lines, so that tables and lists may be written in any of
//! TOML's ways and keep theirs. It must never touch a line that no refusal needs. What a refusal of a
//! right needs, the right's folder says.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike, Value};

use super::Refusal;
use crate::rights::Right;

/// What became of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The text allows it now, or did after an earlier refusal.
    Written,
    /// The text allows it, and the command line must as well.
    Needs(&'static str),
    /// No line of a profile allows it.
    Never,
}

impl Outcome {
    /// Written, if it could be.
    pub(crate) fn written(done: Option<()>) -> Self {
        done.map_or(Self::Never, |()| Self::Written)
    }
}

/// A profile's text while it is being amended.
#[derive(Default)]
pub(crate) struct Amendment {
    document: DocumentMut,
}

impl Amendment {
    pub(super) fn of(text: &str) -> Option<Self> {
        let document = text.parse().ok()?;
        Some(Self { document })
    }

    pub(super) fn text(&self) -> String {
        self.document.to_string()
    }

    pub(super) fn add(&mut self, refusal: &Refusal<'_>) -> Outcome {
        match Right::of_path(refusal.right) {
            Some(right) => (right.steps.amend)(self, refusal),
            None => Outcome::Never,
        }
    }

    /// Whether the text has this table.
    pub(crate) fn has(&self, table: &str) -> bool {
        self.document.contains_key(table)
    }

    /// The `[[key]]` tables; none yet is an empty list of them.
    pub(crate) fn tables(&mut self, key: &str) -> Option<Tables<'_>> {
        Tables::of(&mut self.document, key)
    }

    /// One text more in a list of a table, which is made if it is not there.
    pub(crate) fn push(&mut self, table: &str, key: &str, wanted: &str) -> Option<()> {
        push(self.table(table)?, key, wanted)
    }

    /// Gives a key of a table a value, written as TOML writes it.
    pub(crate) fn set(&mut self, table: &str, key: &str, value: &str) -> Option<()> {
        self.table(table)?.insert(key, literal(value)?);
        Some(())
    }

    fn table(&mut self, table: &str) -> Option<&mut dyn TableLike> {
        let item = self.document.entry(table);
        item.or_insert_with(|| Item::Table(Table::new()))
            .as_table_like_mut()
    }
}

/// Replaces a value and keeps what stands around it: spaces and a comment.
pub(crate) fn set(table: &mut dyn TableLike, key: &str, mut value: Value) {
    match table.get_mut(key) {
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        _ => _ = table.insert(key, Item::Value(value)),
    }
}

/// One text more in a list, written as its last one is.
pub(crate) fn push(table: &mut dyn TableLike, key: &str, wanted: &str) -> Option<()> {
    let list = table.entry(key).or_insert(Item::Value(list(&[])));
    let list = list.as_array_mut()?;
    if list.iter().any(|item| item.as_str() == Some(wanted)) {
        return Some(());
    }
    let lines = list.iter().last().and_then(|item| item.decor().prefix());
    let prefix = lines.and_then(|prefix| prefix.as_str().map(str::to_owned));
    match prefix.filter(|prefix| prefix.contains('\n')) {
        // Without the comment that may stand before the last one.
        Some(prefix) => {
            let indent = prefix.rsplit('\n').next().unwrap_or_default();
            let value = Value::from(wanted).decorated(format!("\n{indent}"), "");
            list.push_formatted(value);
        }
        None => list.push(wanted),
    }
    Some(())
}

/// A text of a table.
pub(crate) fn text_of<'a>(table: &'a dyn TableLike, key: &str) -> Option<&'a str> {
    table.get(key)?.as_str()
}

/// A text as a value.
pub(crate) fn text(text: &str) -> Item {
    toml_edit::value(text)
}

/// Texts as a value.
pub(crate) fn list(items: &[&str]) -> Value {
    Value::Array(items.iter().copied().collect::<Array>())
}

/// A value as TOML writes it.
pub(crate) fn literal(text: &str) -> Option<Item> {
    text.parse::<Value>().ok().map(Item::Value)
}

/// `[[key]]` tables, or the same as a list of inline tables.
pub(crate) enum Tables<'a> {
    Blocks(&'a mut ArrayOfTables),
    Inline(&'a mut Array),
}

impl<'a> Tables<'a> {
    fn of(document: &'a mut DocumentMut, key: &str) -> Option<Self> {
        let fresh = || Item::ArrayOfTables(ArrayOfTables::new());
        match document.entry(key).or_insert_with(fresh) {
            Item::ArrayOfTables(tables) => Some(Self::Blocks(tables)),
            Item::Value(Value::Array(tables)) => Some(Self::Inline(tables)),
            _ => None,
        }
    }

    pub(crate) fn iter(&self) -> Box<dyn Iterator<Item = &dyn TableLike> + '_> {
        match self {
            Self::Blocks(tables) => Box::new(tables.iter().map(|it| it as &dyn TableLike)),
            Self::Inline(tables) => Box::new(tables.iter().filter_map(|value| {
                let table = value.as_inline_table()?;
                Some(table as &dyn TableLike)
            })),
        }
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut dyn TableLike> {
        match self {
            Self::Blocks(tables) => Some(tables.get_mut(index)?),
            Self::Inline(tables) => Some(tables.get_mut(index)?.as_inline_table_mut()?),
        }
    }

    pub(crate) fn push(&mut self, table: Table) -> Option<()> {
        match self {
            Self::Blocks(tables) => tables.push(table),
            Self::Inline(tables) => tables.push(table.into_inline_table()),
        }
        Some(())
    }
}
