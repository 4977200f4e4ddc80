//! Points that the host compares itself, without a model: the same pointer into every answer.
//!
//! Cost is bounded: outputs are bounded, agents are sixteen at most, and every method is linear in what it
//! looks at, once for each pair.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::Conflict;
use crate::effort;

/// What an entry or a word costs, in the units of [`crate::effort`]: it is written anew and put into a tree.
const WORD_UNITS: u64 = 4;

/// Longest position that a conflict shows, in characters: enough to see the difference.
const POSITION_CHARS_MAX: usize = 200;

/// A place in the answers and how it is compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// JSON Pointer (RFC 6901).
    pub at: String,
    /// How.
    #[serde(flatten)]
    pub by: By,
}

/// How a point is compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum By {
    /// The same value; `1` and `1.0` are the same.
    Equal,
    /// As many elements, members or characters.
    Size,
    /// Enough of the same entries: of two lists, what they share of the shorter one.
    Overlap {
        /// The member that names an entry; without it the entry itself does.
        key: Option<String>,
        /// Least share for every pair, in thousandths.
        min_milli: u32,
    },
    /// Numbers that lie no further apart than this.
    Number {
        /// Largest distance.
        tolerance: f64,
    },
    /// The same entries in any order, however often.
    Set,
    /// Texts that share enough words (Sørensen–Dice over words).
    Text {
        /// Least share for every pair, in thousandths.
        min_milli: u32,
    },
}

impl By {
    const fn word(&self) -> &'static str {
        match self {
            Self::Equal => "equal",
            Self::Size => "size",
            Self::Overlap { .. } => "overlap",
            Self::Number { .. } => "number",
            Self::Set => "set",
            Self::Text { .. } => "text",
        }
    }
}

/// Compares a point of all answers: what they agree on, or the conflict (without its id). None where
/// fewer than two answers could be compared.
#[must_use]
pub fn compare(point: &Point, answers: &[(&str, &Value)]) -> Option<Result<String, Conflict>> {
    if answers.len() < 2 {
        return None;
    }
    let found: Vec<(&str, Option<&Value>)> = answers
        .iter()
        .map(|(agent, answer)| (*agent, answer.pointer(&point.at)))
        .collect();
    let outcome = match found.iter().map(|(_, value)| *value).collect() {
        Some(values) => differs(&point.by, values),
        None => Err("some answers have nothing there".to_owned()),
    };
    let (at, word) = (&point.at, point.by.word());
    Some(match outcome {
        Ok(what) => Ok(format!("{at}: {what}")),
        Err(why) => Err(Conflict {
            id: String::new(),
            issue: format!("{at} ({word}): {why}"),
            positions: found
                .into_iter()
                .map(|(agent, value)| (agent.to_owned(), position(&point.by, value)))
                .collect(),
            found_by: "host".to_owned(),
        }),
    })
}

/// What they agree on, or how they differ.
fn differs(by: &By, values: Vec<&Value>) -> Result<String, String> {
    match by {
        By::Equal => all_same(values.iter().map(|value| canonical(value)))
            .map(|()| "the same value".to_owned())
            .ok_or_else(|| "the values differ".to_owned()),
        By::Size => {
            let sizes: Option<Vec<usize>> = values.iter().map(|value| size(value)).collect();
            let sizes = sizes.ok_or("some values have no size")?;
            let first = sizes.first().copied().unwrap_or_default();
            all_same(sizes.into_iter())
                .map(|()| format!("{first} of them"))
                .ok_or_else(|| "the sizes differ".to_owned())
        }
        By::Number { tolerance } => {
            let numbers: Option<Vec<f64>> = values.iter().map(|value| value.as_f64()).collect();
            let numbers = numbers.ok_or("some values are not numbers")?;
            let low = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let high = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            match high - low <= *tolerance {
                true => Ok(format!("numbers within {tolerance}")),
                false => Err(format!("{} apart, {tolerance} allowed", high - low)),
            }
        }
        By::Set => {
            let sets: Option<Vec<BTreeSet<String>>> =
                values.iter().map(|value| entries(value, None)).collect();
            let sets = sets.ok_or("some values are not lists")?;
            all_same(sets.into_iter())
                .map(|()| "the same entries".to_owned())
                .ok_or_else(|| "the entries differ".to_owned())
        }
        By::Overlap { key, min_milli } => {
            let sets = values.iter().map(|value| entries(value, key.as_deref()));
            let sets: Option<Vec<BTreeSet<String>>> = sets.collect();
            let sets = sets.ok_or("some values are not lists whose entries have the key")?;
            shared(&sets, overlap_milli, *min_milli, "entries")
        }
        By::Text { min_milli } => {
            let words: Option<Vec<BTreeMap<String, usize>>> = values
                .iter()
                .map(|value| value.as_str().map(words))
                .collect();
            let words = words.ok_or("some values are not texts")?;
            shared(&words, dice_milli, *min_milli, "words")
        }
    }
}

