//! How a model call fails: a class that decides what happens next, and a message that is safe to
//! show.
//!
//! A message never holds a key and is foreign text made harmless: bounded, without control or
//! invisible characters.

use std::fmt;

use crate::{answer::Spent, text};

/// Characters of a message. Providers repeat the request in their errors, prompts included, and this goes into
/// logs and records.
const MESSAGE_CHARS_MAX: usize = 600;

/// What kind of failure it is; the same word stands in records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorClass {
    /// The provider is overloaded or broke down; the same request may succeed later.
    Transient,
    /// Too many requests or tokens, by the provider's word or by our own limit.
    RateLimited,
    /// The key is missing, wrong or not allowed to do this.
    Auth,
    /// The account has no credit left.
    Quota,
    /// The request cannot be answered as it is.
    Invalid,
    /// The provider answered what its protocol does not know.
    Provider,
    /// Time ran out.
    Deadline,
    /// No connection, or the circuit breaker is open.
    Unreachable,
    /// `residency = "strict"` and the provider is not on-premises.
    Residency,
    /// The answer ended before it was whole: the connection broke, or it passed its bound.
    Cut,
    /// The caller said no: nothing was sent.
    Refused,
    /// The mock's script cannot be used, which neither the caller nor another model can change.
    Script,
}

impl ErrorClass {
    /// All, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Transient,
        Self::RateLimited,
        Self::Auth,
        Self::Quota,
        Self::Invalid,
        Self::Provider,
        Self::Deadline,
        Self::Unreachable,
        Self::Residency,
        Self::Cut,
        Self::Refused,
        Self::Script,
    ];

    /// The word in records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited => "rate_limited",
            Self::Auth => "auth",
            Self::Quota => "quota",
            Self::Invalid => "invalid",
            Self::Provider => "provider",
            Self::Deadline => "deadline",
            Self::Unreachable => "unreachable",
            Self::Residency => "residency",
            Self::Cut => "cut",
            Self::Refused => "refused",
            Self::Script => "script",
        }
    }

    /// The class of a word in records.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelError {
    /// What kind.
    pub class: ErrorClass,
    /// What failed and why.
    pub message: String,
    /// The cure, or empty.
    pub hint: String,
    /// Over all tries when returned by the gateway; of one try in a [`crate::TryOutcome`].
    pub spent: Spent,
}

impl ModelError {
    /// An error that cost nothing; the texts are made harmless here.
    #[must_use]
    pub fn new(class: ErrorClass, message: impl AsRef<str>, hint: impl AsRef<str>) -> Self {
        Self {
            class,
            message: text::harmless(message.as_ref(), MESSAGE_CHARS_MAX),
            hint: text::harmless(hint.as_ref(), MESSAGE_CHARS_MAX),
            spent: Spent::default(),
        }
    }
}

impl fmt::Display for ModelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class.as_str(), self.message)
    }
}

impl std::error::Error for ModelError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_bounded_and_hides_nothing() {
        let text = format!("a\u{1b}[31m\u{202e}b\n{}", "x".repeat(10_000));
        let error = ModelError::new(ErrorClass::Provider, text, "");
        assert!(error.message.chars().count() <= MESSAGE_CHARS_MAX + 1);
        assert!(error.message.starts_with("a\\u{1b}[31m\\u{202e}b\\u{a}xxx"));
    }

    #[test]
    fn every_class_is_found_by_its_word() {
        for class in ErrorClass::ALL {
            assert_eq!(ErrorClass::parse(class.as_str()), Some(class));
        }
        assert_eq!(ErrorClass::parse("other"), None);
    }
}
