//! Which tools plugins showed the run before it was taken up, so that a server that shows others now is not called for
//! a run that chose by the first (MCP-002).
//!
//! What counts is what was shown when the planner went on after it: a process that was refused, or killed while it
//! recorded what it was shown, has called nothing by it.

use std::borrow::Cow;

use flowhost_ledger::records::lent::Record;
use flowhost_ledger::{Kind, LentRecord};

use crate::base::failure::Failure;
use crate::earlier::resume::unreadable;
use crate::plugins::server::ToolHashes;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Shown {
    /// What the planner went on by.
    held: ToolHashes,
    /// What was shown since.
    since: ToolHashes,
}

impl Shown {
    /// Takes the next record.
    ///
    /// # Errors
    /// When it is not what its kind says.
    pub(super) fn take(&mut self, record: &LentRecord<'_>) -> Result<(), Failure> {
        match record.kind {
            Some(Kind::PlannerEvent) => self.held.append(&mut self.since),
            Some(Kind::ToolList) => {
                let said = record.read().map_err(|error| unreadable(&error))?;
                let Some(Record::ToolList(list)) = said else {
                    debug_assert!(false, "a record is read as its kind says");
                    return Ok(());
                };
                let tools = list.tools.into_iter();
                let owned = |(tool, hash): (Cow<'_, str>, Cow<'_, str>)| {
                    (tool.into_owned(), hash.into_owned())
                };
                let tools = tools.map(owned).collect();
                self.since.insert(list.plugin.into_owned(), tools);
            }
            _ => {}
        }
        Ok(())
    }

    /// What it comes to.
    pub(super) fn done(self) -> ToolHashes {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use flowhost_ledger::records::{PlannerEvent, RecordKind as _, ToolList};
    use flowhost_ledger::{Fact, HostKey, Ledger, LedgerOptions, RealDisk, Recorder as _};

    use super::*;

    fn list(hash: &str) -> Fact {
        let list = ToolList {
            plugin: "notes".to_owned(),
            component: "sha256:0".to_owned(),
            tools: BTreeMap::from([("read".to_owned(), hash.to_owned())]),
        };
        list.by("default/host")
    }

    fn shown(facts: Vec<Fact>) -> ToolHashes {
        let dir = tempfile::tempdir().unwrap();
        let key = Arc::new(HostKey::from_seed("host.example", [7; 32]).unwrap());
        let run = "01KBGHJKMNPQRSTVWXYZ012345";
        let options = LedgerOptions::new(dir.path(), "default", run, key);
        let ledger = Ledger::open(&options).unwrap();
        for fact in facts {
            ledger.append(fact).unwrap();
        }
        ledger.close_blocking().unwrap();
        let mut shown = Shown::default();
        for batch in flowhost_ledger::read_lent_in(&RealDisk, dir.path()).unwrap() {
            let batch = batch.unwrap();
            for record in batch.records() {
                shown.take(&record).unwrap();
            }
        }
        shown.done()
    }

    #[test]
    fn what_a_process_was_shown_that_called_nothing_does_not_count() {
        let event = PlannerEvent {
            event: "started".to_owned(),
            ..PlannerEvent::default()
        };
        let went_on = event.by("default/host");
        let refused = shown(vec![list("sha256:a"), went_on, list("sha256:b")]);
        assert_eq!(refused["notes"]["read"], "sha256:a");
        assert!(shown(vec![list("sha256:a")]).is_empty());
    }
}
