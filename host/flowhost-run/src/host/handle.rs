//! A run that somebody holds: its id, what happens in it, how it can be stopped, and how it ended.
//!
//! The handle is a view. Dropping it stops nothing, and nobody who reads slowly can hold the run up:
//! events are kept in a bounded ring, and a reader that falls behind is told how many it missed.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use flowhost_caps::log::ProgressLine;
use flowhost_flow::Exit;
use flowhost_flow::planner::Note;
use flowhost_words::with_keys;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{broadcast, watch};

use crate::base::failure::Failure;
use crate::given::project::Member;
use crate::host::requests::Intake;
use crate::kept::finished::Finished;
use crate::plugins::swap::{Swapped, Swaps};

/// Events kept for a reader that is behind: a second of a busy run. Beyond it the oldest are lost to
/// that reader (the ledger has all of them). The ring is made whole with its run, so it holds pointers: with the
/// events themselves it was most of what a run takes of memory, and a fiftieth of what a run of one step takes of time.
const EVENTS_MAX: usize = 4_096;

/// What happens in a run while it happens.
#[derive(Debug, Clone)]
pub enum RunEvent {
    /// The ledger is open and the plugins are ready; the first step comes next.
    Started,
    /// A fact about a step, after it is in the ledger.
    Note(Note),
    /// How far a plugin says that a call is. Nothing depends on it.
    Progress(ProgressLine),
    /// It is over. The last event.
    Ended,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// Components are compiled; nothing has been recorded.
    Preparing,
    /// Steps are at work.
    Running,
    /// It has ended, or could not begin.
    Ended,
}

/// What whoever holds a run may want of it while it is driven.
#[derive(Debug)]
pub(crate) enum Wanted {
    /// See [`Run::cancel`].
    Stop(Arc<str>),
    /// See [`Run::halt`].
    Halt(Arc<str>),
    /// See [`Run::pause`].
    Pause(Exit),
    /// See [`Run::wind_down`].
    WindDown(Arc<str>, Duration),
}

/// A run. Clones are handles to the same.
#[derive(Clone)]
pub struct Run(pub(super) Arc<Shared>);

pub(crate) struct Shared {
    id: Arc<str>,
    stop: watch::Sender<Option<Arc<str>>>,
    /// Why the process that holds the run cannot let it go on.
    halt: watch::Sender<Option<Arc<str>>>,
    pause: watch::Sender<Option<Exit>>,
    /// Why the run is to come to its end, and how long calls at work may take.
    wind_down: watch::Sender<Option<(Arc<str>, Duration)>>,
    state: watch::Sender<RunState>,
    outcome: watch::Sender<Option<Result<Finished, Failure>>>,
    events: broadcast::Sender<Arc<RunEvent>>,
    /// How plugins are swapped, once they are installed.
    swaps: Mutex<Option<Arc<Swaps>>>,
    /// The reader from the first event on, until somebody takes it.
    first: Mutex<Option<broadcast::Receiver<Arc<RunEvent>>>>,
    /// Where a run that is open to requests takes them.
    pub(super) intake: Option<Intake>,
    /// The second keys that its process has turned, once that is known.
    keys: OnceLock<Vec<String>>,
}

impl Run {
    pub(crate) fn new(id: &str) -> Self {
        Self::with(id, None)
    }

    /// A run that is open to requests.
    pub(crate) fn on_request(id: &str) -> Self {
        Self::with(id, Some(Intake::new()))
    }

    fn with(id: &str, intake: Option<Intake>) -> Self {
        let (events, first) = broadcast::channel(EVENTS_MAX);
        Self(Arc::new(Shared {
            intake,
            keys: OnceLock::new(),
            id: id.into(),
            stop: watch::Sender::new(None),
            halt: watch::Sender::new(None),
            pause: watch::Sender::new(None),
            wind_down: watch::Sender::new(None),
            state: watch::Sender::new(RunState::Preparing),
            outcome: watch::Sender::new(None),
            events,
            swaps: Mutex::default(),
            first: Mutex::new(Some(first)),
        }))
    }

    /// The run's ULID.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Its process has turned these second keys. Said once, before anything is recorded.
    pub(crate) fn turned(&self, keys: Vec<String>) {
        let first = self.0.keys.set(keys).is_ok();
        debug_assert!(first, "a process prepares a run once");
    }

    /// What to type so that it goes on in another process, with the second keys that this one has.
    pub(crate) fn resume_command(&self) -> String {
        let keys = self.0.keys.get().map(Vec::as_slice).unwrap_or_default();
        with_keys(&format!("flowhost runs resume {}", self.id()), keys)
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self) -> RunState {
        *self.0.state.borrow()
    }

    /// What happens. The first reader hears of everything from the start, as far as the ring reaches;
    /// later ones of what comes after they asked.
    #[must_use]
    pub fn events(&self) -> Events {
        let mut first = self.0.first.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = first.take();
        Events(receiver.unwrap_or_else(|| self.0.events.subscribe()))
    }

