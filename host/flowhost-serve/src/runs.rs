//! The runs that clients of this process have made, and their addresses.
//!
//! Nothing else of the state folder can be read through here: an id that this process did not hand out
//! is not found, whoever guesses it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::session::Session;
use crate::shelf::Document;

/// Runs that can be listed and read. Older ones are in the state folder still, and `flowhost runs` shows
/// them; a client that wants one has had a thousand calls of time.
pub(crate) const RUNS_MAX: usize = 1_000;

const SCHEME: &str = "flowhost://runs/";

/// A run, and what it was a call of.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) run: String,
    pub(crate) offer: String,
    /// The session whose calls it takes; none of a plan's.
    session: Weak<Session>,
}

/// The latest runs, oldest first.
#[derive(Default)]
pub(crate) struct Runs(Mutex<VecDeque<Made>>);

impl Runs {
    pub(crate) fn add(&self, run: &str, offer: &str, session: Weak<Session>) {
        let mut runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() >= RUNS_MAX {
            runs.pop_front();
        }
        runs.push_back(Made {
            run: run.to_owned(),
            offer: offer.to_owned(),
            session,
        });
    }

    /// The latest first.
    pub(crate) fn list(&self) -> Vec<Made> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().rev().cloned().collect()
    }

    /// What an address names, if it is of a run that was made here.
    pub(crate) fn find(&self, uri: &str) -> Option<(String, Document)> {
        let (run, file) = uri.strip_prefix(SCHEME)?.split_once('/')?;
        let document = Document::ALL.into_iter().find(|it| it.file() == file)?;
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter()
            .any(|made| made.run == run)
            .then(|| (run.to_owned(), document))
    }
}

impl Runs {
    /// The session whose calls a run takes, or took.
    pub(crate) fn session_of(&self, run: &str) -> Option<Arc<Session>> {
        let runs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let made = runs.iter().find(|made| made.run == run)?;
        made.session.upgrade()
    }
}

/// The address of a run's document.
pub(crate) fn address(run: &str, document: Document) -> String {
    format!("{SCHEME}{run}/{}", document.file())
}

/// The addresses with the run left open (RFC 6570).
pub(crate) fn template(document: Document) -> String {
    format!("{SCHEME}{{run}}/{}", document.file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_no_run_that_was_not_made_here() {
        // MCP-018
        let runs = Runs::default();
        runs.add("01A", "check", Weak::new());
        for uri in [
            "flowhost://runs/01B/report.json",
            "flowhost://runs/01A/ledger",
            "flowhost://runs/../01A/report.json",
            "flowhost://runs/01A/report.json/",
            "flowhost://runs/",
            "file:///etc/passwd",
        ] {
            assert_eq!(runs.find(uri), None, "{uri}");
        }
        let found = runs.find("flowhost://runs/01A/report.json");
        assert_eq!(found, Some(("01A".to_owned(), Document::Report)));
    }

    #[test]
    fn keeps_the_latest_only() {
        let runs = Runs::default();
        (0..RUNS_MAX + 1).for_each(|number| runs.add(&number.to_string(), "check", Weak::new()));
        assert_eq!(runs.list().len(), RUNS_MAX);
        assert_eq!(runs.list()[0].run, RUNS_MAX.to_string());
        assert_eq!(runs.find(&address("0", Document::Report)), None);
    }
}
