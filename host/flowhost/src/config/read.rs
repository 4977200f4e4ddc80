//! TOML into a typed document, with every problem and not only the first.
//!
//! A typed reader stops at what it does not know. So what it stopped at is taken out of the tree, and it
//! reads again; a key is taken out whole, because half a table would be told as another problem.

use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use crate::finding::Finding;

/// More problems than this are of one cause. Each takes a reading of the whole text, too: a hostile text has no more.
const PROBLEMS_MAX: usize = 64;

/// What a reader stopped at, for who decides by it what else is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// This key is not there.
    Missing(String),
    /// A key that nobody knows, and the one that was meant, where one is near.
    Unknown { meant: Option<String> },
    /// Anything else.
    Other,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// As it is told.
    pub(super) finding: Finding,
    /// What it is.
    pub(super) stop: Stop,
}

/// What can be read of `text`, and all that cannot.
pub(crate) fn document<T: DeserializeOwned + Default>(file: &str, text: &str) -> (T, Vec<Finding>) {
    let (document, problems) = problems(file, text);
    let findings = problems.into_iter().map(|problem| problem.finding);
    (document, findings.collect())
}

/// The same, with what each problem is.
pub(super) fn problems<T: DeserializeOwned + Default>(file: &str, text: &str) -> (T, Vec<Problem>) {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let mut found: Vec<Problem> = errors.iter().map(|it| problem(file, text, it)).collect();
    // Of a text that is no TOML nothing is read: what is missing may be what was broken.
    if !found.is_empty() {
        return (T::default(), found);
    }
    let mut taken_out: Vec<TakenOut> = Vec::new();
    while found.len() < PROBLEMS_MAX {
        let error = match T::deserialize(Deserializer::from(root.clone())) {
            Ok(document) => return (document, found),
            Err(error) => error,
        };
        let at = error.span().map(|span| span.start);
        // A table within a wrong one is read again after it was taken out, and says the same.
        let told = problem(file, text, &error);
        if !taken_out.iter().any(|key| key.is_missed(&told.stop, at)) && !found.contains(&told) {
            found.push(told);
        }
        let start = root.span().start;
        // Nothing to take out, so that the reader would stop at the same for ever.
        let Some(key) = at.and_then(|at| take_out(root.get_mut(), start, at)) else {
            break;
        };
        taken_out.push(key);
    }
    (T::default(), found)
}

/// A key that was wrong, and is told.
struct TakenOut {
    name: String,
    /// Where the table begins that it stood in.
    table: usize,
}

impl TakenOut {
    /// Whether the reader misses this very key now, which is no other problem.
    fn is_missed(&self, stop: &Stop, at: Option<usize>) -> bool {
        at == Some(self.table) && matches!(stop, Stop::Missing(name) if *name == self.name)
    }
}

/// Takes out the innermost key that stands, or whose value stands, at the byte `at`; `start` is where the
/// table begins.
fn take_out(table: &mut DeTable<'_>, start: usize, at: usize) -> Option<TakenOut> {
    // The innermost first: with the whole table gone, nothing else of it would be looked at.
    let mut own = None;
    for (key, value) in table.iter_mut() {
        let below = value.span().start;
        if let DeValue::Table(inner) = value.get_mut()
            && let Some(taken) = take_out(inner, below, at)
        {
            return Some(taken);
        }
        if holds(key, at) || holds(value, at) {
            own = Some(key.clone());
        }
    }
    let key = own?;
    table.remove(&key)?;
    Some(TakenOut {
        name: key.get_ref().to_string(),
        table: start,
    })
}

fn holds<T>(spanned: &Spanned<T>, at: usize) -> bool {
    let span = spanned.span();
    span.start == at || span.contains(&at)
}

/// Where a key stands, which is written with dots and, where a part holds one, in quotes: the nearest table around it
/// that is there.
pub(crate) fn place(text: &str, key: &str) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut found = None;
    for part in parts(key) {
        let mut members = table.iter();
        let Some((name, value)) = members.find(|(name, _)| *name.get_ref() == part) else {
            break;
        };
        found = Some(name.span());
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found
}

/// The parts of a key.
fn parts(key: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for letter in key.chars() {
        match letter {
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            letter => {
                if let Some(part) = parts.last_mut() {
                    part.push(letter);
                }
            }
        }
    }
    parts
}

/// What may stand there instead is the cure.
fn problem(file: &str, text: &str, error: &Error) -> Problem {
    let Plain {
        message,
        expected,
        stop,
    } = plain(error.message());
    let finding = Finding::at_offset(file, text, error.span(), &message);
    let finding = match (&stop, expected.as_str(), nearest(&message, &expected)) {
        (Stop::Missing(name), ..) => finding.cure(format!("add `{name}`")),
        (_, "", _) => finding,
        (_, _, Some(near)) => finding.cure(format!("did you mean `{near}`? expected {expected}")),
        (_, _, None) => finding.cure(format!("expected {expected}")),
    };
    Problem { finding, stop }
}