fn all_same<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<()> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(())
}

/// The least that any two share, held against what is wanted.
fn shared<T>(
    all: &[T],
    share: impl Fn(&T, &T) -> u32,
    min_milli: u32,
    what: &str,
) -> Result<String, String> {
    let pairs = all.iter().enumerate().flat_map(|(at, one)| {
        let others = all.iter().skip(at + 1);
        others.map(move |other| (one, other))
    });
    let pairs = pairs.take_while(|_| effort::goes_on(effort::LONG));
    let least = pairs.map(|(one, other)| share(one, other)).min();
    // There is no pair only in a turn that was stopped, and its answer is thrown away.
    let least = least.unwrap_or(1_000);
    let (shown, wanted) = (decimal(least), decimal(min_milli));
    match least >= min_milli {
        true => Ok(format!("{what} shared {shown}")),
        false => Err(format!(
            "{what} shared {shown}, at least {wanted} is wanted"
        )),
    }
}

fn decimal(milli: u32) -> String {
    format!("{}.{:03}", milli / 1_000, milli % 1_000)
}

/// JSON that is the same for the same value.
fn canonical(value: &Value) -> String {
    let canonical = serde_json_canonicalizer::to_string(value);
    canonical.unwrap_or_else(|_| value.to_string())
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(members) => Some(members.len()),
        Value::String(text) => Some(text.chars().count()),
        _ => None,
    }
}

/// The entries of a list by their names; none for what is no list, or has an entry without the key.
fn entries(value: &Value, key: Option<&str>) -> Option<BTreeSet<String>> {
    let items = value.as_array()?.iter();
    items
        .take_while(|_| effort::goes_on(WORD_UNITS))
        .map(|item| match key {
            Some(key) => item.get(key).map(named),
            None => Some(named(item)),
        })
        .collect()
}

/// The name of an entry: of texts neither case nor space decides.
fn named(value: &Value) -> String {
    match value.as_str() {
        Some(text) => {
            let words: Vec<&str> = text.split_whitespace().collect();
            words.join(" ").to_lowercase()
        }
        None => canonical(value),
    }
}

/// What two lists share of the shorter one (Szymkiewicz–Simpson).
fn overlap_milli(one: &BTreeSet<String>, other: &BTreeSet<String>) -> u32 {
    let common = one.intersection(other).count();
    match one.len().min(other.len()) {
        // Two empty lists are the same; an empty one has nothing that it could share with another.
        0 if one.len() == other.len() => 1_000,
        0 => 0,
        shorter => milli(common, shorter),
    }
}

fn words(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| !word.is_empty());
    for word in words.take_while(|_| effort::goes_on(WORD_UNITS)) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

fn dice_milli(one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>) -> u32 {
    let total: usize = one.values().chain(other.values()).sum();
    let common = one
        .iter()
        .map(|(word, count)| (*count).min(other.get(word).copied().unwrap_or(0)));
    match total {
        0 => 1_000,
        total => milli(2 * common.sum::<usize>(), total),
    }
}

fn milli(part: usize, whole: usize) -> u32 {
    let milli = (part * 1_000).checked_div(whole).unwrap_or(0);
    u32::try_from(milli).unwrap_or(1_000)
}

/// What an agent says at a point, short enough to be read beside the others.
fn position(by: &By, value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let told = match by {
        By::Size => size(value).map(|size| format!("{size} of them")),
        By::Overlap { key, .. } => entries(value, key.as_deref()).map(|entries| {
            let entries: Vec<String> = entries.into_iter().collect();
            entries.join("; ")
        }),
        _ => None,
    };
    let told = told.unwrap_or_else(|| match value.as_str() {
        Some(text) => text.to_owned(),
        None => canonical(value),
    });
    shortened(&told)
}

/// A text cut to what is shown of a position.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(POSITION_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
