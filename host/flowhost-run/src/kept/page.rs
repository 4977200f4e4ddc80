//! What a run's page is made of, gathered while the run goes on.
//!
//! A page is made of the records that lie on the disk, and of nothing else: who gathers reads the ledger's files as any
//! reader does, checks the chain on the way, and at the end reads on behind what it has heard. So the page can say nothing
//! that the note does not cover, whenever its records were read. What is read early is what the end need not wait for. Must
//! never be in the way of the run: whoever records tells it now and then that there is more, and waits for nothing; a run of
//! few records has no thread for it; and what goes wrong on the way leaves the page to whoever reads everything anew.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use flowhost_flow::{Exit, Plan};
use flowhost_ledger::{LINGER, Payloads, Reached, RealDisk, Tail};

use crate::base::failure::Failure;
use crate::given::project::Project;
use crate::given::world::{AtHand, Listener};

/// Records that must have come before somebody reads them beside the run. Reading and gathering so many takes
/// milliseconds, and a thread a twentieth of one. A run of a few steps never has as many.
const BEGIN: u64 = 1_024;
/// Records between two wake-ups, which is about as many as are left for the end. A wake-up, and opening the files again, is
/// microseconds.
const EVERY: u64 = 256;

/// Who heard the records of a run, and where those begin that it has not heard.
pub(crate) struct Heard {
    listener: Box<dyn Listener>,
    tail: Tail,
    /// Where the payloads of those lie that it has heard.
    payloads: Payloads<'static>,
    plan: PlanText,
}

/// The text of a run's plan, and what that says; none where it is read again.
pub(crate) type PlanText = Option<(Arc<str>, Arc<Plan>)>;

pub(crate) fn plan_of(project: &Project) -> PlanText {
    let text = project.texts.get(&project.file);
    text.map(|text| (text.clone(), project.plan.clone()))
}

impl Heard {
    /// A listener that has heard all before the tail.
    pub(crate) const fn before(
        listener: Box<dyn Listener>,
        tail: Tail,
        payloads: Payloads<'static>,
    ) -> Self {
        Self {
            listener,
            tail,
            payloads,
            plan: None,
        }
    }

    /// The same, once it is known which plan it is.
    pub(crate) fn of_plan(self, project: &Project) -> Self {
        Self {
            plan: plan_of(project),
            ..self
        }
    }

    /// Lets the listener hear what has come since.
    fn more(&mut self) -> Result<(), Failure> {
        loop {
            let batch = self.tail.lent().map_err(|error| unheard(&error))?;
            if batch.is_empty() {
                return self.payloads.more().map_err(|error| unheard(&error));
            }
            for record in batch.records() {
                self.listener.hear(&record);
            }
        }
    }

    /// The views of the run as its folder has it now. Blocks on the disk.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    fn views(
        mut self,
        run_dir: &Path,
        signed: &Reached,
    ) -> Result<Vec<(String, Vec<u8>)>, Failure> {
        self.more()?;
        let plan = self.plan.as_ref().map(|(text, plan)| (&**text, &**plan));
        let at_hand = AtHand {
            payloads: &self.payloads,
            plan,
        };
        self.listener.views(run_dir, signed, &at_hand)
    }
}

/// The views of a run of which this was heard while it went on. Where that cannot be read on, `anew` makes them of all
/// records, as it does where nobody has heard any, and says what is still wrong then.
///
/// # Errors
/// Those of `anew`.
pub(crate) fn views_of(
    heard: Option<Heard>,
    (run_dir, signed): (&Path, &Reached),
    anew: impl FnOnce() -> Result<Vec<(String, Vec<u8>)>, Failure>,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    match heard.map(|heard| heard.views(run_dir, signed)) {
        Some(Ok(views)) => Ok(views),
        Some(Err(_)) | None => anew(),
    }
}

fn unheard(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, "the page of the run cannot be made").caused_by(error)
}

/// Reads the records of a run that goes on, once there are enough of them, on a thread of its own.
pub(crate) struct Follower {
    /// The number of the record at which it is told that there is more.
    next: AtomicU64,
    state: Mutex<State>,
}

