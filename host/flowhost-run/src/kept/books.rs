//! The books of a run: what stands between its records and whoever performs its calls, begun anew or where an
//! earlier process left them. A run of the host and a simulated one open and close them alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowhost_engine::Meter;
use flowhost_flow::Plan;

use crate::base::failure::Failure;
use crate::calls::desk::Recording;
use crate::calls::driver::Outcome;
use crate::earlier::resume::past::Past;
use crate::kept::journal::Journal;
use crate::meters::account;
use crate::meters::purse::Purse;

/// See the module.
pub(crate) struct Books {
    pub(crate) recording: Arc<Recording>,
    /// The number of the last call that the host made by itself.
    pub(crate) own_calls: Arc<AtomicU64>,
    /// What that was when the books were opened.
    pub(crate) counted: u64,
    /// How many processes had driven the run before.
    pub(crate) before: u64,
    recorded: Arc<Meter>,
    journal: Journal,
}

impl Books {
    /// The books of a run of `plan`, which goes on from `past` if it has one.
    pub(crate) fn open(
        journal: &Journal,
        plan: &Plan,
        purse: &Arc<Purse>,
        past: Option<&Past>,
    ) -> Self {
        let (counted, written) = past.map_or((0, 0), |past| (past.own_calls, past.bytes));
        let before = past.map_or(0, |past| past.processes);
        let own_calls = Arc::new(AtomicU64::new(counted));
        let (account, recorded) =
            account::of_run(Arc::new(journal.clone()), written, account::allowed(plan));
        let recording = Recording::new(account, own_calls.clone(), purse.clone());
        Self {
            recording: Arc::new(recording),
            own_calls,
            counted,
            before,
            recorded,
            journal: journal.clone(),
        }
    }

    /// Records how the process leaves the run: it stops before its end, or it has ended; `before` says what else is
    /// recorded of an end, before it.
    pub(crate) fn close(
        &self,
        outcome: &Outcome,
        before: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match &outcome.paused {
            Some(paused) => self.journal.run_pause(outcome, paused),
            None => {
                before()?;
                let recorded = self.recorded.evidence_bytes.load(Relaxed);
                self.journal.run_end(outcome, recorded)
            }
        }
    }
}
