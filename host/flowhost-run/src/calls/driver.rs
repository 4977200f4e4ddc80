//! The thin part between a pure planner and the world: performs actions, feeds events.
//!
//! Steps leave as envelopes on the bus and come back as envelopes; the planner decides everything
//! else. Must keep no state that a run's events would not rebuild.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::{Bus, BusError, Envelope, Subscription};
use flowhost_engine::RunScope;
use flowhost_flow::consensus::Verdict;
use flowhost_flow::effort;
use flowhost_flow::planner::{CallId, GateId, Note, OpenGate, RunEnd, TimerId};
use flowhost_flow::{
    Action, Amounts, Call, CallResult, Event, Exit, FailureClass, Plan, Planner, RunSetup, Time,
    planner_for,
};
use flowhost_ledger::{Ledger, LedgerError, trace};
use futures::StreamExt as _;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::clock::RunClock;
use crate::base::failure::Failure;
use crate::base::tasks;
use crate::calls::channel::Channel;
use crate::calls::desk::{Desk, Recording};
use crate::calls::order::{Answer, Answered, Stands};
use crate::calls::worker::{Inbox, failed, unplaced};
use crate::earlier::resume::Resumed;
use crate::earlier::reuse::{Made, Reuse, ReusedCall};
use crate::given::world::{Workers, World};
use crate::host::handle::{Run, Wanted};
use crate::host::requests::Wish;
use crate::kept::journal::Journal;
use crate::kept::stages::{Stages, is_stage};
use crate::meters::detail::Detail;
use crate::meters::purse::Purse;
use crate::plugins::installed::Installed;
use crate::plugins::registry::Registry;
use crate::plugins::wiring::Machinery;

mod asked;
mod beside;
mod doubt;
mod ending;
mod gates;
mod orders;
mod outcome;
mod reused;
mod staged;
mod takeup;
#[cfg(test)]
mod tests;

use asked::{Asked, turn_away, wished};
use beside::Beside;
use doubt::{doubted, weighed};
pub(crate) use outcome::failed_by_host;
pub use outcome::{Outcome, Paused, StepOutcome, status_word};
use takeup::{Begun, Takeup};

/// What calls at work get to come to their end when the process has to go: half of what container hosts give
/// by default before they kill.
const GRACE: Duration = Duration::from_secs(5);

/// Actions of one turn between two looks whether the run is to stop: each may be a record, and a turn that says of
/// ten thousand items how they ended is as long as a write of so many lines. A turn of ordinary length comes to
/// its end.
const ACTIONS_BETWEEN_QUESTIONS: usize = 1_024;

/// Longest sleep of a driver that waits for nothing by the clock. Any number does: it wakes, finds nothing due, and
/// sleeps on. One sleep that is set anew costs less than one that may be missing.
const IDLE_MAX: Duration = Duration::from_secs(3_600);

/// What is driven: a plan from its first event, or a run from where another process left it.
pub(crate) struct Course {
    pub(crate) plan: Arc<Plan>,
    pub(crate) setup: RunSetup,
    /// What another process left of the run, if it goes on: its planner, and what was open.
    pub(crate) resumed: Option<(Box<dyn Planner>, Resumed)>,
}

/// What a run is driven with.
pub(crate) struct Drive {
    pub(crate) journal: Journal,
    pub(crate) registry: Machinery,
    pub(crate) workers: Workers,
    /// The run's record and its money, which workers of other processes ask for.
    pub(crate) desk: Arc<Desk>,
    pub(crate) world: Arc<dyn World>,
    /// Where stages leave their evidence.
    pub(crate) stages: Option<Stages>,
    /// What the person should know of what was done before it.
    pub(crate) warnings: Vec<String>,
    /// What it takes from an earlier run.
    pub(crate) reuse: Option<Arc<Reuse>>,
    /// What is on record before whoever asked is told; none where records are kept in memory.
    pub(crate) ledger: Option<Ledger>,
}