/// Where the reading stands; nobody reads any more where there is neither.
#[derive(Default)]
struct State {
    start: Option<Start>,
    reads: Option<Reads>,
}

/// What there is before anybody reads.
enum Start {
    /// A run that begins.
    Nothing {
        listener: Box<dyn Listener>,
        run_dir: PathBuf,
        plan: PlanText,
    },
    /// What was heard when it was taken up.
    Heard(Box<Heard>),
}

/// A thread that reads whenever it is told.
struct Reads {
    told: SyncSender<()>,
    thread: JoinHandle<Option<Heard>>,
}

impl Follower {
    /// Of a run that begins with an empty ledger in `run_dir`.
    pub(crate) fn of_new(
        listener: Box<dyn Listener>,
        run_dir: PathBuf,
        plan: PlanText,
    ) -> Arc<Self> {
        let start = Start::Nothing {
            listener,
            run_dir,
            plan,
        };
        Self::begin(start, BEGIN)
    }

    /// Of a run whose first `records` were heard when it was taken up.
    pub(crate) fn of_heard(heard: Heard, records: u64) -> Arc<Self> {
        Self::begin(Start::Heard(Box::new(heard)), records.saturating_add(BEGIN))
    }

    fn begin(start: Start, next: u64) -> Arc<Self> {
        let state = State {
            start: Some(start),
            reads: None,
        };
        Arc::new(Self {
            next: AtomicU64::new(next),
            state: Mutex::new(state),
        })
    }

    /// Hears that the ledger has accepted the record of this number.
    pub(crate) fn grown(&self, seq: u64) {
        // No more than a look for nearly all records. It may be an old one that is seen here: then another comes soon.
        if seq < self.next.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Of several that come at once, one tells.
        if seq < self.next.load(Ordering::Relaxed) {
            return;
        }
        let State { start, reads } = &mut *state;
        let next = if let Some(reads) = reads {
            // One that is at work finds what has come meanwhile, or is told the next time.
            let _ = reads.told.try_send(());
            seq.saturating_add(EVERY)
        } else if let Some(start) = start.take() {
            *reads = Reads::start(start);
            seq.saturating_add(EVERY)
        } else {
            u64::MAX
        };
        self.next.store(next, Ordering::Relaxed);
    }

    /// What was heard so far; none where the page is made by reading everything. Waits for a reading that has begun.
    pub(crate) fn end(&self) -> Option<Heard> {
        let state = std::mem::take(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner));
        match (state.reads, state.start) {
            (Some(Reads { told, thread }), _) => {
                // That is how the thread is told to end.
                drop(told);
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            }
            (None, Some(Start::Heard(heard))) => Some(*heard),
            (None, Some(Start::Nothing { .. }) | None) => None,
        }
    }
}

impl Reads {
    /// None where the system gives no thread.
    fn start(start: Start) -> Option<Self> {
        let (told, more) = sync_channel(1);
        let thread = std::thread::Builder::new().name("page".to_owned());
        let thread = thread.spawn(move || followed(start, &more)).ok()?;
        Some(Self { told, thread })
    }
}

/// Reads until nobody tells of more; none where something is wrong, which whoever reads everything anew finds and says.
fn followed(start: Start, more: &Receiver<()>) -> Option<Heard> {
    let mut heard = match start {
        Start::Heard(heard) => *heard,
        Start::Nothing {
            listener,
            run_dir,
            plan,
        } => Heard {
            listener,
            tail: Tail::open(&run_dir).ok()?,
            payloads: Payloads::growing(&RealDisk, &run_dir),
            plan,
        },
    };
    loop {
        heard.more().ok()?;
        // What was told of is in the files once it has waited there for company; at the end, whoever waits for the page
        // reads what is left.
        let told = more.recv().is_ok();
        if !told || more.recv_timeout(LINGER) == Err(RecvTimeoutError::Disconnected) {
            return Some(heard);
        }
    }
}

#[cfg(test)]
mod tests;
