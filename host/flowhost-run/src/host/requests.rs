//! A run that is open to requests, as whoever holds it sees it: ask for a step, take it back, close the run.
//!
//! What is asked goes to the run's driver in the order in which it was asked, and is recorded before the planner hears
//! of it. What comes back is on record before anybody is told: a reply that was handed out is in the ledger's files,
//! and in durable mode on the disk, whatever becomes of this process.

use std::sync::{Mutex, MutexGuard, PoisonError};

use flowhost_flow::planner::RequestId;
use flowhost_flow::{Amounts, Exit};
use flowhost_ledger::{Ledger, LedgerError};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::base::failure::{Failure, ledger_failure};
use crate::host::handle::{Run, RunState};

/// Wishes that wait for the driver of one run. It takes one in some microseconds, and whoever serves clients bounds how
/// many have one at work; beyond it a request is refused.
const WISHES_MAX: usize = 1_024;

/// What a driver is asked.
pub(crate) enum Wish {
    /// A step.
    Request(Box<Request>),
    /// That a request be taken back.
    Withdraw(RequestId),
    /// That the run end, because nobody asks any more; with a reason to stop what is at work, or without.
    Close(Option<String>),
}

/// A step that is asked for.
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) step: String,
    pub(crate) input: Value,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// What a driver replies.
pub(crate) enum Reply {
    Done(Box<Done>),
    /// It has ended, and nothing of the request is on record.
    Unheard,
}

/// What became of a request.
pub(crate) struct Done {
    pub(crate) replied: Replied,
    /// What it is on record in; none where records are kept in memory.
    pub(crate) ledger: Option<Ledger>,
    /// Nobody else waits for a reply of the run.
    pub(crate) alone: bool,
}

/// Takes requests until the driver has ended.
pub(super) struct Intake(Mutex<Inner>);

struct Inner {
    into: mpsc::Sender<Wish>,
    /// Until the driver takes it.
    from: Option<mpsc::Receiver<Wish>>,
    next: u64,
    closed: bool,
}

impl Intake {
    pub(super) fn new() -> Self {
        let (into, from) = mpsc::channel(WISHES_MAX);
        Self(Mutex::new(Inner {
            into,
            from: Some(from),
            next: 0,
            closed: false,
        }))
    }

    /// The run has ended: what its driver never took reaches nobody.
    pub(super) fn shut(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.from = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no reply.
#[derive(Debug)]
pub enum Unheard {
    /// The run takes no more, and nothing of the request is on record: another run may be asked.
    Closed,
    /// Something is wrong with the run, or with its ledger.
    Failed(Failure),
}

/// What a request came to.
#[derive(Debug)]
pub struct Replied {
    /// Where its work stood: the step and the number of the request.
    pub path: String,
    /// What the step gives: of a tool its whole content, `{"value": …, "parts": […]}`. As the ledger keeps it: without
    /// secrets, and without what the plan has redacted.
    pub result: Result<Value, flowhost_flow::Failure>,
    /// What whoever asked should know beside that, a sentence each: of a call that was stopped, that nobody knows whether it
    /// had its effect.
    pub warnings: Vec<String>,
    /// What its calls used.
    pub used: Amounts,
    /// Bytes of all records and payloads of the run when this is on record; zero where they are kept in memory, and where
    /// the run has ended.
    pub run_bytes: u64,
}

/// A request that is under way. Dropped, it goes on, and nobody hears the reply.
pub struct Requested {
    run: Run,
    id: RequestId,
    path: String,
    reply: oneshot::Receiver<Reply>,
}

impl Run {
    /// Asks for a step of a run that is open to requests, with an input.
    ///
    /// # Errors
    /// [`Unheard::Closed`] when the run takes no requests any more, or never did; [`Unheard::Failed`] when more wait
    /// than it holds.
    pub fn request(&self, step: &str, input: Value) -> Result<Requested, Unheard> {
        let Some(intake) = &self.0.intake else {
            debug_assert!(false, "the run is not open to requests");
            return Err(Unheard::Closed);
        };
        let (reply, replied) = oneshot::channel();
        // Held until it is sent, so that requests stand in the queue in the order of their numbers, and none behind
        // the word that closes the run.
        let mut inner = intake.lock();
        if inner.closed {
            return Err(Unheard::Closed);
        }
        let id = RequestId(inner.next);
        let wish = Wish::Request(Box::new(Request {
            id,
            step: step.to_owned(),
            input,
            reply,
        }));
        match inner.into.try_send(wish) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(Unheard::Closed),
            Err(mpsc::error::TrySendError::Full(_)) => {
                let message = "as many requests wait for the run as it holds";
                let failure = Failure::new(Exit::Limit, message).hint("ask again in a moment");
                return Err(Unheard::Failed(failure));
            }
        }
        inner.next += 1;
        drop(inner);
        Ok(Requested {
            run: self.clone(),
            path: id.path_of(step),
            id,
            reply: replied,
        })
    }

    /// Ends a run that is open to requests, once what is at work has come to its end; with `stops`, what is at work
    /// is stopped for this reason, also where it was closed before without one.
    pub fn close(&self, stops: Option<&str>) {
        let Some(intake) = &self.0.intake else {
            debug_assert!(false, "the run is not open to requests");
            return;
        };
        let mut inner = intake.lock();
        let before = std::mem::replace(&mut inner.closed, true);
        if !before || stops.is_some() {
            self.wish(&inner, Wish::Close(stops.map(str::to_owned)));
        }
    }

    /// Whether it was begun to be open to requests, and is no run of a plan that goes on by itself.
    #[must_use]
    pub fn is_on_request(&self) -> bool {
        self.0.intake.is_some()
    }

    /// Whether it takes requests still.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let open = self
            .0
            .intake
            .as_ref()
            .is_some_and(|intake| !intake.lock().closed);
        open && self.state() != RunState::Ended && !self.is_asked_to_stop()
    }

