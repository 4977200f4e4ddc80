//! Facts with fields of any name, which only tests make: the program writes records by their structs.

use flowhost_ledger::{Fact, Value};

/// A fact that takes fields.
pub(crate) trait Free {
    fn with(self, name: &str, value: impl Into<Value>) -> Self;
}

impl Free for Fact {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(name.to_owned(), value.into());
        self
    }
}