/// Drives a run until it has ended, or has to let go of its process.
pub(crate) async fn drive(course: Course, drive: Drive, run: &Run) -> Result<Outcome, Failure> {
    let started = Time(drive.desk.scope.started_ms);
    let over = started.after(course.plan.timeout_ms);
    let on_request = course.setup.on_request;
    let (planner, takeup) = course.planner()?;
    let at = takeup.as_ref().and_then(|takeup| takeup.at);
    let clock = RunClock::from(at.unwrap_or(started));
    let (bus, channel) = (drive.registry.bus.clone(), drive.desk.channel.clone());
    // Both before the first order leaves: a bus keeps nothing for whoever subscribes later.
    let inbox = Inbox::open(&*bus, &channel).await.map_err(bus_failure)?;
    let answers = channel.listen(&*bus, "step.*.end").await;
    let answers = answers.map_err(bus_failure)?;
    let (desk, machinery) = (&drive.desk, &drive.registry);
    let beside = Beside::begin(drive.workers, desk, machinery, inbox, takeup.as_ref()).await?;
    let asked = on_request.then(|| Asked::new(drive.ledger.clone()));
    let mut driver = Driver::new(drive, planner, clock, over, run);
    driver.asked = asked;
    // A task of the runtime, so that it and the workers hand over on one thread where they can.
    let driving = async move {
        driver.run(answers, takeup).await;
        driver
    };
    let mut driver = tasks::spawn(driving).await.map_err(|error| {
        Failure::new(Exit::Internal, "the driver failed").because(error.to_string())
    })?;
    let end = driver.conclude().await?;
    beside.end();
    Ok(driver.outcome(end))
}

impl Course {
    /// Its planner, and what another process left open.
    fn planner(self) -> Result<(Box<dyn Planner>, Option<Takeup>), Failure> {
        if let Some((planner, resumed)) = self.resumed {
            return Ok((planner, Some(Takeup::of(resumed))));
        }
        let planner = planner_for(self.plan, self.setup).map_err(Failure::in_plan)?;
        Ok((planner, None))
    }
}

/// The subscription failed before anything ran.
pub(crate) fn bus_failure(error: BusError) -> Failure {
    Failure::new(Exit::Internal, "the bus does not work").because(error.to_string())
}

struct Driver {
    planner: Box<dyn Planner>,
    scope: RunScope,
    channel: Channel,
    bus: Arc<dyn Bus>,
    trace: String,
    journal: Journal,
    registry: Arc<Registry>,
    clock: RunClock,
    run: Run,
    /// When the run's own time is up.
    deadline: Instant,
    /// Calls that the bus had no room for.
    waiting: VecDeque<Box<Call>>,
    /// Calls that have not ended; those that are out with their order.
    open: BTreeMap<u64, Option<Out>>,
    /// Calls among them that another process had begun, and that are not made again because the run is to stop: with
    /// what they had used.
    doubtful: BTreeMap<u64, Amounts>,
    /// Calls that are made again, until they are answered: what another process had made of each.
    begun: BTreeMap<u64, Begun>,
    timers: BTreeSet<(Time, TimerId)>,
    due: HashMap<TimerId, Time>,
    /// By path. Sorted at the end: what ends in between would each time move what is behind it. In places of their own,
    /// which a map that grows does not move: each has some hundred bytes.
    steps: HashMap<String, Box<StepOutcome>>,
    used: HashMap<String, Detail>,
    purse: Arc<Purse>,
    recording: Arc<Recording>,
    /// Of consensus steps at work, by path.
    verdicts: HashMap<String, Arc<Verdict>>,
    stages: Option<Stages>,
    warnings: Vec<String>,
    /// What checks said last, by path and id.
    checks: BTreeMap<(String, String), bool>,
    end: Option<RunEnd>,
    /// Why the host cannot go on.
    broken: Option<flowhost_flow::Failure>,
    /// What calls that have ended used.
    spent: Amounts,
    /// Gates that nobody has spoken to, and until when each is open on the wall's clock.
    gates: BTreeMap<GateId, (OpenGate, u64)>,
    world: Arc<dyn World>,
    /// Set once the run has to let go of its process: why, and until when calls may come to their end.
    pausing: Option<(Exit, Instant)>,
    paused: Option<Paused>,
    /// Nothing begins while it is taken up where another process left it, nor, where somebody had wanted it to stop by then,
    /// before the planner has heard of that.
    held: bool,
    /// Set once the run has to come to its end: why, and until when calls may come to theirs.
    winding: Option<(Arc<str>, Instant)>,
    reuse: Option<Arc<Reuse>>,
    /// What came up while a turn was performed, and the planner hears once the turn is over: whatever it said in the turn
    /// is recorded before that, so that records have the order in which the planner spoke. A planner that is fed from
    /// them speaks in the same order, and only the last of what it says can be missing.
    arisen: VecDeque<Event>,
    /// Calls that an earlier run has made, until the turn is over in which they were asked for.
    made: VecDeque<(Box<Call>, Made)>,
    reused: Vec<ReusedCall>,
    /// What the past that it was forked with used.
    before: Amounts,
    /// Who asked for what, where the run is open to requests.
    asked: Option<Asked>,
}

