//! How a command fails: what, why, cure, and the exit code, collected as data and printed once, last.

use flowhost_flow::{Exit, RunStatus};
use flowhost_ledger::LedgerError;
use flowhost_words::{filled, is_second_key};

use crate::base::finding::Finding;

/// A command that did not do what was asked.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Decides the exit code.
    pub exit: Exit,
    /// What failed.
    pub message: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
    /// Places in files, when files are at fault.
    pub findings: Vec<Finding>,
    /// The run on whose record it is, where one was there that could not go on to its first step.
    pub run: Option<Box<RefusedRun>>,
}

/// A run that was refused before its first step, or before the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRun {
    /// Its id.
    pub id: String,
    /// How it stands now.
    pub status: &'static str,
}

impl Failure {
    /// A failure without causes.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            findings: Vec::new(),
            run: None,
        }
    }

    /// The same, of a run that has it on record and stands like this.
    pub(crate) fn of_run(mut self, run: &str, status: &'static str) -> Self {
        let id = run.to_owned();
        self.run = Some(Box::new(RefusedRun { id, status }));
        self
    }

    /// How a run stands that ended with it before its first step.
    #[must_use]
    pub(crate) const fn ended(&self) -> RunStatus {
        match self.exit.status() {
            // It has ended, and not well, whatever kept it from beginning.
            RunStatus::Ok | RunStatus::Waiting | RunStatus::Interrupted => RunStatus::Failed,
            status => status,
        }
    }

    /// What is wrong with files, all at once. Exit code 1.
    #[must_use]
    pub fn findings(what: &str, findings: Vec<Finding>) -> Self {
        let count = findings.len();
        let s = if count == 1 { "" } else { "s" };
        let mut failure = Self::new(Exit::Internal, format!("{what} has {count} problem{s}"));
        failure.findings = findings;
        failure
    }

    /// What is wrong with the plan, all at once.
    pub(crate) fn in_plan<P: Into<Finding>>(problems: Vec<P>) -> Self {
        Self::findings("the plan", problems.into_iter().map(Into::into).collect())
    }

    /// Adds a cause below those that are there.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// Adds a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        let hint = hint.into();
        if !hint.is_empty() && !self.hints.contains(&hint) {
            self.hints.push(hint);
        }
        self
    }

    /// The same with what `word` (`RUN`, `PLAN`, `STEP`) stands for in the commands of its hints: whoever wrote them did
    /// not know it, and whoever types them must not have to look for it.
    #[must_use]
    pub fn named(mut self, word: &str, value: &str) -> Self {
        for hint in &mut self.hints {
            *hint = filled(hint, word, value);
        }
        self
    }

    /// Adds an error and its sources as causes.
    #[must_use]
    pub fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            // Other crates know no hints as data: theirs stand in the text.
            let text = error.to_string();
            let (cause, hint) = text.split_once("\n\nhint: ").unwrap_or((&text, ""));
            self = self.because(cause).hint(hint);
            next = error.source();
        }
        self
    }
}

/// How the cure of a denial by `rule` begins: most are lines of a profile, which belong somewhere in it; the second
/// of two keys is an option.
#[must_use]
pub fn would_allow(rule: &str, cure: &str) -> String {
    if is_second_key(cure) {
        return "this option of the command would allow it:".to_owned();
    }
    let head = cure.lines().next().unwrap_or_default();
    let place = match head {
        // Before `[`, with which it begins as well.
        head if head.starts_with("[[") => "this table more in its profile".to_owned(),
        head if head.starts_with('[') => format!("this line of {head} in its profile"),
        _ if rule.starts_with("files[") => {
            "this in the [[files]] of that folder in its profile".to_owned()
        }
        _ if rule.starts_with("http[") || rule.starts_with("egress.") => {
            "this in the [[http]] of that address in its profile".to_owned()
        }
        _ => "this above the first [table] of its profile".to_owned(),
    };
    format!("{place} would allow it:")
}

/// What to do about a denial that no profile can lift, because what was asked for is wrong in itself.
#[must_use]
pub fn ask_otherwise(rule: &str) -> Option<&'static str> {
    (rule == "files.path").then_some(
        "a path begins with `/` and the name of a folder that the profile grants, as in `/notes/a.md`; it holds no \
         `..` and no backslash",
    )
}

/// A ledger or the index of runs that cannot be written.
pub(crate) fn ledger_failure(message: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    // Nothing is wrong with the disk where the record itself is one that no ledger takes.
    let hint = match refused(error) {
        true => {
            "a record is one line of at most 64 KiB, and what this one is made of does not fit: \
             shorten its names, paths and texts"
        }
        false => {
            "nothing was acknowledged that is not on the disk; check free space and the disk, \
             then `flowhost runs resume RUN`, with the options that it had, goes on"
        }
    };
    Failure::new(Exit::Internal, message)
        .caused_by(error)
        .hint(hint)
}

/// Whether the ledger refused a record for what it is.
fn refused(error: &(dyn std::error::Error + 'static)) -> bool {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.filter_map(|error| error.downcast_ref::<LedgerError>())
        .any(|error| matches!(error, LedgerError::Refused(_)))
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::{IndexError, LedgerError};
    use flowhost_words::SECOND_KEYS;

    use super::{ledger_failure, would_allow};

    #[test]
    fn a_record_that_is_refused_for_its_length_is_not_told_as_a_fault_of_the_disk() {
        let refused = || LedgerError::Refused("the line would be 70000 bytes long".to_owned());
        let poisoned = LedgerError::Poisoned("no space left".to_owned());
        let of_index = std::sync::Arc::new(IndexError::Ledger(refused()));
        let hint = |error: &(dyn std::error::Error + 'static)| {
            ledger_failure("it cannot be made", error).hints.join("\n")
        };
        assert!(hint(&refused()).starts_with("a record is one line"));
        assert!(hint(&IndexError::Together(of_index)).starts_with("a record is one line"));
        assert!(hint(&poisoned).contains("check free space"));
    }

    #[test]
    fn an_option_is_not_told_as_a_line_of_a_profile_nor_a_line_as_an_option() {
        for key in SECOND_KEYS {
            assert!(would_allow("http[0]", key).starts_with("this option"));
        }
        for (cure, place) in [
            ("[[http]]\nurl = \"https://a.example/\"", "this table more"),
            ("private_network = true", "this in the [[http]]"),
            // Nothing that a cure names is an option for its first letters.
            ("--help", "this in the [[http]]"),
        ] {
            assert!(would_allow("http[0]", cure).starts_with(place), "{cure}");
        }
    }
}
