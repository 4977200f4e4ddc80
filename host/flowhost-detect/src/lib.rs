//! Finds what should not leave: e-mail addresses, phone numbers, payment cards and keys of common
//! providers; and, told the values, known secrets in any form ([`Secrets`]). Pure: text in, places out. Guardrails use it inside the sandbox and the host before it
//! stores or sends, so both remove the same (docs/adr/0006).
//!
//! It never guesses from entropy alone: a key is reported for its provider's published prefix and
//! length or for the position that gives it away, a card for its length and check digit, so that a report stays worth reading. It never
//! repeats what it found; callers show the kind and the place. And it never costs more than the length
//! of the text: each search is one pass with a bounded look around each byte, written by hand because
//! a regular expression's search for all matches is not linear, and `text` counts their work.
//!
//! # Examples
//!
//! ```
//! use flowhost_detect::{Detector, Kind, redact};
//!
//! let found = Detector::new(&[Kind::Email]).find("write to ann@example.org");
//! assert_eq!((found[0].kind, found[0].range.clone()), (Kind::Email, 9..24));
//! assert_eq!(redact("write to ann@example.org"), "write to [redacted:email]");
//! ```

mod card;
mod clean;
mod counts;
mod email;
mod hidden;
mod json;
mod keys;
mod phone;
mod secret;
mod text;
mod view;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

pub use crate::counts::Counts;
pub use crate::hidden::is_hidden;
pub use crate::secret::Secrets;
use crate::text::Text;
use crate::view::View;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A key or token of a known provider, a bearer token, or a private key.
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

/// A set of kinds to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detector {
    kinds: Vec<Kind>,
}

impl Detector {
    /// A detector for the given kinds. None finds nothing.
    #[must_use]
    pub fn new(kinds: &[Kind]) -> Self {
        Self {
            kinds: kinds.to_vec(),
        }
    }

    /// A detector for every kind.
    #[must_use]
    pub fn all() -> Self {
        Self::new(&Kind::ALL)
    }

    /// Everything found, in the order of the text, without overlaps.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some(view) = View::of(text) {
            found = self.search(&view.text);
            for found in &mut found {
                found.range = view.in_text(&found.range);
            }
            // Behind a backslash a letter is an escape's or its own: `\npm_…` is read both ways.
            let also = self.search(text).into_iter();
            found.extend(also.map(|found| with_backslashes(text, found)));
        } else {
            found.extend(self.search(text));
        }
        // Stable, so that of two readings of the same place the one without escapes wins.
        found.sort_by_key(|found| found.kind);
        apart(found)
    }

    fn search(&self, text: &str) -> Vec<Found> {
        let text = Text::new(text);
        let kinds = Kind::ALL.into_iter().filter(|it| self.kinds.contains(it));
        let places = kinds.flat_map(|kind| {
            search(kind, &text)
                .into_iter()
                .map(move |(label, range)| Found { kind, label, range })
        });
        places.collect()
    }

    /// The text with `[redacted:<label>]` in the place of everything found, and what that was.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a str) -> (Cow<'a, str>, Vec<Found>) {
        let found = self.find(text);
        (without(text, &found), found)
    }
}

/// The text with `[redacted:<label>]` in the place of everything of any kind. A text that was clean before is
/// not searched again.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    without(text, &clean::find(text))
}

/// Redacts every text and key of a value for every kind: see [`Detector::redact_json`]. What was clean before is
/// not searched again.
pub fn redact_json(value: &mut serde_json::Value) -> Counts {
    let mut counts = Counts::default();
    json::redact_with(&clean::find, value, &mut |_, found| counts.add(found));
    counts
}

/// Redacts a document for every kind: JSON stays JSON, anything else is text. Nothing when there was
/// nothing to take out. What was clean before is not searched again.
///
/// # Examples
///
/// ```
/// use flowhost_detect::redact_document;
///
/// let (clean, counts) = redact_document(r#"{"card":4111111111111111}"#).unwrap();
/// assert_eq!((clean.as_str(), counts.total()), (r#"{"card":"[redacted:card]"}"#, 1));
/// assert_eq!(redact_document("nothing to hide"), None);
/// ```
#[must_use]
pub fn redact_document(text: &str) -> Option<(String, Counts)> {
    let start = text.trim_start();
    if start.starts_with(['{', '[', '"']) {
        // An answer comes by as it was said, as it is recorded and as it is handed on: it is not parsed for each.
        if clean::knows_document(text) {
            return None;
        }
        if let Ok(mut value) = serde_json::from_str::<serde_json::Value>(text) {
            let counts = redact_json(&mut value);
            if counts.total() == 0 {
                clean::keep_document(text);
                return None;
            }
            return Some((value.to_string(), counts));
        }
    }
    let found = clean::find(text);
    let mut counts = Counts::default();
    for place in &found {
        counts.add(place);
    }
    (!found.is_empty()).then(|| (without(text, &found).into_owned(), counts))
}

/// How much of each kind a text holds.
#[must_use]
pub fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for found in Detector::all().find(text) {
        counts.add(&found);
    }
    counts
}

/// The lines of a text, so that the line of many places costs one pass.
#[derive(Debug, Clone)]
pub struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    /// The lines of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self {
            ends: text.match_indices('\n').map(|(end, _)| end).collect(),
        }
    }

    /// The 1-based line of a byte; a line break belongs to the line that it ends.
    ///
    /// # Examples
    ///
    /// ```
    /// let lines = flowhost_detect::Lines::of("a\nb");
    /// assert_eq!((lines.line(0), lines.line(1), lines.line(2)), (1, 1, 2));
    /// ```
    #[must_use]
    pub fn line(&self, byte: usize) -> usize {
        1 + self.ends.partition_point(|end| *end < byte)
    }
}

/// The places of one kind, in order and apart.
fn search(kind: Kind, text: &Text) -> Vec<(&'static str, Range<usize>)> {
    let places = match kind {
        Kind::Key => return keys::find(text),
        Kind::Card => card::find(text),
        Kind::Email => email::find(text),
        Kind::Phone => phone::find(text),
    };
    places
        .into_iter()
        .map(|place| (kind.as_str(), place))
        .collect()
}

/// The place with the backslashes before it, which would else escape what replaces it.
fn with_backslashes(text: &str, found: Found) -> Found {
    let before = text.get(..found.range.start).unwrap_or_default();
    let start = before.trim_end_matches('\\').len();
    Found {
        range: start..found.range.end,
        ..found
    }
}

/// Those that overlap no earlier one of the list, in the order of the text.
fn apart(found: Vec<Found>) -> Vec<Found> {
    // By their starts: of places apart, only the last that starts before a candidate's end can
    // overlap it. A text of nothing but addresses must not cost their number squared.
    let mut kept: BTreeMap<usize, Found> = BTreeMap::new();
    for candidate in found {
        let before = kept.range(..candidate.range.end).next_back();
        if before.is_none_or(|(_, kept)| kept.range.end <= candidate.range.start) {
            kept.insert(candidate.range.start, candidate);
        }
    }
    kept.into_values().collect()
}

/// The text without what was found.
fn without<'a>(text: &'a str, found: &[Found]) -> Cow<'a, str> {
    if found.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    for place in found {
        clean.push_str(text.get(from..place.range.start).unwrap_or_default());
        clean.push_str("[redacted:");
        clean.push_str(place.label);
        clean.push(']');
        from = place.range.end;
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(clean)
}
