//! The run that a session's calls of tools are made in.
//!
//! A run has a folder, an identity, a place in the index and a signature, which all have to be on the disk. So the
//! calls of one session share a run that stays open: the first call begins it, and it is signed when the session ends, when
//! nothing was called for a while, when somebody reads its evidence, or when it is as long as one may be; then
//! the next call begins another. Must never let a call of one session into the run of another.

use std::sync::Arc;
use std::time::Duration;

use flowhost_flow::budget::{Amounts, Currency, DEFAULT_LIMIT};
use flowhost_flow::{Exit, FailureClass};
use flowhost_run::{Events, Failure, Replied, Requested, Run, Unheard};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::server::Server;
use crate::shelf::DOCUMENT_BYTES_MAX;

/// Calls of one run: as many as a `foreach` has items at most, so that its page, its report and its verification take
/// what those of such a plan take.
const CALLS_MAX: u32 = 10_000;
/// How long a run takes new calls. Half of the time that it may take as a whole, so that the last one has the other half.
const AGE_MAX: Duration = Duration::from_secs(30 * 60);
/// How long a run stays open without a call: longer than a model thinks between two, and little enough that evidence is
/// signed a minute after whatever it tells of.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Bytes of records and payloads after which a run takes no new calls: what a document may have beyond them is for the
/// run's report and its notes, which are evidence as well, and for what the calls at work leave.
const EVIDENCE_MAX: u64 = DOCUMENT_BYTES_MAX / 4 * 3;
/// Runs that are begun for one call, where the ones before it end in the very moment: more would be no accident.
const TRIES_MAX: u32 = 3;

/// What calls of one client have in common.
#[derive(Default)]
pub(crate) struct Session(Mutex<Option<Open>>);

/// The run that takes calls.
struct Open {
    run: Run,
    calls: u32,
    at_work: u32,
    began: Instant,
    /// When the last call came or ended.
    used: Instant,
    spent: Amounts,
    /// Of records and payloads, when the last call was on record.
    evidence_bytes: u64,
    /// A call ended at a limit, which may have been one of the run's: what is over it stays so while the run lasts.
    limited: bool,
}

impl Open {
    fn new(run: Run) -> Self {
        let now = Instant::now();
        Self {
            run,
            calls: 0,
            at_work: 0,
            began: now,
            used: now,
            spent: Amounts::default(),
            evidence_bytes: 0,
            limited: false,
        }
    }

    /// Whether the next call belongs into another run. Each call has a budget of its own, which is what a run has where
    /// nothing is said; once as much is spent, what is left of the run's might not do for all that are at work.
    fn is_full(&self) -> bool {
        let spent = |currency: &Currency| self.spent.get(*currency) >= DEFAULT_LIMIT.get(*currency);
        self.limited
            || self.calls >= CALLS_MAX
            || self.began.elapsed() >= AGE_MAX
            || self.evidence_bytes >= EVIDENCE_MAX
            || Currency::ALL.iter().any(spent)
    }

    fn is_idle(&self) -> bool {
        self.at_work == 0 && self.used.elapsed() >= IDLE_MAX
    }
}

impl Session {
    /// Asks the session's run for a step, and begins one where there is none. With what happens in the run from before
    /// it was asked, where `follow` wants that.
    pub(crate) async fn request(
        self: &Arc<Self>,
        server: &Arc<Server>,
        step: &str,
        input: &Value,
        follow: bool,
    ) -> Result<(Requested, Option<Events>), Failure> {
        let mut held = self.0.lock().await;
        for _ in 0..TRIES_MAX {
            // Its runs are being closed: another that is begun now would be closed in turn.
            if server.is_ending() {
                return Err(ending());
            }
            if let Some(past) = held.take_if(|open| open.is_full() || !open.run.is_open()) {
                past.run.close(None);
            }
            let open = match &mut *held {
                Some(open) => open,
                none => {
                    let run = begin(server, self).await?;
                    self.watch(run.id().to_owned());
                    none.insert(Open::new(run))
                }
            };
            let events = follow.then(|| open.run.events());
            match open.run.request(step, input.clone()) {
                Ok(requested) => {
                    open.calls += 1;
                    open.at_work += 1;
                    open.used = Instant::now();
                    return Ok((requested, events));
                }
                // It ended meanwhile, by itself.
                Err(Unheard::Closed) => *held = None,
                Err(Unheard::Failed(failure)) => return Err(failure),
            }
        }
        Err(ended_before())
    }

