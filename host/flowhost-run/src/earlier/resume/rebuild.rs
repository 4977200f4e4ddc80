//! From the records of a run to its planner as it was when they end, and to what its driver had open.
//!
//! The planner is fed what it was fed; what it says then has been done already, except for the end of
//! it: calls without an answer, timers that have not fired, and notes that a kill kept from being
//! written. Pure: reads nothing and performs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowhost_flow::planner::{
    CallId, GateId, Note, OpenGate, Recorded, ReplayError, Replayer, RunEnd, TimerId,
};
use flowhost_flow::{Action, Call, CallResult, Plan, Planner, Time};
use flowhost_ledger::{Fact, StoredRecord, Value};

use crate::earlier::resume::fed::Fed;

/// What was open around a planner.
pub(crate) struct Rebuilt {
    /// The planner's time when its last event came; none before the first.
    pub(crate) at: Option<Time>,
    /// Calls that were asked for and not answered, in the order in which they were asked for.
    pub(crate) open: BTreeMap<CallId, Box<Call>>,
    /// Those of them that the planner does not want any more.
    pub(crate) cancelled: BTreeSet<CallId>,
    pub(crate) timers: BTreeMap<TimerId, Time>,
    /// Gates that nobody has spoken to.
    pub(crate) gates: BTreeMap<GateId, OpenGate>,
    /// Everything it said, in order.
    pub(crate) notes: Vec<Note>,
    /// The call whose output each step handed on last.
    pub(crate) outputs: BTreeMap<String, CallId>,
    /// The path of each call that has ended.
    pub(crate) paths: BTreeMap<CallId, String>,
    pub(crate) end: Option<RunEnd>,
}

/// Feeds a new planner with the records: the planner as it was, and what was open.
///
/// # Errors
/// The first record that does not follow from those before it: it is of another plan.
pub(crate) fn rebuild(
    plan: Arc<Plan>,
    fed: &Fed,
) -> Result<(Box<dyn Planner>, Rebuilt), ReplayError> {
    let mut replayer = Replayer::new(plan, fed.setup.clone())?;
    let mut open = BTreeMap::new();
    let mut cancelled = BTreeSet::new();
    let (mut timers, mut gates) = (BTreeMap::new(), BTreeMap::new());
    let (mut notes, mut outputs, mut paths) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    let (mut at, mut end) = (None, None);
    for record in &fed.events {
        match &record.event {
            Recorded::CallFinished { call } => {
                let asked: Option<Box<Call>> = open.remove(call);
                cancelled.remove(call);
                if let Some(asked) = asked {
                    let output = fed.ends.get(call).map(|end| &end.result);
                    if matches!(output, Some(CallResult::Output(_))) {
                        outputs.insert(asked.step_id.clone(), *call);
                    }
                    paths.insert(*call, asked.path.clone());
                }
            }
            Recorded::TimerFired { timer } => {
                timers.remove(timer);
            }
            Recorded::GateAnswered { gate, .. } => {
                gates.remove(gate);
            }
            Recorded::Started | Recorded::Cancelled { .. } | Recorded::HostFailed { .. } => {}
        }
        at = at.max(Some(record.at));
        for action in replayer.feed(record, &fed.ends)? {
            match action {
                Action::Call(call) => {
                    open.insert(call.id, call);
                }
                Action::Cancel { call, .. } => {
                    cancelled.insert(call);
                }
                Action::SetTimer { timer, at } => {
                    timers.insert(timer, at);
                }
                Action::ClearTimer { timer } => {
                    timers.remove(&timer);
                }
                Action::OpenGate(gate) => {
                    gates.insert(gate.id, *gate);
                }
                Action::CloseGate { gate } => {
                    gates.remove(&gate);
                }
                Action::Note(note) => notes.push(note),
                Action::Finish(finished) => end = Some(*finished),
            }
        }
    }
    let rebuilt = Rebuilt {
        at,
        open,
        cancelled,
        timers,
        gates,
        notes,
        outputs,
        paths,
        end,
    };
    Ok((replayer.into_planner(), rebuilt))
}

/// Fields that tell one note of a planner from the next. What a person may have written (a path) is left
/// out: a record has it redacted.
const TELLING: &[&str] = &[
    "attempt", "check", "guard", "part", "status", "step", "verdict", "warning",
];

/// Those of the facts that no record holds. They were written in their order, so that only the last of
/// them can be missing.
pub(crate) fn unwritten(facts: Vec<Fact>, written: &[Arc<StoredRecord>]) -> Vec<Fact> {
    let mut written = written.iter();
    let mut facts = facts.into_iter();
    let mut missing = Vec::new();
    for fact in facts.by_ref() {
        if !written.any(|record| says(record, &fact)) {
            missing.push(fact);
            break;
        }
    }
    missing.extend(facts);
    missing
}

fn says(record: &StoredRecord, fact: &Fact) -> bool {
    let same = |name: &&str| {
        let told = fact.fields.get(name).and_then(Value::as_text);
        told == record.text(name)
    };
    record.kind() == Some(fact.kind) && TELLING.iter().all(same)
}
