//! What is known of a part of the input, and what is had by asking it for a part of its own.
//!
//! A value that is there and one of which only the shape is known are asked in the same way, as the template engine asks
//! them: so who reads a template need not know which of the two it has.

use std::collections::BTreeMap;

use flowhost_flow::expr::Given;
use serde_json::Value;

use super::Why;

/// What is known of a part of the input.
#[derive(Clone, Copy)]
pub(super) enum Known<'g> {
    Anything,
    Value(&'g Value),
    Text,
    Plain,
    Elements,
    List(&'g [Given<'g>]),
    Object(&'g BTreeMap<&'g str, Given<'g>>),
}

impl<'g> Known<'g> {
    pub(super) fn of(given: &'g Given<'g>) -> Self {
        match given {
            Given::Anything => Self::Anything,
            Given::Value(value) => Self::Value(value),
            Given::Text => Self::Text,
            Given::Plain => Self::Plain,
            Given::Elements => Self::Elements,
            Given::List(elements) => Self::List(elements),
            Given::Object(members) => Self::Object(members),
        }
    }

    /// In words, of what has no members.
    const fn told(self) -> &'static str {
        match self {
            Self::Anything | Self::Plain => "no object",
            Self::Value(Value::Null) => "null",
            Self::Value(Value::Bool(_)) => "true or false",
            Self::Value(Value::Number(_)) => "a number",
            Self::Value(Value::String(_)) | Self::Text => "text",
            Self::Value(Value::Array(_)) | Self::List(_) | Self::Elements => "a list",
            Self::Value(Value::Object(_)) | Self::Object(_) => "an object",
        }
    }

    pub(super) fn member(self, path: &str, name: &str) -> Part<'g> {
        match self {
            Self::Anything => Part::Known(Self::Anything),
            Self::Value(Value::Object(members)) => match members.get(name) {
                Some(value) => Part::Known(Self::Value(value)),
                None => Part::NoMember,
            },
            Self::Object(members) => match members.get(name) {
                Some(given) => Part::Known(Self::of(given)),
                None => Part::NoMember,
            },
            other => Part::Lacks(Why::Is(path.to_owned(), other.told())),
        }
    }

    /// What its members are called.
    pub(super) fn names(self) -> Vec<&'g str> {
        match self {
            Self::Value(Value::Object(members)) => members.keys().map(String::as_str).collect(),
            Self::Object(members) => members.keys().copied().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn element(self, path: &str, index: i64) -> Part<'g> {
        let short = |len: usize| Part::Lacks(Why::Short(path.to_owned(), len));
        match self {
            Self::List(elements) => match at(index, elements.len()).and_then(|it| elements.get(it))
            {
                Some(given) => Part::Known(Self::of(given)),
                None => short(elements.len()),
            },
            Self::Value(Value::Array(elements)) => {
                match at(index, elements.len()).and_then(|it| elements.get(it)) {
                    Some(value) => Part::Known(Self::Value(value)),
                    None => short(elements.len()),
                }
            }
            Self::Value(Value::Null | Value::Bool(_) | Value::Number(_)) => {
                Part::Lacks(Why::Is(path.to_owned(), self.told()))
            }
            // A character of a text, if it is long enough; the members of an object have names.
            Self::Value(Value::String(_) | Value::Object(_))
            | Self::Anything
            | Self::Text
            | Self::Plain
            | Self::Elements
            | Self::Object(_) => Part::Known(Self::Anything),
        }
    }

    /// Whether it counts as true, where that is known.
    pub(super) fn truth(self) -> Option<bool> {
        match self {
            Self::Value(Value::Null) => Some(false),
            Self::Value(Value::Bool(value)) => Some(*value),
            Self::Value(Value::String(text)) => Some(!text.is_empty()),
            Self::Value(Value::Array(elements)) => Some(!elements.is_empty()),
            Self::Value(Value::Object(members)) => Some(!members.is_empty()),
            Self::List(elements) => Some(!elements.is_empty()),
            Self::Object(members) => Some(!members.is_empty()),
            Self::Value(Value::Number(_))
            | Self::Anything
            | Self::Text
            | Self::Plain
            | Self::Elements => None,
        }
    }
}

/// Where an element stands; a negative place counts from the end.
fn at(index: i64, len: usize) -> Option<usize> {
    match usize::try_from(index) {
        Ok(index) => Some(index),
        Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).ok()?),
    }
}

/// What is had by asking for a part.
pub(super) enum Part<'g> {
    Known(Known<'g>),
    /// An object has members, and not this one.
    NoMember,
    Lacks(Why),
}
