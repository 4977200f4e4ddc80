//! TOML into a typed document, with every problem and not only the first.
//!
//! A typed reader stops at what it does not know. So what it stopped at is taken out of the tree, and it
//! reads again; a key is taken out whole, because half a table would be told as another problem.

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer, Error};

use crate::finding::Finding;

/// More problems than this are of one cause.
const PROBLEMS_MAX: usize = 64;

/// What can be read of `text`, and all that cannot.
pub(crate) fn document<T: DeserializeOwned + Default>(file: &str, text: &str) -> (T, Vec<Finding>) {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let mut findings: Vec<Finding> = errors.iter().map(|it| finding(file, text, it)).collect();
    if !findings.is_empty() {
        return (T::default(), findings);
    }
    let mut taken_out: Vec<TakenOut> = Vec::new();
    while findings.len() < PROBLEMS_MAX {
        let error = match T::deserialize(Deserializer::from(root.clone())) {
            Ok(document) => return (document, findings),
            Err(error) => error,
        };
        let at = error.span().map(|span| span.start);
        if !taken_out.iter().any(|key| key.is_missed(&error, at)) {
            findings.push(finding(file, text, &error));
        }
        let start = root.span().start;
        let Some(key) = at.and_then(|at| take_out(root.get_mut(), start, at)) else {
            break;
        };
        taken_out.push(key);
    }
    (T::default(), findings)
}

/// A key that was wrong, and is told.
struct TakenOut {
    name: String,
    /// Where the table begins that it stood in.
    table: usize,
}

impl TakenOut {
    /// Whether the reader misses this very key now, which is no other problem.
    fn is_missed(&self, error: &Error, at: Option<usize>) -> bool {
        at == Some(self.table) && error.message() == format!("missing field `{}`", self.name)
    }
}

/// Takes out the innermost key that stands, or whose value stands, at the byte `at`; `start` is where the
/// table begins.
fn take_out(table: &mut DeTable<'_>, start: usize, at: usize) -> Option<TakenOut> {
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

/// What may stand there instead is the cure.
fn finding(file: &str, text: &str, error: &Error) -> Finding {
    let message = error.message();
    let (message, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let finding = Finding::at_offset(file, text, error.span(), message);
    match (expected, nearest(message, expected)) {
        ("", _) => finding,
        (_, Some(near)) => finding.cure(format!("did you mean `{near}`? expected {expected}")),
        (_, None) => finding.cure(format!("expected {expected}")),
    }
}

/// The name in back quotes of `expected` that is near the one in `message`.
fn nearest<'a>(message: &str, expected: &'a str) -> Option<&'a str> {
    let wrong = message.split('`').nth(1)?;
    let names = expected.split('`').skip(1).step_by(2);
    flowhost_words::nearest(wrong, names)
}
