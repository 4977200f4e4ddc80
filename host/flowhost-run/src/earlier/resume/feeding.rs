//! The planner of a run that is taken up, fed while the run's records are still being read.
//!
//! Both are long for a long run, and neither needs more of the other than its order; so they are done beside each other.
//! The thread that feeds ends with the reading, and what comes of it is the same whatever turns it takes. Nothing is
//! believed sooner for it: whoever reads looks first at everything that could be wrong with the run, and a planner that was
//! fed for nothing is dropped. Must never hold more than a few batches of records that were not fed yet, and performs
//! nothing.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use flowhost_flow::planner::ReplayError;
use flowhost_flow::{Plan, RunSetup};
use flowhost_ledger::LentBatch;

use crate::earlier::resume::fed::{self, Fed, FedError};
use crate::earlier::resume::rebuild::{AsItWas, Rebuilding};

/// Batches that wait to be fed. Each has some hundred records, and those who hear them share it.
const BATCHES_MAX: usize = 8;

/// The plan of a run that was set up like this; none if its planner is not to be fed.
pub(crate) type PlanOf<'p> = dyn Fn(&RunSetup) -> Option<Arc<Plan>> + Sync + 'p;

/// What the planner was fed, and what came of it.
pub(crate) struct FedBeside {
    pub(crate) fed: Result<Fed, FedError>,
    /// The planner as it was, and what was open; none where there was no plan to feed it with.
    pub(crate) rebuilt: Option<AsItWas>,
}

/// Hands records over to the thread that feeds the planner.
pub(super) struct Feeder<'scope> {
    to: SyncSender<Arc<LentBatch>>,
    thread: ScopedJoinHandle<'scope, FedBeside>,
}

impl<'scope> Feeder<'scope> {
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(
        scope: &'scope Scope<'scope, '_>,
        reader: fed::Reader<'scope>,
        plan: &'scope PlanOf<'scope>,
    ) -> io::Result<Self> {
        let (to, batches) = sync_channel(BATCHES_MAX);
        let thread = Builder::new().name("resume-feed".to_owned());
        Ok(Self {
            to,
            thread: thread.spawn_scoped(scope, move || feed(batches, reader, plan))?,
        })
    }

    /// Takes the next records.
    pub(super) fn take(&self, batch: &Arc<LentBatch>) {
        // The thread takes whatever comes, unless it has panicked: whoever waits for its end hears of that.
        let _taken = self.to.send(batch.clone());
    }

    /// What came of it, once all records were taken.
    pub(super) fn end(self) -> FedBeside {
        drop(self.to);
        let ended = self.thread.join();
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn feed(
    batches: Receiver<Arc<LentBatch>>,
    mut reader: fed::Reader<'_>,
    plan: &PlanOf<'_>,
) -> FedBeside {
    let mut planning = Planning {
        plan,
        asked: false,
        rebuilding: None,
        fed: 0,
    };
    for batch in batches {
        // Half of all records are none that a planner is fed with.
        for record in batch.records().filter(fed::matters) {
            // What cannot be read is told by whoever hands the records over.
            if let Ok(Some(said)) = record.read() {
                reader.take(&record, &said);
            }
        }
        planning.go_on(&reader);
    }
    let rebuilt = planning.rebuilding;
    FedBeside {
        rebuilt: rebuilt.map(|rebuilding| rebuilding.map(Rebuilding::done)),
        fed: reader.done(),
    }
}

/// A planner that is fed what a reader has gathered.
struct Planning<'p> {
    plan: &'p PlanOf<'p>,
    /// Whether the plan was asked for.
    asked: bool,
    rebuilding: Option<Result<Rebuilding, ReplayError>>,
    /// Events that it was fed.
    fed: usize,
}

impl Planning<'_> {
    /// Feeds what has come since the last time.
    fn go_on(&mut self, reader: &fed::Reader<'_>) {
        // What is wrong with the records is told by whoever gathered them.
        let Some((setup, events, ends)) = reader.so_far() else {
            return;
        };
        if !self.asked {
            self.asked = true;
            let plan = (self.plan)(setup);
            self.rebuilding = plan.map(|plan| Rebuilding::new(plan, setup.clone()));
        }
        // There is no plan to feed it with, or what came before is of another plan.
        let Some(Ok(rebuilding)) = &mut self.rebuilding else {
            return;
        };
        let mut more = events.iter().skip(self.fed);
        let fed = more.try_for_each(|event| rebuilding.feed(event, ends));
        self.fed = events.len();
        if let Err(foreign) = fed {
            self.rebuilding = Some(Err(foreign));
        }
    }
}