/// What a reader said, in the words of a person who writes the file.
struct Plain {
    message: String,
    expected: String,
    stop: Stop,
}

/// The reader speaks of fields, variants and types of its own language, and quotes the value that it found: which
/// may be a key that somebody wrote in the place of its name, so that no value is handed on. Its words are all that it
/// says of an error; this is the only place that reads them.
fn plain(message: &str) -> Plain {
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        // A text that was found may hold the words itself: what is expected stands after the last of them.
        let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, ""));
        return Plain {
            message: format!("this is {}", kind(found)),
            expected: kind(expected).to_owned(),
            stop: Stop::Other,
        };
    }
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let named = |prefix: &str| what.strip_prefix(prefix);
    let (message, stop) = if let Some(name) = named("unknown field ") {
        let message = format!("unknown key {name}");
        let meant = nearest(&message, expected).map(str::to_owned);
        (message, Stop::Unknown { meant })
    } else if let Some(name) = named("unknown variant ") {
        (format!("{name} is not a choice"), Stop::Other)
    } else if let Some(name) = named("missing field ") {
        let key = name.trim_matches('`').to_owned();
        (format!("the key {name} is missing"), Stop::Missing(key))
    } else {
        (what.to_owned(), Stop::Other)
    };
    Plain {
        message,
        expected: expected.to_owned(),
        stop,
    }
}

/// The kinds of values by the names that a person knows.
fn kind(words: &str) -> &str {
    let known = [
        ("string", "a text in quotes"),
        ("a string", "a text in quotes"),
        ("integer", "a whole number"),
        ("floating point", "a number with a point"),
        ("boolean", "`true` or `false`"),
        ("a boolean", "`true` or `false`"),
        ("sequence", "a list"),
        ("a sequence", "a list"),
        ("map", "a table"),
        ("a map", "a table"),
        ("struct", "a table"),
        ("u", "a whole number"),
        ("i", "a whole number"),
        ("f", "a number"),
    ];
    let is_kind = |name: &str| {
        let rest = words.strip_prefix(name);
        // `u32` and `f64` are one word; after all others something else begins.
        rest.is_some_and(|rest| match name.len() {
            1 => !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()),
            _ => !rest.starts_with(|letter: char| letter.is_ascii_alphanumeric()),
        })
    };
    let mut found = known.iter().filter(|(name, _)| is_kind(name));
    found.next().map_or(words, |(_, plain)| plain)
}

/// The name in back quotes of `expected` that is near the one in `message`.
fn nearest<'a>(message: &str, expected: &'a str) -> Option<&'a str> {
    let wrong = message.split('`').nth(1)?;
    let names = expected.split('`').skip(1).step_by(2);
    flowhost_words::nearest(wrong, names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_may_be_a_key_is_not_repeated() {
        let told = plain("invalid type: string \"sk-, expected one\", expected struct Source");
        assert_eq!(told.message, "this is a text in quotes");
        assert_eq!(told.expected, "a table");
    }

    #[test]
    fn a_key_is_found_and_of_one_that_is_missing_its_table() {
        let text = "[models]\ntimeout = 3\n[models.prices.\"a/b.c\"]\ninput = 1\n";
        let at = |key: &str| place(text, key).map(|it| &text[it]);
        assert_eq!(at("models.timeout"), Some("timeout"));
        assert_eq!(at("models.prices.\"a/b.c\".input"), Some("input"));
        assert_eq!(at("models.prices.\"a/b.c\".output"), Some("\"a/b.c\""));
        assert_eq!(at("other.key"), None);
    }

    #[test]
    fn kinds_have_the_names_that_a_person_knows() {
        for (words, wanted) in [
            ("integer `3`", "a whole number"),
            ("u32", "a whole number"),
            ("floating point `1.5`", "a number with a point"),
            ("a string", "a text in quotes"),
            ("a table that says it", "a table that says it"),
            ("a mapping", "a mapping"),
        ] {
            assert_eq!(kind(words), wanted, "{words}");
        }
    }

    #[derive(Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Provider {
        kind: String,
        url: Option<String>,
    }

    #[test]
    fn what_the_reader_stopped_at_is_known_without_its_words() {
        let stops = |text: &str| -> Vec<Stop> {
            let (read, found) = problems::<Provider>("a.toml", text);
            assert_eq!((read.kind.as_str(), read.url), ("", None), "{text}");
            found.into_iter().map(|it| it.stop).collect()
        };
        let no_kind = Stop::Missing("kind".to_owned());
        let url = Some("url".to_owned());
        for (text, meant) in [("ulr = \"x\"\n", url), ("something = 1\n", None)] {
            assert_eq!(
                stops(text),
                [Stop::Unknown { meant }, no_kind.clone()],
                "{text}"
            );
        }
    }

    #[test]
    fn words_of_the_reader_are_replaced() {
        let said = |message| plain(message).message;
        assert_eq!(said("unknown field `a`, expected `b`"), "unknown key `a`");
        assert_eq!(said("missing field `a`"), "the key `a` is missing");
        assert_eq!(said("something else"), "something else");
    }
}
