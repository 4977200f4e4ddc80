//! Which of a run's records a person wants to see.

use std::collections::BTreeSet;

use flowhost_ledger::records::Record;

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

    /// Whether a record has the path of a step that is meant.
    fn names(&self, said: &Record) -> bool {
        !said.path().is_empty() && self.means(said.path())
    }

    /// The records that are meant, in their order.
    #[must_use]
    pub fn of(&self, records: Vec<RecordEntry>) -> Vec<RecordEntry> {
        // Most records name a step by its id; those that begin and end one have its path as well.
        let said = records.iter().filter_map(|record| record.said.as_ref());
        let ids: BTreeSet<String> = said
            .filter(|said| self.names(said))
            .map(|said| said.step().to_owned())
            // A `foreach` as a whole has a path and no id, and records of no step have none either.
            .filter(|id| !id.is_empty())
            .collect();
        // And a result names its call, which names its step.
        let calls: BTreeSet<String> = records
            .iter()
            .filter_map(|record| match &record.said {
                Some(Record::ToolCall(it)) if ids.contains(&it.call_of.step) => {
                    it.call_of.call.clone()
                }
                _ => None,
            })
            .collect();
        let of_step = |said: &Record| match said {
            Record::ToolResult(it) => {
                let call = it.call_of.call.as_ref();
                call.is_some_and(|call| calls.contains(call)) || ids.contains(said.step())
            }
            said => ids.contains(said.step()) || self.names(said),
        };
        let meant = |record: &RecordEntry| {
            let said = record.said.as_ref();
            let step = self.step.is_none() || said.is_some_and(of_step);
            let kind = self.kinds.is_empty() || self.kinds.contains(&record.kind);
            step && kind && (!self.denials || said.is_some_and(Record::is_denial))
        };
        records.into_iter().filter(meant).collect()
    }
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
