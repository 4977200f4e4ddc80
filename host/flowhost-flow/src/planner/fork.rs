//! A run that begins with another one's past: the events of a recorded run, up to a step, for the planner
//! of a new one.
//!
//! The new run may have another plan, other inputs or other components, so its planner numbers its calls as
//! it will. An end is therefore handed over by what the call was for: the step's path, the attempt and the
//! part. Of what the recorded run did after the step only one thing is looked at: which steps it took back. Their
//! effects are gone, so that what they gave is no past of the new run, which does them anew. What the new planner does
//! not ask for is not looked at either. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::exit::StepStatus;
use crate::plan::{Effects, Plan};
use crate::planner::{
    Action, Call, CallEnd, CallId, Event, EventRecord, GateId, Note, Part, Planner, Recorded,
    ReplayError, Replayer, RunSetup, Time, TimerId, planner_for,
};

mod anew;

/// A recorded run.
#[derive(Clone, Debug)]
pub struct Parent<'p> {
    /// Its plan.
    pub plan: Arc<Plan>,
    /// What its planner was made with.
    pub setup: RunSetup,
    /// When it began.
    pub started: Time,
    /// What its planner was fed.
    pub events: &'p [EventRecord],
    /// How its calls ended.
    pub ends: &'p BTreeMap<CallId, CallEnd>,
    /// Steps that a person took back by hand behind its end, because it could not, by path.
    pub by_hand: &'p BTreeSet<String>,
}

/// What the planner of the new run is fed, to stand where the step begins.
#[derive(Clone, Debug)]
pub struct Prefix {
    /// The events, on the new run's clock.
    pub events: Vec<EventRecord>,
    /// How the calls ended that they name.
    pub ends: BTreeMap<CallId, CallEnd>,
    /// The recorded run's number of each of those calls.
    pub calls: BTreeMap<CallId, CallId>,
    /// How many events of the recorded run stand before the step.
    pub taken: usize,
    /// Steps that are done anew, by path: those that the recorded run took back after that, and those of its past that need
    /// them. A step stands for its parts where all of them are done anew.
    pub anew: Vec<String>,
    /// Those of them that were not taken back, and are done anew because they need one that was.
    pub behind: Vec<String>,
}

/// Why a run cannot be forked there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// The records are not those of the plan.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The recorded run never began the step, and what it did does not lead to it.
    #[error("the step `{step}` never ran there")]
    NeverRan {
        /// The step.
        step: String,
        /// The steps that did, in their order.
        ran: Vec<String>,
    },
    /// The new planner does not come to the step by what was recorded.
    #[error("what was recorded does not lead to `{step}`")]
    NotReached {
        /// The step.
        step: String,
        /// What the new run would have to do first, and the recorded one never did: paths, sorted.
        wants: Vec<String>,
    },
    /// What takes an effect back happens because a run fails, and no run begins there.
    #[error("`{path}` takes back what `{step}` did, and cannot be begun at")]
    TakesBack {
        /// The path that was named.
        path: String,
        /// The step whose effect it takes back.
        step: String,
    },
    /// Steps come behind what was taken back, so that they would be done anew, and their effects must not happen twice.
    #[error(
        "it would do again what says `effects: once` and was not taken back, because what it needs was: `{}`",
        .steps.join("`, `")
    )]
    OnceAgain {
        /// The steps, in the order in which they were done.
        steps: Vec<String>,
    },
    /// What takes the effect of a step back was begun there, and did not come to its end.
    #[error("nobody knows whether the effect of `{step}` was taken back there")]
    HalfTakenBack {
        /// The step.
        step: String,
    },
}

/// Whether what has this path is the step, or a part of it: an item, a handler, a step of its plan.
#[must_use]
pub fn is_part_of(path: &str, step: &str) -> bool {
    let rest = path.strip_prefix(step);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '/', '!']))
}