    /// Asks the run to stop: no new step begins, those at work are cancelled, and the end is recorded.
    /// Asking again changes nothing.
    pub fn cancel(&self, reason: &str) {
        self.0.stop.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert_with(|| reason.into());
            first
        });
    }

    /// Ends the run as a failure of the host's, for a reason of whoever holds it: nothing new begins, and
    /// the end is recorded with exit 1.
    pub fn halt(&self, reason: &str) {
        self.0.halt.send_if_modified(|halted| {
            let first = halted.is_none();
            halted.get_or_insert_with(|| reason.into());
            first
        });
    }

    /// Asks the run to let go of its process: no new call begins, those at work get a short grace, and the
    /// run can be resumed from its ledger. `exit` says why: [`Exit::Terminated`] or [`Exit::HungUp`].
    /// Asking again changes nothing.
    pub fn pause(&self, exit: Exit) {
        self.0.pause.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert(exit);
            first
        });
    }

    /// Asks the run to come to its end: no new call begins, and those at work may take `grace` before the run
    /// is cancelled. Asking again changes nothing.
    pub fn wind_down(&self, reason: &str, grace: Duration) {
        self.0.wind_down.send_if_modified(|asked| {
            let first = asked.is_none();
            asked.get_or_insert_with(|| (reason.into(), grace));
            first
        });
    }

    /// All that may be wanted of the run, each once and when it is wanted: none of it is looked at before.
    pub(crate) fn wanted(&self) -> FuturesUnordered<BoxFuture<'_, Wanted>> {
        let wind_down = self.asked_to_wind_down();
        let all = [
            self.asked_to_stop().map(Wanted::Stop).boxed(),
            self.halted().map(Wanted::Halt).boxed(),
            self.asked_to_pause().map(Wanted::Pause).boxed(),
            wind_down
                .map(|(reason, grace)| Wanted::WindDown(reason, grace))
                .boxed(),
        ];
        all.into_iter().collect()
    }

    /// Waits until somebody wants the run to come to its end.
    async fn asked_to_wind_down(&self) -> (Arc<str>, Duration) {
        let mut wind_down = self.0.wind_down.subscribe();
        let asked = wind_down.wait_for(Option::is_some).await;
        // The sender lives in `self`: the wait ends only with a reason.
        asked
            .ok()
            .and_then(|asked| asked.clone())
            .unwrap_or_default()
    }

    /// Waits until somebody halts the run.
    async fn halted(&self) -> Arc<str> {
        let mut halt = self.0.halt.subscribe();
        let halted = halt.wait_for(Option::is_some).await;
        let reason = halted.ok().and_then(|reason| reason.clone());
        // The sender lives in `self`: the wait ends only with a reason.
        reason.unwrap_or_default()
    }

    /// Puts another build of a plugin in its place: calls at work end on the one that they began with, the
    /// next call takes the new one, and an agent's `on-start` runs again before it. Its state and its
    /// mailbox stay. `member` is the plugin `key` as a project has it. Waits for a run that is being prepared.
    ///
    /// # Errors
    /// When the run could not start or has ended, when the component does not load, and when it would
    /// have more rights than the one before it. The run goes on as it was.
    pub async fn swap(&self, key: &str, member: &Member) -> Result<Swapped, Failure> {
        // Whoever saves a file does not know that the run compiles yet, and saves it once: refused, it would be lost.
        self.prepared().await;
        let swaps = self.swaps().clone();
        let swaps = swaps.ok_or_else(|| {
            Failure::new(
                Exit::Internal,
                format!("the plugin `{key}` was not swapped"),
            )
            .because("the run is not going on")
        })?;
        swaps.swap(key, member).await
    }

    /// Waits until the run has begun, or could not: one or the other comes of every run.
    async fn prepared(&self) {
        let mut state = self.0.state.subscribe();
        let prepared = state.wait_for(|state| *state != RunState::Preparing);
        let prepared = prepared.await.map(|state| *state);
        debug_assert!(prepared.is_ok(), "the sender lives in `self`");
    }

    pub(crate) fn swappable(&self, swaps: Swaps) {
        let before = self.swaps().replace(Arc::new(swaps));
        debug_assert!(before.is_none(), "a run installs its plugins once");
    }

    /// No build takes another's place from here on, so that whatever a build begins is ended with the run.
    pub(crate) async fn no_more_swaps(&self) {
        let swaps = self.swaps().clone();
        if let Some(swaps) = swaps {
            swaps.close().await;
        }
    }

    fn swaps(&self) -> MutexGuard<'_, Option<Arc<Swaps>>> {
        self.0.swaps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When the run could not start, or its evidence could not be written: a missing right (exit 6), a
    /// component that does not compile, a state folder that cannot be used, an interrupt while
    /// components compile (exit 130). Once it has started, its end is an outcome.
    pub async fn outcome(&self) -> Result<Finished, Failure> {
        let mut outcome = self.0.outcome.subscribe();
        let ended = outcome.wait_for(Option::is_some).await;
        match ended.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            // The sender lives as long as this handle, and what was waited for is there.
            Ok(None) | Err(_) => {
                debug_assert!(false, "a run's outcome cannot be lost");
                Err(Failure::new(Exit::Internal, "the run's outcome was lost"))
            }
        }
    }

    /// Whether somebody wants the run to stop.
    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.0.stop.borrow().is_some()
    }

    /// Waits until somebody wants the run to stop, and gives the reason.
    pub(crate) async fn asked_to_stop(&self) -> Arc<str> {
        let mut stop = self.0.stop.subscribe();
        let reason = stop
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        // The sender lives in `self`: the wait ends only with a reason.
        reason.unwrap_or_default()
    }

    /// Waits until somebody wants the run to let go of its process, and gives the exit that says why.
    pub(crate) async fn asked_to_pause(&self) -> Exit {
        let mut pause = self.0.pause.subscribe();
        let asked = pause.wait_for(Option::is_some).await;
        // The sender lives in `self`: the wait ends only with an exit.
        asked
            .ok()
            .and_then(|exit| *exit)
            .unwrap_or(Exit::Terminated)
    }

    pub(crate) fn started(&self) {
        self.0.state.send_replace(RunState::Running);
        self.tell(|| RunEvent::Started);
    }

    pub(crate) fn note(&self, note: &Note) {
        self.tell(|| RunEvent::Note(note.clone()));
    }

    pub(crate) fn progress(&self, progress: ProgressLine) {
        self.tell(|| RunEvent::Progress(progress));
    }

    pub(crate) fn ended(&self, outcome: Result<Finished, Failure>) {
        // It holds what the run brought, which holds this handle: kept, neither would ever be freed.
        self.swaps().take();
        if let Some(intake) = &self.0.intake {
            intake.shut();
        }
        self.0.outcome.send_replace(Some(outcome));
        self.0.state.send_replace(RunState::Ended);
        self.tell(|| RunEvent::Ended);
    }

    /// Copies nothing where nobody reads.
    fn tell(&self, event: impl FnOnce() -> RunEvent) {
        if self.0.events.receiver_count() > 0 {
            let _nobody = self.0.events.send(Arc::new(event()));
        }
    }
}

