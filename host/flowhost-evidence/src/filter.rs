//! Which of a run's records a person wants to see.

use flowhost_ledger::records::{GuardVerdict, Record};

use crate::places::Places;
use crate::runs::RecordEntry;

/// A choice of records; the default takes all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// A step's path: the step, its items and visits, and what is below it.
    pub step: Option<String>,
    /// Kinds of records; none takes all kinds.
    pub kinds: Vec<String>,
    /// Only what was denied.
    pub denials: bool,
}

impl Filter {
    /// Whether it takes everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a step of this path is meant: `check` means `check[3]`, `check#2` and `check/inner` too.
    #[must_use]
    pub fn means(&self, path: &str) -> bool {
        let Some(step) = self.step.as_deref() else {
            return true;
        };
        path.strip_prefix(step)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '#', '/']))
    }

    /// The records that are meant, in their order.
    #[must_use]
    pub fn of(&self, records: Vec<RecordEntry>) -> Vec<RecordEntry> {
        let places = Places::of(&records);
        let of_step = |said: &Record| {
            // What the planner is fed repeats what the step's own records say.
            let is_told = matches!(said, Record::PlannerEvent(_));
            !is_told && places.path(said).is_some_and(|path| self.means(path))
        };
        let meant = |record: &RecordEntry| {
            let said = record.said.as_ref();
            let step = self.step.is_none() || said.is_some_and(of_step);
            let kind = self.kinds.is_empty() || self.kinds.contains(&record.kind);
            step && kind && (!self.denials || said.is_some_and(is_refusal))
        };
        records.into_iter().filter(meant).collect()
    }
}

/// Whether somebody was refused: a right was missing, or a guardrail on a step denied and was no mere warning.
fn is_refusal(said: &Record) -> bool {
    let denies = |it: &GuardVerdict| {
        let is_guardrail = it.check.is_none() && it.warning.is_none();
        is_guardrail && it.verdict.as_deref() == Some("deny") && it.warned != Some(true)
    };
    said.is_denial() || matches!(said, Record::GuardVerdict(it) if denies(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_means_its_items_and_visits_and_no_step_that_begins_alike() {
        let filter = Filter {
            step: Some("check".to_owned()),
            ..Filter::default()
        };
        for path in ["check", "check[3]", "check#2", "check/inner"] {
            assert!(filter.means(path), "{path}");
        }
        for path in ["checks", "check-2", "a/check", ""] {
            assert!(!filter.means(path), "{path}");
        }
    }
}
