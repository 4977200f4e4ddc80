//! A run that begins with another one's past: the same up to a step, and live from there.
//!
//! The past is the recorded run's, by reference: each call up to the step is recorded as made there, with the
//! record of its end and that record's hash, and the first record names how many records of that run stand
//! before the fork and the hash of the last of them. What its planner is fed stands in full, so that the run can
//! be resumed, replayed and forked like any other, also when the recorded one is gone. Everything is worked out
//! before the first record is written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flowhost_bus::Ulid;
use flowhost_flow::planner::fork::{ForkError, Parent as Recorded, Prefix, fork};
use flowhost_flow::planner::{CallId, Note, Replayer};
use flowhost_flow::{Action, Call, Event, Exit, Plan, Planner, RunSetup, Time};

use crate::failure::Failure;
use crate::host::Inner;
use crate::journal::{Journal, emitted_id};
use crate::order::Answered;
use crate::resume::past::{Past, read_to};
use crate::resume::rebuild::{Rebuilt, rebuild};
use crate::resume::{Fed, Kept, Resumed};
use crate::reuse::{Sources, hash_of_event, sources};

/// Which run, and where.
pub(crate) struct Of {
    pub(crate) kept: Arc<dyn Kept>,
    pub(crate) run: String,
    pub(crate) at: String,
}

/// Where a run was forked, as its first record says it.
pub(crate) struct Point {
    pub(crate) run: String,
    pub(crate) records: u64,
    /// Of the last of those records, hexadecimal.
    pub(crate) hash: String,
    pub(crate) at: String,
}

/// The run that is forked.
pub(crate) struct Parent {
    dir: PathBuf,
    plan: Arc<Plan>,
    pub(crate) fed: Fed,
    sources: Sources,
}

/// The past of the new run.
pub(crate) struct Branch {
    pub(crate) point: Point,
    plan: Arc<Plan>,
    fed: Fed,
    planner: Box<dyn Planner>,
    rebuilt: Rebuilt,
    prefix: Prefix,
    sources: Sources,
}

/// Reads what is forked. Blocks on the disk.
pub(crate) fn read(host: &Inner, of: &Of) -> Result<Parent, Failure> {
    let dir = host.config.state.run_dir(&of.run);
    let cannot = |failure: Failure| Failure {
        message: cannot_be_forked(&of.run),
        ..failure
    };
    let key = of.kept.key(&dir).map_err(cannot)?;
    let fed = Fed::read(&dir, key.as_ref()).map_err(|error| cannot(error.into()))?;
    let plan = of
        .kept
        .project(&dir, &fed.setup.inputs)
        .map_err(cannot)?
        .plan;
    let sources = sources(&of.run, &dir, key.as_ref()).map_err(cannot)?;
    Ok(Parent {
        dir,
        plan,
        fed,
        sources,
    })
}

/// The past of a run of `plan` that begins now. Blocks on the disk.
pub(crate) fn branch(
    of: &Of,
    parent: Parent,
    plan: Arc<Plan>,
    setup: RunSetup,
    started: Time,
) -> Result<Branch, Failure> {
    let began = Ulid::from_string(&parent.fed.setup.run_id).map_or(0, |id| id.timestamp_ms());
    let recorded = Recorded {
        plan: parent.plan,
        setup: parent.fed.setup,
        started: Time(began),
        events: &parent.fed.events,
        ends: &parent.fed.ends,
    };
    let prefix = fork(&recorded, plan.clone(), setup.clone(), started, &of.at)
        .map_err(|error| refused(of, &error))?;
    let cannot = |why: &str| Failure::new(Exit::Internal, cannot_be_forked(&of.run)).because(why);
    let last = prefix.taken.saturating_sub(1);
    let (seq, hash) = hash_of_event(&parent.dir, last)?
        .ok_or_else(|| cannot("its records end before the step begins"))?;
    let records = seq + 1;
    let key = of.kept.key(&parent.dir)?;
    let past = read_to(&parent.dir, key.as_ref(), records)?;
    if let Some(message) = past.unread.first() {
        let why = format!(
            "a message of `{}` to `{}` was not read yet when `{}` began, and it is not sent twice",
            message.sender, message.topic, of.at
        );
        return Err(cannot(&why).hint("fork it at an earlier or a later step"));
    }
    let fed = Fed {
        setup,
        events: prefix.events.clone(),
        ends: prefix.ends.clone(),
    };
    let (planner, rebuilt) =
        rebuild(plan.clone(), &fed).map_err(|error| cannot(&error.to_string()))?;
    Ok(Branch {
        point: Point {
            run: of.run.clone(),
            records,
            hash,
            at: of.at.clone(),
        },
        plan,
        fed,
        planner,
        rebuilt,
        prefix,
        sources: parent.sources,
    })
}