/// A call whose order has left.
struct Out {
    /// The revision that it has pinned: it is kept alive by this.
    pinned: Arc<Installed>,
    sent: Instant,
    /// The step's path, where the call may have an effect that outlasts it.
    lasting: Option<String>,
}

impl Driver {
    /// A driver of a run whose time is up at `over`, before its first event.
    fn new(
        drive: Drive,
        planner: Box<dyn Planner>,
        clock: RunClock,
        over: Time,
        run: &Run,
    ) -> Self {
        let (desk, machinery) = (&drive.desk, drive.registry);
        Self {
            planner,
            scope: desk.scope.clone(),
            channel: desk.channel.clone(),
            bus: machinery.bus,
            trace: trace::trace_id(&desk.scope.run),
            journal: drive.journal,
            registry: machinery.plugins,
            clock,
            run: run.clone(),
            deadline: clock.at(over),
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            begun: BTreeMap::new(),
            timers: BTreeSet::new(),
            due: HashMap::new(),
            steps: HashMap::new(),
            used: HashMap::new(),
            purse: desk.purse.clone(),
            recording: desk.recording.clone(),
            verdicts: HashMap::new(),
            stages: drive.stages,
            warnings: drive.warnings,
            checks: BTreeMap::new(),
            end: None,
            broken: None,
            spent: Amounts::default(),
            gates: BTreeMap::new(),
            world: drive.world,
            pausing: None,
            paused: None,
            held: false,
            winding: None,
            reuse: drive.reuse,
            arisen: VecDeque::new(),
            made: VecDeque::new(),
            reused: Vec::new(),
            before: Amounts::default(),
            asked: None,
        }
    }

    async fn run(&mut self, answers: Box<dyn Subscription>, takeup: Option<Takeup>) {
        let mut wishes = self.run.wishes();
        self.go(answers, takeup, &mut wishes).await;
        turn_away(wishes);
    }

    async fn go(
        &mut self,
        mut answers: Box<dyn Subscription>,
        takeup: Option<Takeup>,
        wishes: &mut Option<mpsc::Receiver<Wish>>,
    ) {
        match takeup {
            Some(takeup) => self.take_up(takeup).await,
            None => self.feed(Event::Started).await,
        }
        let run = self.run.clone();
        let mut stopping = false;
        // Each of them is looked at when it is woken: most answers come and nobody has asked for anything.
        let mut wanted = run.wanted();
        let mut idle = Instant::now() + IDLE_MAX;
        let mut due = pin!(tokio::time::sleep_until(idle));
        while self.end.is_none() {
            if let Some(event) = self.arisen.pop_front() {
                self.feed(event).await;
                continue;
            }
            if let Some((call, made)) = self.made.pop_front() {
                self.take_over(&call, made).await;
                continue;
            }
            if let Some((exit, grace)) = self.pausing
                && (self.at_work() == 0 || Instant::now() >= grace)
            {
                self.interrupted(exit);
                return self.abandon(answers).await;
            }
            self.wound_down();
            if self.rests() {
                match self.overdue() {
                    Some(gate) => self.time_out(gate).await,
                    None => return self.waits_at_gates(),
                }
                continue;
            }
            let (wake, pausing) = (self.wake(idle), self.pausing.is_some());
            if due.deadline() != wake {
                due.as_mut().reset(wake);
            }
            // What is wanted first: whoever stops a run must not wait behind its answers. Answers before the clock, so
            // that a call which has ended in time is not called late. Wishes last: what is at work comes to its end
            // before more of it begins. None of the first is there without end, so that the last have their turn.
            tokio::select! {
                biased;
                Some(wanted) = wanted.next() => match wanted {
                    Wanted::Stop(reason) => {
                        stopping = true;
                        self.held = false;
                        self.feed(Event::Cancelled { reason: reason.to_string() }).await;
                        // What the planner did not stop by that: what takes effects back goes on.
                        self.drain().await;
                    }
                    Wanted::Halt(reason) => {
                        let failure = flowhost_flow::Failure::new(FailureClass::Internal, reason.to_string());
                        self.feed(Event::HostFailed { failure }).await;
                    }
                    Wanted::Pause(exit) if !stopping => {
                        self.pausing = Some((exit, Instant::now() + GRACE));
                    }
                    Wanted::WindDown(reason, grace) if !stopping => {
                        self.winding = Some((reason, Instant::now() + grace));
                    }
                    // It comes to its end already.
                    Wanted::Pause(_) | Wanted::WindDown(..) => {}
                },
                delivery = answers.next() => match delivery {
                    Ok(delivery) => {
                        let envelope = delivery.envelope.clone();
                        let _gone = delivery.ack().await;
                        self.answered(envelope).await;
                    }
                    Err(error) => self.broken(&error.to_string()),
                },
                () = &mut due => {
                    idle = Instant::now() + IDLE_MAX;
                    if !pausing {
                        self.fire().await;
                    }
                }
                wish = wished(wishes), if !pausing => self.wish(wish).await,
            }
        }
    }

