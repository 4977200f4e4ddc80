//! What callers hand to the ledger, before it becomes a record: a kind, an actor and string fields.

use std::collections::BTreeMap;

use crate::fields::Fields;
use crate::records::Kind;

/// A field's value: the format has strings, objects of strings and arrays of strings only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A string.
    Text(String),
    /// An array of strings.
    List(Vec<String>),
    /// An object of strings.
    Map(BTreeMap<String, String>),
}

impl Value {
    /// The string, if this is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    /// The items, if this is an array.
    #[must_use]
    pub(crate) fn as_list(&self) -> Option<&[String]> {
        match self {
            Self::List(items) => Some(items),
            Self::Text(_) | Self::Map(_) => None,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Text(number.to_string())
    }
}

impl From<Vec<String>> for Value {
    fn from(list: Vec<String>) -> Self {
        Self::List(list)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::Map(map)
    }
}

/// One fact of a run.
///
/// # Examples
///
/// ```
/// use flowhost_ledger::records::{FsOp, RecordKind};
/// let op = FsOp { op: Some("read".to_owned()), ..FsOp::default() };
/// let fact = op.by("default/notes").payload(br#"{"wanted":"read /docs"}"#.to_vec());
/// assert_eq!(fact.kind.as_str(), "fs.op");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What kind of record this becomes.
    pub kind: Kind,
    /// Who did it: `<tenant>/<plugin>` or `<tenant>/host`.
    pub actor: String,
    /// The kind's own fields; the reserved names (`v`, `seq`, `ts`, …) are refused on append.
    pub fields: Fields,
    /// Bytes that stay out of the record: it holds a salted commitment, the payload is erasable.
    pub payload: Option<Vec<u8>>,
    /// What the payload was before keys and personal data were taken out of it; kept encrypted, where the
    /// ledger has a key for it.
    pub sealed: Option<Vec<u8>>,
}

impl Fact {
    /// A fact without fields.
    #[must_use]
    pub fn new(kind: Kind, actor: impl Into<String>) -> Self {
        Self {
            kind,
            actor: actor.into(),
            fields: Fields::new(),
            payload: None,
            sealed: None,
        }
    }

    /// Adds a field of any name. Records of the program are made of their structs
    /// ([`RecordKind::by`](crate::records::RecordKind::by)), so that no name is written twice.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }

    /// Attaches a payload: anything personal, secret or large.
    #[must_use]
    pub fn payload(mut self, bytes: Vec<u8>) -> Self {
        self.payload = Some(bytes);
        self
    }
}