/// The past of a run of `plan` that begins at `started`, up to the first start of the step `at`. The recorded
/// run may have ended before that, if all that the step needs was done there.
///
/// # Errors
/// [`ForkError`].
pub fn fork(
    parent: &Parent<'_>,
    plan: Arc<Plan>,
    setup: RunSetup,
    started: Time,
    at: &str,
) -> Result<Prefix, ForkError> {
    if let Some((step, _)) = at.split_once("!compensate") {
        return Err(ForkError::TakesBack {
            path: at.to_owned(),
            step: step.to_owned(),
        });
    }
    let there = Recording::of(parent, at)?;
    let whole = there.past(parent, (plan.clone(), setup.clone()), started, at, None)?;
    // Only what was taken back behind the step: what was before it is a part of the past, with what took it back.
    let back = there.taken_back(&whole.prefix)?;
    if back.is_empty() {
        return Ok(whole.prefix);
    }
    let until = Some((back.as_slice(), whole.prefix.taken));
    let kept = there.past(parent, (plan.clone(), setup), started, at, until)?;
    there.once_again(parent, &plan, &whole.prefix, &kept.prefix)?;
    let anew = anew::named(&back, &whole.done, &kept.done);
    let was_back = |named: &str| back.iter().any(|step| is_part_of(step, named));
    let behind = anew.iter().filter(|named| !was_back(named)).cloned();
    Ok(Prefix {
        behind: behind.collect(),
        anew,
        ..kept.prefix
    })
}

/// A past, and the steps that were done in it.
struct Stretch {
    prefix: Prefix,
    done: BTreeSet<String>,
}

impl Recording {
    /// What the new planner is fed. Of steps that it is to do anew the ends are kept from it: its past ends where the
    /// recorded run had been fed so many events, and it comes to the step itself once it has done them.
    fn past(
        &self,
        parent: &Parent<'_>,
        (plan, setup): (Arc<Plan>, RunSetup),
        started: Time,
        step: &str,
        kept: Option<(&[String], usize)>,
    ) -> Result<Stretch, ForkError> {
        let none: &[String] = &[];
        let (anew, until) = kept.unwrap_or((none, usize::MAX));
        let planner = planner_for(plan, setup).map_err(ReplayError::Plan)?;
        let mut branch = Branch::new(planner, step, anew);
        for (taken, record) in parent.events.iter().enumerate() {
            let at = started.after(record.at.since(parent.started));
            match &record.event {
                Recorded::Started => branch.feed(Event::Started, at),
                Recorded::CallFinished { call } => {
                    let end = parent.ends.get(call);
                    let end = end.ok_or(ReplayError::NoEnd { call: call.0 })?;
                    if let Some(tag) = self.calls.get(call) {
                        branch.call_ended(tag, *call, end, at);
                    }
                }
                Recorded::TimerFired { .. } => branch.time(at),
                Recorded::GateAnswered { gate, answer } => {
                    let path = self.gates.get(gate);
                    if let Some(gate) = path.and_then(|path| branch.gates.remove(path)) {
                        let answer = answer.clone();
                        branch.feed(Event::GateAnswered { gate, answer }, at);
                    }
                }
                // Whoever ended the recorded run did not mean this one, and whoever asked it for something does not ask
                // this one.
                Recorded::Cancelled { .. }
                | Recorded::HostFailed { .. }
                | Recorded::Requested { .. }
                | Recorded::Withdrawn { .. }
                | Recorded::Closed { .. } => break,
            }
            if branch.reached || taken + 1 >= until {
                return Ok(branch.stretch(taken + 1));
            }
            if branch.planner.is_finished() {
                break;
            }
        }
        if !self.began {
            return Err(ForkError::NeverRan {
                step: step.to_owned(),
                ran: self.ran.clone(),
            });
        }
        // In their order and each once: open calls are hashed, and the agents of a consensus share a path.
        let open = branch.open.into_keys().map(|tag| tag.path);
        let wants: BTreeSet<String> = open.chain(branch.gates.into_keys()).collect();
        Err(ForkError::NotReached {
            step: step.to_owned(),
            wants: wants.into_iter().collect(),
        })
    }

    /// The steps of a past that the recorded run took back after it.
    fn taken_back(&self, past: &Prefix) -> Result<Vec<String>, ForkError> {
        let done: HashSet<&str> = past
            .calls
            .values()
            .filter_map(|there| Some(self.calls.get(there)?.path.as_str()))
            .collect();
        let mut anew = Vec::new();
        for (step, back) in &self.back {
            let is_done = done.iter().any(|path| is_part_of(path, step));
            if back.since < past.taken || !is_done {
                continue;
            }
            match back.how {
                Some(StepStatus::Ok) => anew.push(step.clone()),
                // Its effect stands, as the run said of it.
                Some(StepStatus::Failed) => {}
                _ => return Err(ForkError::HalfTakenBack { step: step.clone() }),
            }
        }
        Ok(anew)
    }
}

