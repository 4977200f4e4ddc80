//! Rights that are a step on a ladder, from denied upwards: `[clock] wall = "virtual"`.
//!
//! The lowest step that any document names wins.

use crate::{
    ask::Ask,
    canonical::Lines,
    narrow::Raised,
    read::{Author, Fields, Reader},
    rights::Asks,
    walk::Walk,
};

/// A ladder: its table, the key in it and the words of its steps.
pub(crate) struct Ladder<T: 'static> {
    /// The right's key, which is its table.
    pub(crate) key: &'static str,
    /// The table's one key.
    pub(crate) step: &'static str,
    /// The step as a path of a profile: `clock.wall`.
    pub(crate) path: &'static str,
    /// A value for messages, as it is written.
    pub(crate) example: &'static str,
    /// The words of the steps, the lowest first.
    pub(crate) words: &'static [(&'static str, T)],
}

impl<T: Copy + Ord + Default> Ladder<T> {
    /// The word of a step.
    pub(crate) fn word(&self, step: T) -> &'static str {
        let found = self.words.iter().find(|(_, value)| *value == step);
        debug_assert!(found.is_some(), "every step of a ladder has its word");
        found.map_or("denied", |(word, _)| word)
    }

    pub(crate) fn read(&self, reader: &mut Reader, fields: &Fields<'_>) -> Option<T> {
        let node = fields.get(self.key)?;
        let inner = reader.fields(node, &fields.path_of(self.key), &[self.step])?;
        reader.required(&inner, self.step, self.example);
        reader.word(&inner, self.step, self.words)
    }

    pub(crate) fn ask(&self, reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Ask<T> {
        match reader.short(fields, self.key, author) {
            Some(ask) => ask,
            None => self.read(reader, fields).map_or(Ask::None, Ask::Only),
        }
    }

    pub(crate) fn narrow(&self, walk: &mut Walk<'_>, granted: T, pick: fn(&Asks) -> &Ask<T>) -> T {
        walk.mode(self.path, granted, pick, |step| self.word(step))
    }

    pub(crate) fn raises(&self, raised: &mut Raised<'_>, asked: &Ask<T>, granted: T) {
        if let Ask::Only(wanted) = asked
            && *wanted > granted
        {
            let what = format!("{} = {}", self.path, self.word(*wanted));
            raised.report(&what, self.word(granted), self.path);
        }
    }

    pub(crate) fn write(&self, lines: &mut Lines, granted: T) {
        lines.text(self.path, self.word(granted));
    }
}
