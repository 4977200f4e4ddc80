//! Texts out of the ledger, each with a bound, and payloads that may be gone.

use std::borrow::Cow;
use std::collections::BTreeSet;

use flowhost_ledger::{LentRecord, Payloads};

use super::{FIELD_CHARS_MAX, PAGE_CHARS_MAX, PAYLOAD_CHARS_MAX};

/// A list of which only a part is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown<T> {
    /// What is kept.
    pub items: Vec<T>,
    /// How many there were.
    pub total: u64,
}

impl<T> Default for Shown<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            total: 0,
        }
    }
}

impl<T> Shown<T> {
    /// How many are not kept.
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.total.saturating_sub(self.items.len() as u64)
    }

    /// Counts `item`, and keeps it while there is room for `max`.
    pub(super) fn push(&mut self, item: T, max: usize) {
        self.total = self.total.saturating_add(1);
        if self.items.len() < max {
            self.items.push(item);
        }
    }

    /// The first `max` of `all`.
    pub(super) fn first(mut all: Vec<T>, max: usize) -> Self {
        let total = all.len() as u64;
        all.truncate(max);
        Self { items: all, total }
    }
}

/// A payload as far as it can be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stored {
    /// The record has none.
    #[default]
    None,
    /// Its text, and how many characters of it are not shown.
    Text {
        /// What is shown.
        text: String,
        /// Characters left out at the end.
        left_out: usize,
    },
    /// It is not text.
    Binary(usize),
    /// It was erased, which a record says.
    Erased,
    /// It is not where it belongs, and no record says why.
    Missing,
    /// It is not what its record committed to, or its file cannot be read.
    Unreadable(String),
    /// The page has no more room; it is in the ledger.
    NoRoom,
}

/// Where payloads are.
pub trait PayloadSource {
    /// The payload of record `seq`, checked against its `commit`; `None` when it is not there.
    ///
    /// # Errors
    /// A sentence, when it is there and cannot be used.
    fn payload(&self, seq: u64, commit: &str) -> Result<Option<Vec<u8>>, String>;
}

impl PayloadSource for Payloads<'_> {
    fn payload(&self, seq: u64, commit: &str) -> Result<Option<Vec<u8>>, String> {
        self.get(seq, commit).map_err(|error| error.to_string())
    }
}

/// A payload that will be looked up once all records are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    seq: u64,
    commit: Option<String>,
}

impl Held {
    pub(super) fn of(record: &LentRecord<'_>) -> Self {
        Self {
            seq: record.seq,
            commit: record.commit.map(str::to_owned),
        }
    }
}

/// Looks payloads up, and knows how much room the page has left.
pub(super) struct Shelf<'s> {
    source: &'s dyn PayloadSource,
    erased: BTreeSet<u64>,
    room: usize,
}

impl<'s> Shelf<'s> {
    pub(super) fn new(source: &'s dyn PayloadSource, erased: BTreeSet<u64>) -> Self {
        Self {
            source,
            erased,
            room: PAGE_CHARS_MAX,
        }
    }

    /// The payload, or why there is none.
    pub(super) fn text(&self, held: &Held) -> Result<String, Stored> {
        let Some(commit) = &held.commit else {
            return Err(Stored::None);
        };
        match self.source.payload(held.seq, commit) {
            Ok(Some(bytes)) => {
                String::from_utf8(bytes).map_err(|error| Stored::Binary(error.as_bytes().len()))
            }
            Ok(None) if self.erased.contains(&held.seq) => Err(Stored::Erased),
            Ok(None) => Err(Stored::Missing),
            Err(why) => Err(Stored::Unreadable(why)),
        }
    }

    /// The payload, cut.
    pub(super) fn take(&mut self, held: &Held) -> Stored {
        match self.text(held) {
            Ok(text) => self.cut(&text, PAYLOAD_CHARS_MAX),
            Err(stored) => stored,
        }
    }

    /// At most `max` characters of `text`, and no more than the page has room for.
    pub(super) fn cut(&mut self, text: &str, max: usize) -> Stored {
        if self.room == 0 {
            return Stored::NoRoom;
        }
        let max = max.min(self.room);
        let end = text
            .char_indices()
            .nth(max)
            .map_or(text.len(), |(at, _)| at);
        let (shown, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        let left_out = rest.chars().count();
        self.room -= shown.chars().count().min(self.room);
        Stored::Text {
            text: shown.to_owned(),
            left_out,
        }
    }
}

/// A short text: a name, a rule. A longer one ends in `…`.
pub(super) fn short(text: &str) -> String {
    brief(text).into_owned()
}

/// As [`short`], for who only looks for it: most names are known by then.
pub(super) fn brief(text: &str) -> Cow<'_, str> {
    // No text has more characters than bytes, and nearly all have fewer.
    let over = match text.len() > FIELD_CHARS_MAX {
        true => text.char_indices().nth(FIELD_CHARS_MAX),
        false => None,
    };
    match over {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
    }
}

/// A field as a short text; empty when it is not there.
pub(super) fn text(field: Option<&Cow<'_, str>>) -> String {
    field.map(|text| short(text)).unwrap_or_default()
}

/// Who did it, without the tenant that the record names anyway.
pub(super) fn plugin_of(record: &LentRecord<'_>) -> String {
    plugin_name(&record.tenant, &record.actor)
}

/// `<tenant>/<plugin>` without the tenant.
pub(super) fn plugin_name(tenant: &str, actor: &str) -> String {
    let own = actor
        .strip_prefix(tenant)
        .and_then(|rest| rest.strip_prefix('/'));
    short(own.unwrap_or(actor))
}