/// A reader of a run's events.
pub struct Events(broadcast::Receiver<Arc<RunEvent>>);

/// What a reader is handed.
#[derive(Debug, Clone)]
pub enum Heard {
    /// The next event.
    Event(RunEvent),
    /// The reader was too slow: so many were lost to it.
    Missed(u64),
}

impl Events {
    /// The next event; none after the last.
    pub async fn next(&mut self) -> Option<Heard> {
        match self.0.recv().await {
            // The last reader has it for itself.
            Ok(event) => Some(Heard::Event(Arc::unwrap_or_clone(event))),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(message: &str) -> Note {
        Note::Warning {
            path: String::new(),
            about: "call",
            message: message.to_owned(),
        }
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_loses_the_oldest_and_holds_nobody_up() {
        let run = Run::new("r");
        let mut events = run.events();
        for number in 0..EVENTS_MAX + 3 {
            run.note(&warning(&number.to_string()));
        }
        assert!(matches!(events.next().await, Some(Heard::Missed(3))));
        assert!(matches!(
            events.next().await,
            Some(Heard::Event(RunEvent::Note(Note::Warning { message, .. }))) if message == "3"
        ));
    }

    #[tokio::test]
    async fn the_first_reader_hears_what_came_before_it_asked() {
        let run = Run::new("r");
        run.started();
        assert_eq!(run.state(), RunState::Running);
        let mut events = run.events();
        let heard = events.next().await;
        assert!(matches!(heard, Some(Heard::Event(RunEvent::Started))));
    }

    #[tokio::test]
    async fn the_first_reason_to_stop_is_the_one_that_counts() {
        let run = Run::new("r");
        run.cancel("interrupted");
        run.cancel("again");
        assert_eq!(&*run.asked_to_stop().await, "interrupted");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_into_a_run_that_is_being_prepared_waits_for_it() {
        let run = Run::new("r");
        let day = Duration::from_secs(86_400);
        assert!(tokio::time::timeout(day, run.prepared()).await.is_err());
        run.started();
        run.prepared().await;
        let run = Run::new("none");
        run.ended(Err(Failure::new(Exit::Denied, "no")));
        run.prepared().await;
    }

    #[tokio::test]
    async fn everyone_who_waits_is_told_the_outcome() {
        let run = Run::new("r");
        let waiting = tokio::spawn({
            let run = run.clone();
            async move { run.outcome().await }
        });
        let failure = Failure::new(flowhost_flow::Exit::Denied, "no");
        run.ended(Err(failure));
        assert_eq!(waiting.await.unwrap().unwrap_err().message, "no");
        assert_eq!(run.outcome().await.unwrap_err().message, "no");
        assert_eq!(run.state(), RunState::Ended);
    }
}
