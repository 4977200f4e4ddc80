//! A run that begins with another one's past: the events of a recorded run, up to a step, for the planner
//! of a new one.
//!
//! The new run may have another plan, other inputs or other components, so its planner numbers its calls as
//! it will. An end is therefore handed over by what the call was for: the step's path, the attempt and the
//! part. What the recorded run did after the step is not looked at, and neither is what the new planner does
//! not ask for. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

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
    let there = Recording::of(parent, at)?;
    let planner = planner_for(plan, setup).map_err(ReplayError::Plan)?;
    let mut branch = Branch::new(planner, at);
    for (taken, record) in parent.events.iter().enumerate() {
        let at = started.after(record.at.since(parent.started));
        match &record.event {
            Recorded::Started => branch.feed(Event::Started, at),
            Recorded::CallFinished { call } => {
                let end = parent.ends.get(call);
                let end = end.ok_or(ReplayError::NoEnd { call: call.0 })?;
                if let Some(tag) = there.calls.get(call) {
                    branch.call_ended(tag, *call, end, at);
                }
            }
            Recorded::TimerFired { .. } => branch.time(at),
            Recorded::GateAnswered { gate, answer } => {
                let path = there.gates.get(gate);
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
        if branch.reached {
            return Ok(Prefix {
                events: branch.events,
                ends: branch.ends,
                calls: branch.calls,
                taken: taken + 1,
            });
        }
        if branch.planner.is_finished() {
            break;
        }
    }
    if !there.began {
        return Err(ForkError::NeverRan {
            step: at.to_owned(),
            ran: there.ran,
        });
    }
    // In their order and each once: open calls are hashed, and the agents of a consensus share a path.
    let open = branch.open.into_keys().map(|tag| tag.path);
    let wants: BTreeSet<String> = open.chain(branch.gates.into_keys()).collect();
    Err(ForkError::NotReached {
        step: at.to_owned(),
        wants: wants.into_iter().collect(),
    })
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
    /// The steps that it began, in their order.
    ran: Vec<String>,
}

impl Recording {
    fn of(parent: &Parent<'_>, at: &str) -> Result<Self, ForkError> {
        let mut replayer = Replayer::new(parent.plan.clone(), parent.setup.clone())?;
        let (mut calls, mut gates) = (HashMap::new(), HashMap::new());
        let (mut began, mut ran) = (false, Vec::new());
        for record in parent.events {
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
                        if let Note::StepStarted {
                            path, attempt: 1, ..
                        } = note
                        {
                            ran.push(path);
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
}

impl<'s> Branch<'s> {
    fn new(planner: Box<dyn Planner>, step: &'s str) -> Self {
        Self {
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

    fn call_ended(&mut self, tag: &Tag, recorded: CallId, end: &CallEnd, at: Time) {
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
        self.now = self.now.max(at);
        self.events.push(EventRecord::of(&event, self.now));
        for action in self.planner.on(event, self.now) {
            match action {
                Action::Call(call) => {
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
        let mut branch = Branch::new(
            planner_for(plan.clone(), setup(plan, 7, "h")).unwrap(),
            "nowhere",
        );
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