    /// A request of this run is done with.
    pub(crate) async fn replied(&self, run: &str, replied: Option<&Replied>) {
        let mut held = self.0.lock().await;
        // It may belong to a run before the one that is open now.
        if let Some(open) = held.as_mut().filter(|open| open.run.id() == run) {
            open.at_work = open.at_work.saturating_sub(1);
            open.used = Instant::now();
            if let Some(replied) = replied {
                open.spent.add(&replied.used);
                open.evidence_bytes = open.evidence_bytes.max(replied.run_bytes);
                let failure = replied.result.as_ref().err();
                open.limited |= failure.is_some_and(|it| it.class == FailureClass::Limit);
            }
        }
    }

    /// Ends the run that is open, once its calls have ended; gives it to whoever waits for its signature.
    pub(crate) async fn end(&self) -> Option<Run> {
        let open = self.0.lock().await.take()?;
        open.run.close(None);
        Some(open.run)
    }

    /// Ends this run and waits until it is signed, where it is the one that is open and nothing of it is at work.
    pub(crate) async fn sign(&self, run: &str) -> Result<(), Failure> {
        let mut held = self.0.lock().await;
        let Some(open) = held.as_ref().filter(|open| open.run.id() == run) else {
            return Ok(());
        };
        if open.at_work > 0 {
            let calls = open.at_work;
            let message = format!("the run {run} is open, and {calls} of its calls are at work");
            return Err(Failure::new(Exit::Waiting, message)
                .because("it is signed, and its report written, once it has ended")
                .hint("read it again when they have been answered"));
        }
        let run = held.take().map(|open| open.run);
        drop(held);
        if let Some(run) = run {
            run.close(None);
            run.outcome().await?;
        }
        Ok(())
    }

    /// Ends a run when nothing was called for a while.
    fn watch(self: &Arc<Self>, run: String) {
        let session = self.clone();
        tokio::spawn(async move {
            let mut wake = Instant::now() + IDLE_MAX;
            loop {
                tokio::time::sleep_until(wake).await;
                let mut held = session.0.lock().await;
                let Some(open) = held.as_ref().filter(|open| open.run.id() == run) else {
                    return; // another has taken its place
                };
                if open.is_idle() {
                    open.run.close(None);
                    *held = None;
                    return;
                }
                let since = match open.at_work {
                    0 => open.used,
                    _ => Instant::now(),
                };
                wake = since + IDLE_MAX;
            }
        });
    }
}

/// Begins a run of tools, and remembers it as one of this process.
async fn begin(server: &Arc<Server>, session: &Arc<Session>) -> Result<Run, Failure> {
    let shelf = server.clone();
    let begun = tokio::task::spawn_blocking(move || shelf.shelf.open()).await;
    let run = begun.unwrap_or_else(|_panic| {
        Err(
            Failure::new(Exit::Internal, "the host failed while it prepared the run")
                .hint("this is a bug of the host; please report it"),
        )
    })?;
    // Nobody follows all of its calls: whoever follows one listens from when it is asked for.
    drop(run.events());
    server
        .runs
        .add(run.id(), "the tools", Arc::downgrade(session));
    Ok(run)
}

pub(crate) fn ended_before() -> Failure {
    Failure::new(
        Exit::Internal,
        "the run of this session ended before the call began",
    )
    .hint("call again: another run begins with it")
}

pub(crate) fn ending() -> Failure {
    Failure::new(
        Exit::Terminated,
        "the server is ending, and takes no more calls",
    )
    .hint("call again when it has been started anew")
}
