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
use crate::plan::Plan;
use crate::planner::{
    Action, Call, CallEnd, CallId, Event, EventRecord, GateId, Note, Part, Planner, Recorded,
    ReplayError, Replayer, RunSetup, Time, TimerId, planner_for,
};

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
    /// Steps that the recorded run took back after that, by path: they are done anew, and the step comes after them.
    pub anew: Vec<String>,
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
    let anew = there.taken_back(&whole)?;
    match anew.is_empty() {
        true => Ok(whole),
        false => there.past(
            parent,
            (plan, setup),
            started,
            at,
            Some((anew.as_slice(), whole.taken)),
        ),
    }
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
    ) -> Result<Prefix, ForkError> {
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
                return Ok(branch.prefix(taken + 1));
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
        let (mut began, mut ran) = (false, Vec::new());
        let mut back = BTreeMap::new();
        for (place, record) in parent.events.iter().enumerate() {
            for action in replayer.feed(record, parent.ends)? {
                match action {
                    Action::Call(call) => {
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
        Ok(Self {
            calls,
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
            reached: false,
        }
    }

    fn is_anew(&self, path: &str) -> bool {
        self.anew.iter().any(|step| is_part_of(path, step))
    }

    /// What it was fed, where the recorded run had been fed so many events.
    fn prefix(self, taken: usize) -> Prefix {
        Prefix {
            events: self.events,
            ends: self.ends,
            calls: self.calls,
            taken,
            anew: self.anew.to_vec(),
        }
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
                    if let Note::Retrying { at, .. } = note {
                        self.waits.insert(at);
                    }
                }
                Action::Cancel { .. } | Action::Reply { .. } | Action::Finish(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::budget::Amounts;
    use crate::exit::{Failure, FailureClass};
    use crate::planner::{CallResult, GateAnswer, harness};

    const BODY: &str = "steps:\n  a: {uses: t, with: {n: 1}}\n  \
        b: {uses: t, needs: [a], with: {n: \"${{ steps.a.output }}\"}, \
        retry: {max_attempts: 2, backoff: {initial: 50ms}, retry_on: [transient]}}\n  \
        ok: {wait_for: approval, needs: [b], timeout: 1h}\n  \
        c: {uses: t, needs: [ok], with: {n: \"${{ steps.b.output }}\"}}\n  \
        d: {uses: t, needs: [c], with: {}}\noutputs: {last: \"${{ steps.d.output }}\"}\n";

    fn setup(plan: &Plan, seed: u64, hash: &str) -> RunSetup {
        RunSetup {
            seed,
            plan_hash: hash.to_owned(),
            ..harness::setup(plan, BTreeMap::new(), json!({}))
        }
    }

    /// A run to its end: each call says its path, the first attempt of `b` fails, the gate is opened.
    fn recorded(plan: &Arc<Plan>) -> (Vec<EventRecord>, BTreeMap<CallId, CallEnd>) {
        recorded_with(plan, "")
    }

    /// The same where the calls of one step fail.
    fn recorded_with(
        plan: &Arc<Plan>,
        fails: &str,
    ) -> (Vec<EventRecord>, BTreeMap<CallId, CallEnd>) {
        let planner = planner_for(plan.clone(), setup(plan, 7, "h")).unwrap();
        let mut branch = Branch::new(planner, "nowhere", &[]);
        let mut ends = BTreeMap::new();
        branch.feed(Event::Started, Time(1_000));
        for _ in 0..100 {
            if branch.planner.is_finished() {
                break;
            }
            let at = branch.now.after(10);
            if let Some(tag) = branch.open.keys().next().cloned() {
                let result = match (tag.path.as_str(), tag.attempt) {
                    ("b", 1) => {
                        CallResult::Failed(Failure::new(FailureClass::Transient, "not now"))
                    }
                    (path, _) if path == fails => {
                        CallResult::Failed(Failure::new(FailureClass::Failed, "no"))
                    }
                    (path, _) => CallResult::Output(json!(path)),
                };
                let used = Amounts {
                    calls: 1,
                    tokens: 5,
                    ..Amounts::default()
                };
                let end = CallEnd { result, used };
                let id = *branch.open[&tag].front().unwrap();
                ends.insert(id, end.clone());
                branch.call_ended(&tag, id, &end, at);
            } else if let Some((_, gate)) = branch.gates.pop_first() {
                let answer = GateAnswer::Approval {
                    approved: true,
                    by: "ann".to_owned(),
                    note: String::new(),
                };
                branch.feed(Event::GateAnswered { gate, answer }, at);
            } else {
                let due = branch.timers.first().unwrap().0;
                branch.time(due);
            }
        }
        assert!(branch.planner.is_finished(), "{:?}", branch.events);
        (branch.events, ends)
    }

    fn forked(before: &Arc<Plan>, after: &Arc<Plan>, at: &str) -> Result<Prefix, ForkError> {
        let (events, ends) = recorded(before);
        let parent = Parent {
            plan: before.clone(),
            setup: setup(before, 7, "h"),
            started: Time(1_000),
            events: &events,
            ends: &ends,
        };
        fork(
            &parent,
            after.clone(),
            setup(after, 7, "another"),
            Time(9_000),
            at,
        )
    }

    #[test]
    fn refuses_a_step_that_never_ran_and_names_those_that_did() {
        let plan = Arc::new(harness::plan(BODY));
        let refused = forked(&plan, &plan, "e").unwrap_err();
        let ForkError::NeverRan { step, ran } = refused else {
            panic!("{refused}");
        };
        assert_eq!(
            (step.as_str(), ran.join(" ")),
            ("e", "a b ok c d".to_owned())
        );
    }

    #[test]
    fn a_step_that_never_began_is_reached_where_all_that_it_needs_was_done() {
        let plan = Arc::new(harness::plan(BODY));
        let (events, mut ends) = recorded(&plan);
        // As a run of `c` alone would have ended: before `d` was asked for.
        let last = ends.pop_last().unwrap().0;
        let before = |record: &&EventRecord| !matches!(record.event, Recorded::CallFinished { call } if call == last);
        let events: Vec<EventRecord> = events.iter().filter(before).cloned().collect();
        let parent = Parent {
            plan: plan.clone(),
            setup: RunSetup {
                only: Some("c".to_owned()),
                ..setup(&plan, 7, "h")
            },
            started: Time(1_000),
            events: &events,
            ends: &ends,
        };
        let begin = |at: &str| {
            let setup = setup(&plan, 7, "another");
            fork(&parent, plan.clone(), setup, Time(9_000), at)
        };
        assert_eq!(begin("d").unwrap().calls.len(), ends.len());
        assert!(matches!(begin("e"), Err(ForkError::NeverRan { .. })));
    }

    const SAGA: &str = "steps:\n  x: {uses: t, with: {n: 1}}\n  \
        a: {uses: t, needs: [x], with: {n: 1}, compensate: {uses: t, with: {n: 0}}}\n  \
        c: {uses: t, needs: [a], with: {n: \"${{ steps.a.output }}\"}}\noutputs: {last: \"${{ steps.c.output }}\"}\n";

    /// The past up to `c` of a run of it that failed there; `end` says how the call ended that took `a` back.
    fn saga(plan: &Arc<Plan>, end: impl Fn(&mut CallEnd)) -> Result<Prefix, ForkError> {
        let (events, mut ends) = recorded_with(plan, "c");
        // The last call of all is the one that takes back.
        end(ends.values_mut().next_back().unwrap());
        let parent = Parent {
            plan: plan.clone(),
            setup: setup(plan, 7, "h"),
            started: Time(1_000),
            events: &events,
            ends: &ends,
        };
        fork(
            &parent,
            plan.clone(),
            setup(plan, 7, "another"),
            Time(9_000),
            "c",
        )
    }

    #[test]
    fn what_was_taken_back_later_is_no_past_and_is_done_anew() {
        let plan = Arc::new(harness::plan(SAGA));
        let prefix = saga(&plan, |_| {}).unwrap();
        assert_eq!(prefix.anew, ["a"]);
        assert_eq!(prefix.calls.len(), 1, "`x` has nothing that takes it back");
        let mut replayer = Replayer::new(plan.clone(), setup(&plan, 7, "another")).unwrap();
        let mut last = Vec::new();
        for event in &prefix.events {
            last = replayer.feed(event, &prefix.ends).unwrap();
        }
        let asks = |action: &Action| matches!(action, Action::Call(call) if call.path == "a");
        assert!(last.iter().any(asks), "it is asked for again: {last:?}");
    }

    #[test]
    fn what_could_not_be_taken_back_still_counts_as_done() {
        let plan = Arc::new(harness::plan(SAGA));
        let refused = |end: &mut CallEnd| {
            end.result = CallResult::Failed(Failure::new(FailureClass::Failed, "no"));
        };
        let prefix = saga(&plan, refused).unwrap();
        assert_eq!((prefix.anew.len(), prefix.calls.len()), (0, 2));
    }

    #[test]
    fn what_takes_a_step_back_is_no_step_to_begin_at() {
        let plan = Arc::new(harness::plan(BODY));
        let refused = forked(&plan, &plan, "a!compensate").unwrap_err();
        assert!(matches!(&refused, ForkError::TakesBack { step, .. } if step == "a"));
    }

    #[test]
    fn a_step_that_was_being_taken_back_is_no_past_of_anything() {
        let plan = Arc::new(harness::plan(SAGA));
        let (mut events, ends) = recorded_with(&plan, "c");
        // As a kill leaves it: what takes back was begun.
        events.pop();
        let parent = Parent {
            plan: plan.clone(),
            setup: setup(&plan, 7, "h"),
            started: Time(1_000),
            events: &events,
            ends: &ends,
        };
        let begin = |at: &str| {
            let setup = setup(&plan, 7, "another");
            fork(&parent, plan.clone(), setup, Time(9_000), at)
        };
        let refused = begin("c").unwrap_err();
        assert!(
            matches!(&refused, ForkError::HalfTakenBack { step } if step == "a"),
            "{refused}"
        );
        assert_eq!(begin("a").unwrap().calls.len(), 1);
    }

    #[test]
    fn refuses_a_plan_that_wants_what_was_never_done_before_the_step() {
        let before = Arc::new(harness::plan(BODY));
        let after = BODY.replace(
            "  c: {uses: t, needs: [ok]",
            "  x: {uses: t}\n  w: {uses: t}\n  z: {uses: t}\n  y: {uses: t}\n  \
             c: {uses: t, needs: [ok, w, x, y, z]",
        );
        let after = Arc::new(harness::plan(&after));
        let refused = forked(&before, &after, "c").unwrap_err();
        let ForkError::NotReached { wants, .. } = refused else {
            panic!("{refused}");
        };
        assert_eq!(wants, ["w", "x", "y", "z"]);
    }

    #[test]
    fn the_planner_stands_where_the_step_begins_whatever_its_plan_says_of_what_comes_later() {
        let before = Arc::new(harness::plan(BODY));
        let after = Arc::new(harness::plan(&BODY.replace(
            "  d: {uses: t, needs: [c], with: {}}",
            "  d: {uses: t, needs: [c], with: {more: true}}",
        )));
        for (at, calls) in [("a", 0), ("b", 1), ("ok", 3), ("c", 3), ("d", 4)] {
            let prefix = forked(&before, &after, at).unwrap();
            assert_eq!(prefix.calls.len(), calls, "{at}");
            let mut replayer = Replayer::new(after.clone(), setup(&after, 7, "another")).unwrap();
            let mut last = Vec::new();
            for event in &prefix.events {
                last = replayer.feed(event, &prefix.ends).unwrap();
            }
            let begun = last
                .iter()
                .any(|action| matches!(action, Action::Note(note) if begins(note, at)));
            assert!(begun, "{at}: {last:?}");
            // On the new run's clock, as far from its start as it was.
            assert!(prefix.events.iter().all(|it| it.at >= Time(9_000)), "{at}");
        }
    }
}