    /// What the driver of a run that is open to requests takes them from, once.
    pub(crate) fn wishes(&self) -> Option<mpsc::Receiver<Wish>> {
        self.0.intake.as_ref()?.lock().from.take()
    }

    /// Where so much waits that this finds no room, the run is cancelled as a whole: whoever wants less of it is not to
    /// get more.
    fn wish(&self, inner: &Inner, wish: Wish) {
        match inner.into.try_send(wish) {
            // Of a run that has ended nothing is at work.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.cancel("more was asked of it at once than it holds");
            }
        }
    }
}

impl Requested {
    /// Where the work stands, as records and events of the run name it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &str {
        self.run.id()
    }

    /// What takes it back.
    #[must_use]
    pub fn withdrawal(&self) -> Withdrawal {
        Withdrawal {
            run: self.run.clone(),
            id: self.id,
        }
    }

    /// Waits for the reply, which is on record when it comes.
    ///
    /// # Errors
    /// [`Unheard`].
    pub async fn reply(self) -> Result<Replied, Unheard> {
        match self.reply.await {
            Ok(Reply::Done(done)) => {
                let Done {
                    mut replied,
                    ledger,
                    alone,
                } = *done;
                if let Some(ledger) = ledger {
                    replied.run_bytes = kept(&self.run, &ledger, alone).await?;
                }
                Ok(replied)
            }
            Ok(Reply::Unheard) => Err(Unheard::Closed),
            // The run ended without a word to this request: why, it says itself.
            Err(_) => Err(Unheard::Failed(match self.run.outcome().await {
                Err(failure) => failure,
                Ok(_) => Failure::new(Exit::Internal, "the run ended before the call did")
                    .hint(format!("`flowhost runs show {}` shows it", self.run.id())),
            })),
        }
    }
}

/// Takes a request back.
pub struct Withdrawal {
    run: Run,
    id: RequestId,
}

impl Withdrawal {
    /// Its calls are stopped, and it is replied to all the same. One that was replied to stays as it is.
    pub fn withdraw(&self) {
        if let Some(intake) = &self.run.0.intake {
            self.run.wish(&intake.lock(), Wish::Withdraw(self.id));
        }
    }
}

/// Waits until all that is on record so far is in the ledger's files, in durable mode on the disk; gives how many bytes
/// these have then.
async fn kept(run: &Run, ledger: &Ledger, alone: bool) -> Result<u64, Unheard> {
    match ledger.written(alone).await {
        Ok(bytes) => Ok(bytes),
        // It was closed meanwhile: its last records are on the disk when the run has its outcome.
        Err(LedgerError::Closed) => match run.outcome().await {
            Ok(_) => Ok(0),
            Err(failure) => Err(Unheard::Failed(failure)),
        },
        Err(error) => {
            let failure = ledger_failure("the call cannot be recorded", &error);
            Err(Unheard::Failed(failure.named("RUN", run.id())))
        }
    }
}
