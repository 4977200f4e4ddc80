//! What was probably meant by names that nothing has, for as many of them as somebody reads.
//!
//! A list of names in a `config:` may be as long as a plan, and every agent may share it. To compare all of them with all
//! that there is takes minutes, of a plan of a few thousand bytes.

use std::cell::Cell;

use flowhost_words::{WORDS_MAX, nearest};

use crate::base::finding::Finding;
use crate::given::project::Project;

/// Names of one kind that are told; more say nothing new.
const TOLD_MAX: usize = 200;

/// Known names that all wrong ones of a kind are compared with: of a plan with ten agents, each of the two hundred; of one
/// with thousands, the first few.
const COMPARED_MAX: usize = 2 * WORDS_MAX;

/// Known names that a cure lists.
const LISTED_MAX: usize = 100;

/// How many names may still be told of, and guessed.
#[derive(Debug)]
pub(crate) struct Guesses {
    told_left: Cell<usize>,
    compared_left: Cell<usize>,
    /// Whether there were more to tell of.
    hides: Cell<bool>,
}

impl Guesses {
    pub(crate) fn new() -> Self {
        Self {
            told_left: Cell::new(TOLD_MAX),
            compared_left: Cell::new(COMPARED_MAX),
            hides: Cell::new(false),
        }
    }

    /// Whether one more may be told.
    pub(crate) fn one_more(&self) -> bool {
        match self.told_left.get().checked_sub(1) {
            Some(left) => self.told_left.set(left),
            None => self.hides.set(true),
        }
        !self.hides.get()
    }

    /// The known name that was probably meant; none where enough were compared.
    pub(crate) fn nearest<'a>(&self, wrong: &str, known: &[&'a str]) -> Option<&'a str> {
        let looked_at = known.len().min(WORDS_MAX);
        let left = self.compared_left.get().checked_sub(looked_at)?;
        self.compared_left.set(left);
        nearest(wrong, known.iter().copied())
    }

    /// That there was more to tell of.
    pub(crate) fn hidden(&self, project: &Project) -> Option<Finding> {
        let message = "more is named in a `config:` that the plan does not have, and is not listed";
        let hides = self.hides.get();
        hides.then(|| {
            Finding::new(&project.file, message).cure("mend those that are listed, and look again")
        })
    }
}

/// The first of the known names.
pub(crate) fn listed(known: &[&str]) -> String {
    known.get(..LISTED_MAX).unwrap_or(known).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_names_are_told_and_no_more() {
        let guesses = Guesses::new();
        for _ in 0..TOLD_MAX {
            assert!(guesses.one_more());
        }
        assert!(!guesses.hides.get());
        assert!(!guesses.one_more());
        assert!(guesses.hides.get());
    }

    #[test]
    fn of_thousands_of_names_the_first_few_wrong_ones_are_guessed() {
        let names: Vec<String> = (0..3 * WORDS_MAX).map(|it| format!("agent{it}")).collect();
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let guesses = Guesses::new();
        for _ in 0..COMPARED_MAX / WORDS_MAX {
            assert_eq!(guesses.nearest("agnet7", &known), Some("agent7"));
        }
        assert_eq!(guesses.nearest("agnet7", &known), None);
        assert_eq!(listed(&known).split(", ").count(), LISTED_MAX);
    }
}
