//! From the records of a run to its planner as it was when they end, and to what its driver had open.
//!
//! The planner is fed what it was fed; what it says then has been done already, except for the end of
//! it: calls without an answer, timers that have not fired, and notes that a kill kept from being
//! written. Pure: reads nothing and performs nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use flowhost_flow::planner::{
    CallEnd, CallId, EventRecord, GateId, Note, OpenGate, Recorded, ReplayError, Replayer, RunEnd,
    TimerId,
};
use flowhost_flow::{Action, Call, CallResult, Plan, Planner, RunSetup, Time};
use flowhost_ledger::{Fact, Kind, LentRecord};

use crate::calls::driver::failed_by_host;
use crate::earlier::resume::fed::Fed;

/// What was open around a planner.
#[derive(Default)]
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
    /// Steps with the calls whose outputs they handed on, in that order.
    pub(crate) outputs: Vec<(String, CallId)>,
    /// The path of each call that has ended.
    pub(crate) paths: BTreeMap<CallId, String>,
    pub(crate) end: Option<RunEnd>,
}

/// A planner as it was, and what was open around it; or the first record that does not follow from those before it.
pub(crate) type AsItWas = Result<(Box<dyn Planner>, Rebuilt), ReplayError>;

/// Feeds a new planner with the records: the planner as it was, and what was open.
///
/// # Errors
/// The first record that does not follow from those before it: it is of another plan.
pub(crate) fn rebuild(plan: Arc<Plan>, fed: &Fed) -> AsItWas {
    let mut rebuilding = Rebuilding::new(plan, fed.setup.clone())?;
    for record in &fed.events {
        rebuilding.feed(record, &fed.ends)?;
    }
    Ok(rebuilding.done())
}

/// A planner that is fed record by record, and what is open around it so far.
pub(crate) struct Rebuilding {
    replayer: Replayer,
    rebuilt: Rebuilt,
}

impl Rebuilding {
    /// Before the first record.
    ///
    /// # Errors
    /// When there is no planner for the plan.
    pub(crate) fn new(plan: Arc<Plan>, setup: RunSetup) -> Result<Self, ReplayError> {
        Ok(Self {
            replayer: Replayer::new(plan, setup)?,
            rebuilt: Rebuilt::default(),
        })
    }

    /// Feeds the next record; `ends` has the end of the call that it names.
    ///
    /// # Errors
    /// The record does not follow from those before it.
    pub(crate) fn feed(
        &mut self,
        record: &EventRecord,
        ends: &BTreeMap<CallId, CallEnd>,
    ) -> Result<(), ReplayError> {
        self.rebuilt.close(&record.event, ends);
        self.rebuilt.at = self.rebuilt.at.max(Some(record.at));
        for action in self.replayer.feed(record, ends)? {
            self.rebuilt.open(action);
        }
        Ok(())
    }

    /// The planner as it stands, and what is open around it.
    pub(crate) fn done(self) -> (Box<dyn Planner>, Rebuilt) {
        (self.replayer.into_planner(), self.rebuilt)
    }
}

impl Rebuilt {
    /// What an event answers is not open any more.
    fn close(&mut self, event: &Recorded, ends: &BTreeMap<CallId, CallEnd>) {
        match event {
            Recorded::CallFinished { call } => {
                let asked = self.open.remove(call);
                self.cancelled.remove(call);
                if let Some(asked) = asked {
                    let Call { step_id, path, .. } = *asked;
                    let output = ends.get(call).map(|end| &end.result);
                    if matches!(output, Some(CallResult::Output(_))) {
                        self.outputs.push((step_id, *call));
                    }
                    self.paths.insert(*call, path);
                }
            }
            Recorded::TimerFired { timer } => {
                self.timers.remove(timer);
            }
            Recorded::GateAnswered { gate, .. } => {
                self.gates.remove(gate);
            }
            Recorded::Started
            | Recorded::Requested { .. }
            | Recorded::Withdrawn { .. }
            | Recorded::Closed { .. }
            | Recorded::Cancelled { .. } => {}
            Recorded::HostFailed { failure } => {
                self.end = self.end.take().map(|end| failed_by_host(end, failure));
            }
        }
    }

    /// What the planner wants is open, or is not any more.
    fn open(&mut self, action: Action) {
        match action {
            Action::Call(call) => {
                self.open.insert(call.id, call);
            }
            Action::Cancel { call, .. } => {
                self.cancelled.insert(call);
            }
            Action::SetTimer { timer, at } => {
                self.timers.insert(timer, at);
            }
            Action::ClearTimer { timer } => {
                self.timers.remove(&timer);
            }
            Action::OpenGate(gate) => {
                self.gates.insert(gate.id, *gate);
            }
            Action::CloseGate { gate } => {
                self.gates.remove(&gate);
            }
            // Whoever asked is gone with the process that was asked.
            Action::Reply { .. } => {}
            Action::Note(note) => self.notes.push(note),
            Action::Finish(finished) => self.end = Some(*finished),
        }
    }
}

/// Fields that tell one note of a planner from the next. What a person may have written (a path) is left
/// out: a record has it redacted.
const TELLING: [&str; 8] = [
    "attempt", "check", "guard", "part", "status", "step", "verdict", "warning",
];

/// A note of the planner that is on record, as far as it is told from others: a run has any number of them, and most of
/// a record is something else.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Written {
    kind: Kind,
    /// What it says in each of the [`TELLING`] fields that it has, each with its name and its length, so that no text can
    /// be taken for two.
    told: Box<str>,
}

