//! How tables of rights are read, in a profile and where a manifest (`[needs]`) or a plan writes them.
//!
//! Three things differ from a profile: any right may be the word `"granted"`, meaning as much as
//! the profile grants; what only the operator can know (host folders, secrets to inject, values of
//! variables) is not said; and a missing amount does not lower anything.

use super::{
    Fields, Reader,
    node::{Node, Value},
};
use crate::ask::{Ask, Asked};

/// Who writes the tables, and so what a missing right means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// A missing right is not asked for.
    Manifest,
    /// A missing right stays as it is.
    Plan,
}

impl Reader {
    /// Reads a list of tables such as `[[http]]`.
    pub(crate) fn tables<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl Fn(&mut Self, &Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let Some(node) = fields.get(key) else {
            return Vec::new();
        };
        let path = fields.path_of(key);
        let mut out = Vec::new();
        for (index, item) in self.list(node, &path).iter().enumerate() {
            let path = format!("{path}[{index}]");
            self.place(&path, item.at);
            out.extend(read(self, item, &path));
        }
        out
    }

    /// Reads a table such as `[tools]`.
    pub(crate) fn table<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        read: impl Fn(&mut Self, &Node, &str) -> Option<T>,
    ) -> Option<T> {
        read(self, fields.get(key)?, &fields.path_of(key))
    }

    /// Answers for a right that is missing or the word `"granted"`; `None` when there is more to read.
    pub(crate) fn short<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        author: Author,
    ) -> Option<Ask<T>> {
        let Some(node) = fields.get(key) else {
            return Some(match author {
                Author::Plan => Ask::everything(),
                Author::Manifest => Ask::nothing(),
            });
        };
        let Value::Text(word) = &node.value else {
            return None;
        };
        if word == "granted" {
            return Some(Ask::Granted);
        }
        let path = fields.path_of(key);
        let message = format!("`{path}` is a word, and the only word is \"granted\"");
        self.problem(node.at, message, None);
        // The document is refused for it; until then the least is taken.
        Some(Ask::None)
    }

    /// As [`Reader::table`], for a document that takes away.
    pub(crate) fn asked<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        author: Author,
        read: impl Fn(&mut Self, &Node, &str) -> Option<T>,
    ) -> Ask<T> {
        match self.short(fields, key, author) {
            Some(ask) => ask,
            None => self.table(fields, key, read).map_or(Ask::None, Ask::Only),
        }
    }

    /// As [`Reader::tables`], for a document that takes away.
    pub(crate) fn asked_tables<T>(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        author: Author,
        read: impl Fn(&mut Self, &Node, &str) -> Option<T>,
    ) -> Ask<Vec<T>> {
        match self.short(fields, key, author) {
            Some(ask) => ask,
            None => Ask::Only(self.tables(fields, key, read)),
        }
    }
}