/// Whether a note says that the step begins: for a `foreach`, that its first item does.
fn begins(note: &Note, step: &str) -> bool {
    let Note::StepStarted {
        path, attempt: 1, ..
    } = note
    else {
        return false;
    };
    let rest = path.strip_prefix(step);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
}

/// What a call is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Tag {
    path: String,
    attempt: u32,
    part: Part,
}

impl From<&Call> for Tag {
    fn from(call: &Call) -> Self {
        Self {
            path: call.path.clone(),
            attempt: call.attempt,
            part: call.part,
        }
    }
}

/// What the recorded run's numbers stand for.
struct Recording {
    calls: HashMap<CallId, Tag>,
    /// Of those, whose effect must not happen twice.
    once: HashSet<CallId>,
    gates: HashMap<GateId, String>,
    /// Whether it began the step.
    began: bool,
    /// What it took back, by the step's path.
    back: BTreeMap<String, Back>,
    /// The steps that it began, in their order.
    ran: Vec<String>,
}

/// That a recorded run took a step back.
struct Back {
    /// The event by which that began, counted from 0.
    since: usize,
    /// How it ended; none where it did not.
    how: Option<StepStatus>,
}

impl Recording {
    fn of(parent: &Parent<'_>, at: &str) -> Result<Self, ForkError> {
        let mut replayer = Replayer::new(parent.plan.clone(), parent.setup.clone())?;
        let (mut calls, mut gates) = (HashMap::new(), HashMap::new());
        let mut once = HashSet::new();
        let (mut began, mut ran) = (false, Vec::new());
        let mut back: BTreeMap<String, Back> = BTreeMap::new();
        for (place, record) in parent.events.iter().enumerate() {
            for action in replayer.feed(record, parent.ends)? {
                match action {
                    Action::Call(call) => {
                        if call.effects == Effects::Once {
                            once.insert(call.id);
                        }
                        calls.insert(call.id, Tag::from(&*call));
                    }
                    Action::OpenGate(gate) => {
                        gates.insert(gate.id, gate.path);
                    }
                    Action::Note(note) => {
                        began |= begins(&note, at);
                        match note {
                            Note::StepStarted {
                                path, attempt: 1, ..
                            } => ran.push(path),
                            Note::CompensationStarted { path } => {
                                let (since, how) = (place, None);
                                back.insert(path, Back { since, how });
                            }
                            Note::StepEnded(ended) => {
                                let step = ended.path.strip_suffix("!compensate");
                                if let Some(back) = step.and_then(|step| back.get_mut(step)) {
                                    back.how = Some(ended.status);
                                }
                            }
                            _ => {}
                        }
                    }
                    _ => {}
                }
            }
        }
        for (step, back) in &mut back {
            if parent.by_hand.contains(step) {
                back.how = Some(StepStatus::Ok);
            }
        }
        Ok(Self {
            calls,
            once,
            gates,
            began,
            back,
            ran,
        })
    }
}

/// The new run as far as its past goes.
struct Branch<'s> {
    planner: Box<dyn Planner>,
    step: &'s str,
    now: Time,
    open: HashMap<Tag, VecDeque<CallId>>,
    timers: BTreeSet<(Time, TimerId)>,
    due: HashMap<TimerId, Time>,
    /// When attempts begin that wait.
    waits: BTreeSet<Time>,
    gates: BTreeMap<String, GateId>,
    events: Vec<EventRecord>,
    ends: BTreeMap<CallId, CallEnd>,
    calls: BTreeMap<CallId, CallId>,
    /// The steps that were done.
    done: BTreeSet<String>,
    reached: bool,
    /// Steps whose ends are kept from it.
    anew: &'s [String],
    /// When the first of them was asked for. Its time begins when it is done, and not when others ended that went on
    /// beside it: from there the clock stands.
    frozen: Option<Time>,
}

