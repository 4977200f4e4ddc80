//! Finds what should not leave: e-mail addresses, phone numbers, payment cards and keys of common
//! providers. Pure: text in, places out.
//!
//! It never guesses from entropy alone: a key is reported for its provider's published prefix and
//! length, a card for its length and check digit, so that a report stays worth reading. It never
//! repeats what it found; callers show the kind and the place.
//!
//! # Examples
//!
//! ```
//! use flowhost_detect::{Detector, Kind};
//!
//! let detector = Detector::new(&[Kind::Email, Kind::Card]);
//! let found = detector.find("write to ann@example.org");
//! assert_eq!(found[0].kind, Kind::Email);
//! assert_eq!(detector.redact("write to ann@example.org").0, "write to [redacted:email]");
//! ```

mod card;
mod patterns;
mod phone;

use std::collections::BTreeMap;
use std::ops::Range;

use regex_lite::Regex;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A key or token of a known provider, or a private key.
    Key,
    /// A payment card number with a right check digit.
    Card,
    /// An e-mail address.
    Email,
    /// A phone number, international or in a common national form.
    Phone,
}

impl Kind {
    /// Every kind, the most telling first: where two overlap the earlier one wins.
    pub const ALL: [Self; 4] = [Self::Key, Self::Card, Self::Email, Self::Phone];

    /// The word in configurations and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Card => "card",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }

    /// The kind of that word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// One place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Whose key, or the kind's own word: `aws-access-key`, `email`.
    pub label: &'static str,
    /// Bytes in the text.
    pub range: Range<usize>,
}

/// A set of kinds, ready to search.
pub struct Detector {
    rules: Vec<Rule>,
}

struct Rule {
    kind: Kind,
    label: &'static str,
    /// A text without this piece cannot match; looked for first because it is cheap.
    needle: &'static str,
    pattern: Regex,
    accept: fn(&str) -> bool,
}

impl Detector {
    /// A detector for the given kinds. None finds nothing.
    #[must_use]
    pub fn new(kinds: &[Kind]) -> Self {
        let rules = patterns::ALL
            .iter()
            .filter(|source| kinds.contains(&source.kind))
            .filter_map(|source| {
                let pattern = Regex::new(source.pattern).ok()?;
                let patterns::Source {
                    kind,
                    label,
                    needle,
                    accept,
                    ..
                } = *source;
                Some(Rule {
                    kind,
                    label,
                    needle,
                    pattern,
                    accept,
                })
            })
            .collect();
        Self { rules }
    }

    /// Everything found, in the order of the text, without overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut found: Vec<Found> = self.rules.iter().flat_map(|rule| rule.find(text)).collect();
        found.sort_by_key(|found| (found.kind, found.range.start, usize::MAX - found.range.end));
        // By their starts: of places apart, only the last that starts before a candidate's end can
        // overlap it. A text of nothing but addresses must not cost their number squared.
        let mut kept: BTreeMap<usize, Found> = BTreeMap::new();
        for candidate in found {
            let before = kept.range(..candidate.range.end).next_back();
            if before.is_none_or(|(_, other)| other.range.end <= candidate.range.start) {
                kept.insert(candidate.range.start, candidate);
            }
        }
        kept.into_values().collect()
    }

    /// The text with `[redacted:<label>]` in the place of everything found, and what that was.
    #[must_use]
    pub fn redact(&self, text: &str) -> (String, Vec<Found>) {
        let found = self.find(text);
        let mut clean = String::with_capacity(text.len());
        let mut from = 0;
        for place in &found {
            clean.push_str(text.get(from..place.range.start).unwrap_or_default());
            clean.push_str("[redacted:");
            clean.push_str(place.label);
            clean.push(']');
            from = place.range.end;
        }
        clean.push_str(text.get(from..).unwrap_or_default());
        (clean, found)
    }
}

impl Rule {
    fn find(&self, text: &str) -> Vec<Found> {
        if !text.contains(self.needle) {
            return Vec::new();
        }
        self.pattern
            .captures_iter(text)
            .filter_map(|captures| captures.get(1))
            .filter(|hit| (self.accept)(hit.as_str()))
            .map(|hit| Found {
                kind: self.kind,
                label: self.label,
                range: hit.range(),
            })
            .collect()
    }
}

/// The 1-based line of a byte in a text.
#[must_use]
pub fn line_of(text: &str, byte: usize) -> usize {
    1 + text
        .bytes()
        .take(byte)
        .filter(|byte| *byte == b'\n')
        .count()
}