impl Branch {
    /// Records the past, as it would have been recorded had it happened here.
    pub(crate) fn write(&self, journal: &Journal) -> Result<(), Failure> {
        let broken = |error| crate::execute::ledger_failure("the ledger takes no more", &error);
        let mut asked: BTreeMap<CallId, Box<Call>> = BTreeMap::new();
        let replayer = Replayer::new(self.plan.clone(), self.fed.setup.clone());
        let mut replayer = replayer.map_err(|error| self.changed(&error.to_string()))?;
        for record in &self.fed.events {
            let event = record.event(&self.fed.ends);
            let event = event.map_err(|error| self.changed(&error.to_string()))?;
            if let Event::CallFinished { call, .. } = &event {
                let there = self.prefix.calls.get(call);
                let source = there.and_then(|there| self.sources.get(&there.0));
                let (Some(call), Some(source)) = (asked.remove(call), source) else {
                    return Err(self.changed("a call of it has no record of its end"));
                };
                journal.reused(&call, source, true).map_err(broken)?;
            }
            let recorded = journal.event(&event, record.at, &Answered::default());
            recorded.map_err(broken)?;
            let actions = replayer.feed(record, &self.fed.ends);
            for action in actions.map_err(|error| self.changed(&error.to_string()))? {
                match action {
                    Action::Call(call) => drop(asked.insert(call.id, call)),
                    Action::Note(note) => journal.note(&note).map_err(broken)?,
                    // One that is still open is opened, and recorded, when the run goes on from here.
                    Action::OpenGate(gate) if !self.rebuilt.gates.contains_key(&gate.id) => {
                        journal.gate_opened(&gate, record.at.0).map_err(broken)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn changed(&self, why: &str) -> Failure {
        Failure::new(Exit::Internal, cannot_be_forked(&self.point.run)).because(why)
    }

    /// The run as it stands at the step, for a driver that goes on with it.
    pub(crate) fn resumed(self) -> (Box<dyn Planner>, Resumed) {
        let mut past = Past::default();
        for note in &self.rebuilt.notes {
            // What a step has emitted was heard, and is not said twice.
            if let Note::Emitted { step_id, .. } = note {
                past.sent.insert(emitted_id(step_id).to_string());
            }
        }
        let (rebuilt, fed) = (self.rebuilt, self.fed);
        (self.planner, Resumed { past, rebuilt, fed })
    }
}

fn cannot_be_forked(run: &str) -> String {
    format!("run {run} cannot be forked there")
}

fn refused(of: &Of, error: &ForkError) -> Failure {
    let failure = Failure::new(Exit::Internal, cannot_be_forked(&of.run));
    let failure = failure.because(error.to_string());
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    match error {
        ForkError::NeverRan { ran, .. } if !ran.is_empty() => {
            let ran = list(ran);
            failure.hint(format!(
                "steps that ran: {ran}; begin at one of them, or run the plan whole"
            ))
        }
        ForkError::NotReached { wants, .. } if !wants.is_empty() => {
            let wants = list(wants);
            failure.hint(format!(
                "the new run wants {wants} first, which was not done there: fork it at that step"
            ))
        }
        _ => failure,
    }
}