impl<'s> Branch<'s> {
    fn new(planner: Box<dyn Planner>, step: &'s str, anew: &'s [String]) -> Self {
        Self {
            anew,
            frozen: None,
            planner,
            step,
            now: Time(0),
            open: HashMap::new(),
            timers: BTreeSet::new(),
            due: HashMap::new(),
            waits: BTreeSet::new(),
            gates: BTreeMap::new(),
            events: Vec::new(),
            ends: BTreeMap::new(),
            calls: BTreeMap::new(),
            done: BTreeSet::new(),
            reached: false,
        }
    }

    fn is_anew(&self, path: &str) -> bool {
        self.anew.iter().any(|step| is_part_of(path, step))
    }

    /// What it was fed, where the recorded run had been fed so many events.
    fn stretch(self, taken: usize) -> Stretch {
        let prefix = Prefix {
            events: self.events,
            ends: self.ends,
            calls: self.calls,
            taken,
            anew: Vec::new(),
            behind: Vec::new(),
        };
        let done = self.done;
        Stretch { prefix, done }
    }

    fn call_ended(&mut self, tag: &Tag, recorded: CallId, end: &CallEnd, at: Time) {
        if self.is_anew(&tag.path) {
            return; // it was taken back, and is done anew
        }
        let Some(calls) = self.open.get_mut(tag) else {
            return; // this plan does without it
        };
        let Some(call) = calls.pop_front() else {
            debug_assert!(false, "a tag goes with the last of its open calls");
            return;
        };
        // This one alone: a look at all that is open, at the end of each call, would be quadratic.
        if calls.is_empty() {
            self.open.remove(tag);
        }
        self.ends.insert(call, end.clone());
        self.calls.insert(call, recorded);
        let CallEnd { result, used } = end.clone();
        self.feed(Event::CallFinished { call, result, used }, at);
    }

    /// A timer fired there: what is due here by then fires, too. How long an attempt waits is drawn from the
    /// plan's hash, so one that waits here is not held to the moment.
    fn time(&mut self, at: Time) {
        let at = self.frozen.map_or(at, |frozen| at.min(frozen));
        // Here nothing is waited for any more.
        let Some((due, timer)) = self.timers.first().copied() else {
            return;
        };
        if due > at.after(1) && !self.waits.contains(&due) {
            return;
        }
        self.timers.pop_first();
        self.due.remove(&timer);
        self.feed(Event::TimerFired { timer }, at.max(due));
    }

    fn feed(&mut self, event: Event, at: Time) {
        let at = match (self.frozen, &event) {
            // When a wait is over is said by whoever sets its time.
            (Some(frozen), Event::CallFinished { .. } | Event::GateAnswered { .. }) => {
                at.min(frozen)
            }
            _ => at,
        };
        self.now = self.now.max(at);
        self.events.push(EventRecord::of(&event, self.now));
        for action in self.planner.on(event, self.now) {
            match action {
                Action::Call(call) => {
                    if self.frozen.is_none() && self.is_anew(&call.path) {
                        self.frozen = Some(self.now);
                    }
                    let calls = self.open.entry(Tag::from(&*call)).or_default();
                    calls.push_back(call.id);
                }
                Action::SetTimer { timer, at } => {
                    if let Some(before) = self.due.insert(timer, at) {
                        self.timers.remove(&(before, timer));
                    }
                    self.timers.insert((at, timer));
                }
                Action::ClearTimer { timer } => {
                    if let Some(at) = self.due.remove(&timer) {
                        self.timers.remove(&(at, timer));
                    }
                }
                Action::OpenGate(gate) => {
                    self.gates.insert(gate.path, gate.id);
                }
                Action::CloseGate { gate } => self.gates.retain(|_, id| *id != gate),
                Action::Note(note) => {
                    self.reached |= begins(&note, self.step);
                    match note {
                        Note::Retrying { at, .. } => {
                            self.waits.insert(at);
                        }
                        Note::StepEnded(ended) if anew::was_done(&ended) => {
                            self.done.insert(ended.path);
                        }
                        _ => {}
                    }
                }
                Action::Cancel { .. } | Action::Reply { .. } | Action::Finish(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