    /// When there is something to do by the clock, or `idle` where nothing waits for it.
    fn wake(&self, idle: Instant) -> Instant {
        // A run that lets go of its process begins nothing more, so that no timer fires either.
        if let Some((_, grace)) = self.pausing {
            return grace;
        }
        let next = self.timers.first().copied();
        let next = next.map_or(idle, |(time, _)| self.clock.at(time));
        let winding = self.winding.as_ref().map(|(_, until)| *until);
        let sooner = self.closing().into_iter().chain(winding);
        sooner.fold(next, Ord::min)
    }

    /// What is due by the clock.
    async fn fire(&mut self) {
        // The sleep may end a moment early by this clock's reading; what is due is due.
        let now = self.clock.now().after(1);
        while let Some((time, timer)) = self.timers.first().copied() {
            if time > now {
                break;
            }
            if self.end.is_some() {
                return;
            }
            self.timers.pop_first();
            self.due.remove(&timer);
            self.feed(Event::TimerFired { timer }).await;
        }
        if self.end.is_none()
            && let Some(gate) = self.overdue()
        {
            self.time_out(gate).await;
        }
    }

    async fn answered(&mut self, envelope: Arc<Envelope>) {
        let answer = match envelope.body::<Answer>() {
            Ok(answer) => answer,
            Err(error) => {
                let message = format!("the answer to a call cannot be read: {error}");
                return self.broken(&message);
            }
        };
        let Some(out) = self.open.remove(&answer.call) else {
            return; // answered before: the bus delivers at least once
        };
        let step = envelope.step.clone();
        // Nobody else holds it by now, so that the result is taken out of it and not copied.
        drop(envelope);
        let answer = Arc::unwrap_or_clone(answer);
        self.used
            .entry(answer.path.clone())
            .or_default()
            .add(&answer.detail);
        let result = match &mut self.asked {
            Some(asked) if answer.whole => asked.taken_apart(&answer.path, answer.result),
            _ => answer.result,
        };
        let (result, stands) = self.kept(&step, result, answer.stands);
        let lasts = out.as_ref().is_some_and(|out| out.lasting.is_some());
        // A call that its limit of time ended has a result on record, the host's own word; one that was stopped has none.
        let at_work = match &result {
            CallResult::Failed(failure) if failure.class == FailureClass::Timeout => {
                self.recording.had_begun(answer.call)
            }
            _ => self.recording.begun(answer.call),
        };
        // Nobody has taken the order, and another process had begun the call.
        let before = self.was_doubtful(answer.call) && !self.recording.had_begun(answer.call);
        self.begun.remove(&answer.call);
        let (result, stands) = match lasts && at_work || before {
            true => doubted(result, stands),
            false => (weighed(result, lasts), stands),
        };
        self.recording.heard(answer.call);
        let spent = self.purse.end(&answer.call.to_string());
        let used = Amounts {
            tokens: spent.tokens,
            micro_usd: spent.micro_usd,
            ..answer.used
        };
        self.spent.add(&used);
        let event = Event::CallFinished {
            call: CallId(answer.call),
            result,
            used,
        };
        let answered = Answered {
            stands,
            told_ms: answer.detail.told_ms,
            plugin: out.as_ref().map(|out| out.pinned.key.to_string()),
            took_us: out.map(|out| micros(out.sent.elapsed())),
        };
        self.feed_recorded(event, answered).await;
        if let Some(asked) = &mut self.asked {
            asked.heard();
        }
        self.drain().await;
    }

