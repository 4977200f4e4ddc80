//! What is wrong with a plan, where, and what to do about it.
//!
//! One type for every finding, from a YAML error to a cycle, so that a file is judged whole and the
//! user sees all of it at once. It never holds a value that could be a secret: messages name keys.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use flowhost_words::{WORDS_MAX, nearest};
use jsonptr::Token;
use serde::Serialize;

/// A place in a plan file: 1-based line and column, counted in characters. `0:0` is "nowhere".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct At {
    /// 1-based line.
    pub line: u32,
    /// 1-based column, in characters.
    pub column: u32,
}

/// Where the parts of something stand in its file, by JSON pointer (RFC 6901): what is wrong with a part is told
/// there, and not where the whole begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places(BTreeMap<String, At>);

impl Places {
    pub(crate) fn insert(&mut self, pointer: String, at: At) {
        self.0.insert(pointer, at);
    }

    /// Where the part stands, or the nearest one around it that has a place; none where nothing has.
    #[must_use]
    pub fn around(&self, pointer: &str) -> Option<At> {
        let mut pointer = pointer;
        loop {
            if let Some(at) = self.0.get(pointer) {
                return Some(*at);
            }
            pointer = pointer.rsplit_once('/')?.0;
        }
    }
}

/// The JSON pointer (RFC 6901) of a member.
pub(crate) fn child(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", Token::new(key).encoded())
}

/// One finding about a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The plan file's name as the caller gave it.
    pub file: String,
    /// 1-based line, 0 when the finding has no place.
    pub line: u32,
    /// 1-based column in characters, 0 when the finding has no place.
    pub column: u32,
    /// What is wrong, and why that is a problem.
    pub message: String,
    /// What the author can do; empty when there is nothing better to say than the message.
    pub cure: String,
}

impl Problem {
    /// Where it stands.
    pub(crate) const fn place(&self) -> At {
        At {
            line: self.line,
            column: self.column,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )?;
        if self.cure.is_empty() {
            Ok(())
        } else {
            write!(f, "\n  hint: {}", self.cure)
        }
    }
}

impl std::error::Error for Problem {}

/// Findings of one file, collected while it is read.
#[derive(Debug)]
pub(crate) struct Problems {
    file: String,
    found: Vec<Problem>,
    /// Known words that may still be compared with wrong ones.
    words_left: Cell<usize>,
    /// Places of which all has been said.
    closed: BTreeSet<At>,
}

/// More findings than this about one file say nothing new; the rest are counted.
const PROBLEMS_MAX: usize = 200;

/// Known words that all wrong ones of a file are compared with: every problem of a file with two hundred names, or the
/// first twenty of one with thousands, as many as a report shows with their lines. To compare all with all takes seconds,
/// and who has so many wrong names has not misspelt each.
const COMPARED_MAX: usize = 20 * WORDS_MAX;

impl Problems {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            found: Vec::new(),
            words_left: Cell::new(COMPARED_MAX),
            closed: BTreeSet::new(),
        }
    }

    /// Whether nothing that is added from here on is listed: to look for more is work for nobody.
    pub(crate) fn is_full(&self) -> bool {
        self.found.len() > PROBLEMS_MAX
    }

    pub(crate) fn add(&mut self, at: At, message: impl Into<String>, cure: impl Into<String>) {
        if self.found.len() > PROBLEMS_MAX || self.closed.contains(&at) {
            return;
        }
        let (message, cure) = if self.found.len() == PROBLEMS_MAX {
            (
                "more problems follow that are not listed".to_owned(),
                String::new(),
            )
        } else {
            (message.into(), cure.into())
        };
        let file = self.file.clone();
        self.found.push(Problem {
            file,
            line: at.line,
            column: at.column,
            message,
            cure,
        });
    }

    /// The same, of a value that could not be read: what else would be said of this place only follows from that.
    pub(crate) fn add_alone(
        &mut self,
        at: At,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.add(at, message, cure);
        if at != At::default() {
            self.closed.insert(at);
        }
    }

    /// Where there are any.
    pub(crate) fn places(&self) -> impl Iterator<Item = At> + '_ {
        self.found.iter().map(Problem::place)
    }

    /// The same, unless it has been told: what stands in `defaults:` is looked at for each step.
    pub(crate) fn add_once(&mut self, at: At, message: String, cure: String) {
        let told = |problem: &Problem| {
            (problem.line, problem.column) == (at.line, at.column) && problem.message == message
        };
        if !self.found.iter().any(told) {
            self.add(at, message, cure);
        }
    }

    /// A cure that has to be looked for, as long as problems are listed: nobody reads that of one that is not.
    pub(crate) fn cure(&self, look: impl FnOnce() -> String) -> String {
        match self.found.len() < PROBLEMS_MAX {
            true => look(),
            false => String::new(),
        }
    }

    /// [`suggest`], as long as problems are listed; what is known, without a guess, once [`COMPARED_MAX`] words have been
    /// compared.
    pub(crate) fn suggest<'a>(
        &self,
        what: &str,
        wrong: &str,
        known: impl FnOnce() -> Vec<&'a str>,
    ) -> String {
        self.cure(|| {
            let known = known();
            let looked_at = known.len().min(WORDS_MAX);
            match self.words_left.get().checked_sub(looked_at) {
                Some(left) => {
                    self.words_left.set(left);
                    suggest(what, wrong, known.into_iter())
                }
                None => listed(what, known.into_iter()),
            }
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All findings in the order of the file.
    pub(crate) fn into_sorted(mut self) -> Vec<Problem> {
        self.found
            .sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
        self.found.dedup();
        self.found
    }
}

/// `did you mean …?` when there is a near name, else the list of what is known.
pub(crate) fn suggest<'a>(
    what: &str,
    wrong: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> String {
    if let Some(name) = nearest(wrong, known.clone()) {
        return format!("did you mean `{name}`?");
    }
    listed(what, known)
}

/// The first of what is known.
fn listed<'a>(what: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<String> = known.take(24).map(|name| format!("`{name}`")).collect();
    // A name that is given twice is told where it is.
    names.dedup();
    if names.is_empty() {
        return format!("no {what} is declared here");
    }
    format!("known {what}s: {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_is_looked_for_as_long_as_somebody_is_told() {
        let mut problems = Problems::new("p.yaml");
        let meant = |problems: &Problems| problems.suggest("step", "stepp", || vec!["step"]);
        assert_eq!(meant(&problems), "did you mean `step`?");
        for number in 0..PROBLEMS_MAX {
            problems.add(At::default(), number.to_string(), "");
        }
        // Nobody would read it.
        assert_eq!(meant(&problems), "");
    }

    #[test]
    fn of_thousands_of_names_the_first_few_wrong_ones_are_guessed() {
        let problems = Problems::new("p.yaml");
        let names: Vec<String> = (0..3 * WORDS_MAX).map(|it| format!("step{it}")).collect();
        let known = || -> Vec<&str> { names.iter().map(String::as_str).collect() };
        for _ in 0..COMPARED_MAX / WORDS_MAX {
            let cure = problems.suggest("step", "setp7", known);
            assert_eq!(cure, "did you mean `step7`?");
        }
        let cure = problems.suggest("step", "setp7", known);
        assert!(cure.starts_with("known steps: `step0`, `step1`"), "{cure}");
    }
}
