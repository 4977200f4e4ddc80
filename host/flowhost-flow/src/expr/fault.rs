//! Why an evaluation fails, kept as values until somebody reads it.
//!
//! `||` and `exists` make and drop errors by the thousand: a message that were written for each would
//! be free work and free memory. Must stay cheap to make and to drop.

use crate::effort::Spent;
use crate::expr::EvalError;
use crate::expr::value::{Key, Text, Val};

/// Characters of a name or a text that a message shows. A name may come from an answer, and the message goes into
/// a record and onto a screen.
const SHOWN_MAX: usize = 80;

#[derive(Clone, Debug)]
pub(super) enum Fault<'a> {
    Spent(Spent),
    Said(&'static str),
    /// A name that nobody gave.
    Unknown(&'a str),
    /// An object, or something else, without the member.
    Missing(&'static str, Key<'a>),
    NoElement(&'static str, Option<usize>, Key<'a>),
    /// An operator or a function with values that it does not take.
    Mismatch(&'a str, Kinds),
    /// Something with one value that it does not take.
    Unfit(&'static str, &'static str),
    Twice(Key<'a>),
    OutOfRange(&'static str, i128),
    /// An expression of the pattern language, and what is wrong with it.
    Pattern(Text<'a>, &'static str),
}

/// What the values are, in words: at most as many as a function takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    words: [&'static str; 4],
    count: usize,
}

impl Kinds {
    pub(super) fn of(values: &[Val<'_>]) -> Self {
        let mut words = [""; 4];
        for (word, value) in words.iter_mut().zip(values) {
            *word = value.kind();
        }
        Self {
            words,
            count: values.len(),
        }
    }

    fn told(&self) -> String {
        let words: Vec<_> = self.words.iter().take(self.count).copied().collect();
        let more = if self.count > words.len() {
            " and more"
        } else {
            ""
        };
        format!("{}{more}", words.join(" and "))
    }
}

impl From<Spent> for Fault<'_> {
    fn from(spent: Spent) -> Self {
        Self::Spent(spent)
    }
}

impl From<Spent> for EvalError {
    fn from(spent: Spent) -> Self {
        match spent {
            Spent::Cost => Self::Cost,
            Spent::Stopped => Self::Stopped,
        }
    }
}

impl Fault<'_> {
    /// Whether another side of `||` or another turn may decide in its place.
    pub(super) const fn is_of_values(&self) -> bool {
        !matches!(self, Self::Spent(_))
    }

    /// The error that the caller gets.
    pub(super) fn told(&self) -> EvalError {
        EvalError::Value(match self {
            Self::Spent(spent) => return (*spent).into(),
            Self::Said(message) => (*message).to_owned(),
            Self::Unknown(name) => format!("the name `{}` is not in reach here", short(name)),
            Self::Missing(kind, key) => format!("{kind} has no member {}", shown(key)),
            Self::NoElement("a list", Some(len), key) => {
                format!("a list of {len} has no element {}", plain(key))
            }
            Self::NoElement(kind, _, key) => format!("{kind} has no element {}", plain(key)),
            Self::Mismatch(name, kinds) => format!("`{name}` does not go with {}", kinds.told()),
            Self::Unfit(what, kind) => format!("{what}, not {kind}"),
            Self::Twice(key) => format!("the key {} is given twice", shown(key)),
            Self::OutOfRange(what, number) => format!("{what}: {number} is out of range"),
            Self::Pattern(pattern, message) => {
                format!("the pattern `{}` cannot be used: {message}", short(pattern))
            }
        })
    }
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

fn plain(key: &Key<'_>) -> String {
    match key {
        Key::Bool(value) => value.to_string(),
        Key::Int(number) => number.to_string(),
        Key::Large(number) => number.to_string(),
        Key::Text(text) => short(text),
    }
}

fn shown(key: &Key<'_>) -> String {
    format!("`{}`", plain(key))
}