    /// The result, or why it is too much to be held for later steps.
    fn kept(&self, step: &str, result: CallResult, stands: Stands) -> (CallResult, Stands) {
        if self.asked.is_some() {
            return (result, stands); // it is replied, and held for nobody
        }
        match too_large(&self.purse, step, &result) {
            Some(failure) => (failure, Stands::Nowhere),
            None => (result, stands),
        }
    }

    /// Feeds the planner an event whose result, if it has one, no record holds yet.
    async fn feed(&mut self, event: Event) {
        self.feed_recorded(event, Answered::default()).await;
    }

    /// The event is a record before the planner sees it: feeding the records to a new planner gives the
    /// same actions. So is all that comes up while its turn is performed.
    async fn feed_recorded(&mut self, event: Event, answered: Answered) {
        self.hears(event, &answered).await;
        while let Some(event) = self.arisen.pop_front() {
            // Behind its end a run has one record of that kind: that its host failed in its last turn.
            if self.end.is_none() || matches!(event, Event::HostFailed { .. }) {
                self.hears(event, &Answered::default()).await;
            }
        }
    }

    async fn hears(&mut self, event: Event, answered: &Answered) {
        let now = self.clock.now();
        if let Err(error) = self.journal.event(&event, now, answered) {
            // Told once; a planner that is told of the broken ledger itself goes on to the end.
            if self.broken.is_none() {
                let failure = unrecorded(&error);
                self.broken = Some(failure.clone());
                return self.turn(Event::HostFailed { failure }, now).await;
            }
        }
        self.turn(event, now).await;
    }

    async fn turn(&mut self, event: Event, now: Time) {
        // The turn that ends a run because somebody asked for it must come to its end.
        let stopping = matches!(event, Event::Cancelled { .. } | Event::HostFailed { .. });
        let Some(actions) = self.planned(event, now, stopping) else {
            return self.given_up(now);
        };
        for (at, action) in actions.into_iter().enumerate() {
            let many = (at + 1).is_multiple_of(ACTIONS_BETWEEN_QUESTIONS);
            if many && !stopping && (self.run.is_asked_to_stop() || Instant::now() > self.deadline)
            {
                return self.given_up(now);
            }
            self.perform(action).await;
        }
    }

    /// One turn of the planner; nothing where it was cut short. It evaluates expressions, checks outputs
    /// against schemas, and goes through all that calls nothing: bounded, but longer than anybody should wait
    /// who wants the run to stop.
    fn planned(&mut self, event: Event, now: Time, stopping: bool) -> Option<Vec<Action>> {
        let (run, over) = (self.run.clone(), self.deadline);
        let stopped = Rc::new(Cell::new(false));
        let heard = stopped.clone();
        let stop = move || {
            let stop = !stopping && (run.is_asked_to_stop() || Instant::now() > over);
            heard.set(heard.get() || stop);
            stop
        };
        let planner = &mut self.planner;
        let actions = effort::stoppable(stop, || planner.on(event, now));
        (!stopped.get()).then_some(actions)
    }

    /// The turn was cut short: what the planner said of it is not what the same events would give again,
    /// so the run ends here, by the driver's word.
    fn given_up(&mut self, now: Time) {
        let (class, message) = match self.run.is_asked_to_stop() {
            true => (FailureClass::Cancelled, "interrupted"),
            false => (
                FailureClass::Timeout,
                "the run took longer than its `timeout:`",
            ),
        };
        tracing::debug!(at = now.0, "a turn of the planner was cut short");
        let failure = flowhost_flow::Failure::new(class, message);
        let exit = failure.class.exit();
        self.arisen.clear();
        self.end = Some(RunEnd {
            exit,
            status: exit.status(),
            outputs: serde_json::Map::new(),
            failure: Some(failure),
            used: Amounts::default(),
        });
    }

