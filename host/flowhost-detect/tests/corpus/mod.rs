//! Two tables of strings of our own making, and what the detector makes of them: which part of what it
//! should find it finds (recall), and which part of what it finds it should (precision).
//!
//! The tables hold shapes and no keys, so that nothing in this repository looks like one: `{A36}` is
//! thirty-six letters and digits, drawn anew for each line and the same in every run. The letters:
//! `A` letters and digits, `l` small ones, `U` capital ones, `B` base32, `x` hexadecimal, `d` digits,
//! `s` base64url, `b` base64; `{n}` is a line break, and `{!text}` is that text, cut in the file where
//! it would look like a key.

use std::ops::Range;

use flowhost_detect::Detector;

/// What must be found, and what must not.
pub(crate) const POSITIVE: &str = include_str!("positive.tsv");
pub(crate) const NEGATIVE: &str = include_str!("negative.tsv");

/// A text, and what is in it.
pub(crate) struct Case {
    pub(crate) text: String,
    pub(crate) wanted: Option<(String, Range<usize>)>,
}

/// How well the detector does.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// Marked places that were found whole and under their label.
    pub(crate) right: usize,
    /// Marked places that were not.
    pub(crate) missed: Vec<String>,
    /// Places that were found and are not marked.
    pub(crate) wrong: Vec<String>,
    pub(crate) positives: usize,
    pub(crate) negatives: usize,
}

impl Score {
    pub(crate) fn recall(&self) -> f64 {
        ratio(self.right, self.right + self.missed.len())
    }

    pub(crate) fn precision(&self) -> f64 {
        ratio(self.right, self.right + self.wrong.len())
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    f64::from(u32::try_from(part).unwrap_or(u32::MAX))
        / f64::from(u32::try_from(whole.max(1)).unwrap_or(u32::MAX))
}

pub(crate) fn score() -> Score {
    let mut score = Score::default();
    for (number, line) in rows(POSITIVE).enumerate() {
        score.positives += 1;
        judge(&positive(line, number), &mut score);
    }
    for (number, line) in rows(NEGATIVE).enumerate() {
        score.negatives += 1;
        let text = expanded(line, number);
        judge(&Case { text, wanted: None }, &mut score);
    }
    score
}

fn rows(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with("# "))
}

fn positive(line: &str, number: usize) -> Case {
    let (label, text) = line.split_once('\t').unwrap_or_default();
    let text = expanded(text, number);
    let start = text.find('«').unwrap_or_default();
    let text = text.replacen('«', "", 1);
    let end = text.find('»').unwrap_or_default();
    Case {
        text: text.replacen('»', "", 1),
        wanted: Some((label.to_owned(), start..end)),
    }
}

fn judge(case: &Case, score: &mut Score) {
    let found = Detector::all().find(&case.text);
    let mut right = false;
    for place in found {
        let wanted = case.wanted.as_ref();
        if wanted.is_some_and(|(label, range)| label == place.label && *range == place.range) {
            right = true;
            continue;
        }
        let what = case.text.get(place.range).unwrap_or_default();
        score
            .wrong
            .push(format!("{}: {what:?} in {:?}", place.label, case.text));
    }
    if right {
        score.right += 1;
    } else if let Some((label, _)) = &case.wanted {
        score.missed.push(format!("{label}: {:?}", case.text));
    }
}

/// The text with its places filled in.
fn expanded(template: &str, number: usize) -> String {
    let mut letters = Letters(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once('{') {
        text.push_str(before);
        let filled = tail
            .split_once('}')
            .and_then(|(place, after)| Some((letters.fill(place)?, after)));
        match filled {
            Some((letters, after)) => {
                text.push_str(&letters);
                rest = after;
            }
            None => {
                text.push('{');
                rest = tail;
            }
        }
    }
    text.push_str(rest);
    text
}

/// Letters that look random and are the same in every run.
struct Letters(u64);

impl Letters {
    fn fill(&mut self, place: &str) -> Option<String> {
        if place == "n" {
            return Some("\n".to_owned());
        }
        if let Some(text) = place.strip_prefix('!') {
            return Some(text.to_owned());
        }
        let (class, length) = place.split_at_checked(1)?;
        let length = length.parse().ok()?;
        let alphabet = match class {
            "A" => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            "l" | "a" => "abcdefghijklmnopqrstuvwxyz0123456789",
            "U" => "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
            "B" => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
            "x" => "0123456789abcdef",
            "d" => "123456789",
            "s" => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
            "b" => "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
            _ => return None,
        };
        Some((0..length).map(|_| self.letter(alphabet)).collect())
    }

    fn letter(&mut self, alphabet: &str) -> char {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let letters = alphabet.as_bytes();
        let place = usize::try_from(self.0 >> 33).unwrap_or_default() % letters.len();
        letters.get(place).copied().map_or('x', char::from)
    }
}