impl Written {
    /// A note of this kind with these fields.
    fn new<T: AsRef<str>>(kind: Kind, field: impl Fn(&'static str) -> Option<T>) -> Self {
        let mut told = String::with_capacity(64);
        for name in TELLING {
            if let Some(text) = field(name) {
                let text = text.as_ref();
                told.push_str(name);
                told.push_str(&text.len().to_string());
                told.push(' ');
                told.push_str(text);
            }
        }
        Self {
            kind,
            told: told.into(),
        }
    }

    /// The note that `record`, which is of this kind, holds.
    pub(crate) fn of(kind: Kind, record: &LentRecord<'_>) -> Self {
        Self::new(kind, |name| record.text(name))
    }

    /// The note that is to become this record.
    pub(crate) fn of_fact(fact: &Fact) -> Self {
        Self::new(fact.kind, |name| fact.fields.get(name)?.as_text())
    }

    /// The same of a note whose record need not be made for it: almost all are the beginning or the end of a step.
    pub(crate) fn of_note(note: &Note) -> Option<Self> {
        match note {
            Note::StepStarted {
                step_id,
                attempt: 1,
                ..
            } => {
                let field = |name: &'static str| (name == "step").then_some(step_id);
                Some(Self::new(Kind::StepStart, field))
            }
            Note::StepEnded(summary) => {
                let field = |name: &'static str| match name {
                    "status" => Some(summary.status.word()),
                    "step" => Some(summary.step_id.as_str()),
                    _ => None,
                };
                Some(Self::new(Kind::StepEnd, field))
            }
            _ => None,
        }
    }
}

/// The facts of those notes that no record holds; `fact_of` gives the fact of a note, where it is one. They were written
/// in their order, so that only the last of them are missing; hosts before this one wrote some of them in another order,
/// which does not make them missing.
pub(crate) fn unwritten(
    notes: &[Note],
    written: &[Written],
    fact_of: impl Fn(&Note) -> Option<Fact>,
) -> Vec<Fact> {
    let mut written = written.iter();
    // Records that were passed over on the way to another: none of its own in a run whose records are in order.
    let mut passed: HashMap<&Written, usize> = HashMap::new();
    let mut missing = Vec::new();
    for note in notes {
        let told = Written::of_note(note);
        let told = told.or_else(|| fact_of(note).as_ref().map(Written::of_fact));
        // A note that is no fact was never to be written.
        let Some(told) = told else { continue };
        if let Some(left) = passed.get_mut(&told).filter(|left| **left > 0) {
            *left -= 1;
            continue;
        }
        let mut found = false;
        for record in written.by_ref() {
            if *record == told {
                found = true;
                break;
            }
            *passed.entry(record).or_default() += 1;
        }
        if !found {
            missing.extend(fact_of(note));
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use flowhost_flow::{Amounts, Exit, Failure, FailureClass};
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn a_run_whose_host_failed_in_its_last_turn_has_not_ended_well() {
        let text = "flowhost: v1\nkind: workflow\nname: one\n\
                    plugins: { say: { kind: tool, source: 'builtin:say', profile: tool-pure } }\n\
                    steps: { greet: { uses: say } }\n";
        let setup = RunSetup {
            run_id: "01JD00000000000000000000AA".to_owned(),
            plan_hash: "h".to_owned(),
            seed: 1,
            inputs: Map::new(),
            estimates: BTreeMap::new(),
            components: BTreeMap::new(),
            only: None,
            on_request: false,
        };
        let call = CallId(1);
        let failure = Failure::new(FailureClass::Internal, "no room for evidence");
        let events = [
            Recorded::Started,
            Recorded::CallFinished { call },
            Recorded::HostFailed { failure },
        ];
        let events = events.map(|event| EventRecord { at: Time(1), event });
        let result = CallResult::Output(json!("hello"));
        let used = Amounts::default();
        let fed = Fed {
            setup,
            events: events.to_vec(),
            ends: BTreeMap::from([(call, CallEnd { result, used })]),
        };
        let plan = Plan::parse(text, "plan.yaml").unwrap();
        let (_, rebuilt) = rebuild(Arc::new(plan), &fed).unwrap();
        let end = rebuilt.end.unwrap();
        assert_eq!(end.exit, Exit::Internal);
        assert_eq!(end.failure.unwrap().message, "no room for evidence");
    }

    /// The beginning of a step, and its record.
    fn began(step: &str) -> (Note, Written) {
        let note = Note::StepStarted {
            step_id: step.to_owned(),
            path: step.to_owned(),
            stage: None,
            attempt: 1,
        };
        let written = Written::of_note(&note).unwrap();
        (note, written)
    }

    /// Which notes of `said` are missing in `written`, by what each begins.
    fn missing(said: &[&str], written: &[&str]) -> Vec<String> {
        let notes: Vec<Note> = said.iter().map(|step| began(step).0).collect();
        let written: Vec<Written> = written.iter().map(|step| began(step).1).collect();
        let fact_of = |note: &Note| match note {
            Note::StepStarted { step_id, .. } => Some(Fact::new(Kind::StepStart, step_id.as_str())),
            _ => None,
        };
        let missing = unwritten(&notes, &written, fact_of);
        missing.into_iter().map(|fact| fact.actor).collect()
    }

    #[test]
    fn what_a_kill_kept_from_being_written_is_missing_and_what_was_written_in_another_order_is_not()
    {
        assert!(missing(&["a", "b"], &["a", "b"]).is_empty());
        assert_eq!(missing(&["a", "b", "c"], &["a"]), ["b", "c"]);
        // What else stands between them is another's.
        assert_eq!(missing(&["a", "b", "c"], &["a", "x", "b"]), ["c"]);
        assert_eq!(missing(&["a", "b", "c", "d"], &["b", "c", "a"]), ["d"]);
        // As often as it was said.
        assert_eq!(missing(&["a", "b", "a", "a"], &["a", "b", "a"]), ["a"]);
    }
}