    async fn perform(&mut self, action: Action) {
        match action {
            Action::Call(call) => {
                self.open.insert(call.id.0, None);
                self.waiting.push_back(call);
                self.drain().await;
            }
            Action::Cancel { call, reason } => self.cancel(call, reason).await,
            Action::SetTimer { timer, at } => {
                if let Some(old) = self.due.insert(timer, at) {
                    self.timers.remove(&(old, timer));
                }
                self.timers.insert((at, timer));
            }
            Action::ClearTimer { timer } => {
                if let Some(at) = self.due.remove(&timer) {
                    self.timers.remove(&(at, timer));
                }
            }
            Action::OpenGate(gate) => self.open_gate(*gate),
            Action::CloseGate { gate } => {
                self.gates.remove(&gate);
            }
            Action::Reply {
                request,
                path,
                result,
            } => self.reply(request, path, result),
            Action::Note(note) => self.note(note).await,
            Action::Finish(end) => self.end = Some(self.as_it_ended(*end)),
        }
    }

    /// A planner that gives its end in the turn in which the host fails has ended before it could hear of it: the
    /// evidence of its last stage could not be written, say. Such a run has not ended well.
    fn as_it_ended(&self, end: RunEnd) -> RunEnd {
        match &self.broken {
            Some(failure) => failed_by_host(end, failure),
            None => end,
        }
    }

    async fn note(&mut self, note: Note) {
        if let Err(error) = self.journal.note(&note) {
            return self.ledger_broken(&error);
        }
        self.run.note(&note);
        if let Note::Emitted { .. } = &note {
            self.emit(&note).await;
        }
        let stage = match &note {
            Note::StepEnded(summary) if is_stage(summary) => Some(summary.clone()),
            _ => None,
        };
        self.remember(note);
        if let Some(step) = stage {
            self.stage_ended(&step).await;
        }
    }

    /// What the report will say of it.
    fn remember(&mut self, note: Note) {
        match note {
            Note::Warning { path, message, .. } => {
                let place = if path.is_empty() {
                    String::new()
                } else {
                    format!("{path}: ")
                };
                self.warnings.push(format!("{place}{message}"));
            }
            Note::StepEnded(summary) => {
                let used = self.used.remove(&summary.path).unwrap_or_default();
                let consensus = self.verdicts.remove(&summary.path);
                let outcome = StepOutcome {
                    used,
                    consensus,
                    summary,
                };
                let path = outcome.summary.path.clone();
                self.steps.insert(path, Box::new(outcome));
            }
            Note::Check {
                path, id, holds, ..
            } => {
                self.checks.insert((path, id), holds);
            }
            Note::Consensus { path, verdict, .. } => {
                self.verdicts.insert(path, verdict);
            }
            _ => {}
        }
    }

    fn ledger_broken(&mut self, error: &LedgerError) {
        self.broken(&error.to_string());
    }

    /// The host cannot go on: the planner is told once, before anything else that it has not heard yet, and nothing new
    /// is started.
    fn broken(&mut self, message: &str) {
        // Told once.
        if self.broken.is_some() {
            return;
        }
        let failure = host_failed(message);
        self.broken = Some(failure.clone());
        self.arisen.push_front(Event::HostFailed { failure });
    }
}

/// Why a result is too much to be held for later steps, if it is; else it is held from now on.
pub(crate) fn too_large(purse: &Purse, step: &str, result: &CallResult) -> Option<CallResult> {
    let CallResult::Output(output) = result else {
        return None;
    };
    let fault = purse.outputs().keep(step, output).err()?;
    Some(failed(unplaced(&fault).with_hint(
        "hand on less: a step can write what is large into a granted folder or into `state`, and \
         hand on its name (docs/limits.md)",
    )))
}

fn host_failed(message: &str) -> flowhost_flow::Failure {
    flowhost_flow::Failure::new(FailureClass::Internal, message)
        .with_hint("nothing was acknowledged that is not on the disk")
}

fn unrecorded(error: &LedgerError) -> flowhost_flow::Failure {
    host_failed(&error.to_string())
}

/// Whole microseconds.
fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
