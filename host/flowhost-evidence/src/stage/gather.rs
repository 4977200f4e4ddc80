//! What the records say of the stages of a run.

use std::collections::{BTreeMap, HashMap};

use flowhost_flow::consensus::Verdict;
use flowhost_ledger::records::{GuardVerdict, Record, StepStart, ToolCall, ToolResult};
use flowhost_ledger::{Kind, StoredRecord};
use serde_json::Value;

use super::calls::{Call, Seen};
use super::guards::{Answered, Guards};
use crate::story::PayloadSource;

/// A stage that has ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Stage {
    pub(super) stage: String,
    pub(super) path: String,
    pub(super) status: String,
    pub(super) started: String,
    pub(super) ended: String,
    pub(super) duration_ms: u64,
    pub(super) attempts: u64,
    pub(super) labels: BTreeMap<String, String>,
    /// What the person who started the run wants to be read beside it.
    pub(super) note: Option<String>,
    pub(super) budget_micro_usd: Option<u64>,
    pub(super) calls: Vec<Call>,
    /// The verdict of the last round, and when it was recorded.
    pub(super) verdict: Option<(String, Verdict)>,
    pub(super) checks_passed: u64,
    pub(super) checks_failed: u64,
    /// What guardrails said before and after the work, and what they used.
    pub(super) guards: Guards,
    /// Times at which something of the stage's life happened, in the ledger's order.
    pub(super) events: Vec<(String, &'static str, String)>,
    /// What was handed back and what models were asked, by the numbers of their records.
    said: HashMap<u64, Value>,
    /// What agents were given, where no model's request shows it.
    given: HashMap<u64, String>,
}

impl Stage {
    /// What an agent was given, as text; none where it is erased or was never there, and where its model's request
    /// shows it.
    pub(super) fn given(&self, of: &Seen) -> Option<&str> {
        self.given.get(&of.0).map(String::as_str)
    }

    /// What was handed back, or what a model was asked.
    pub(super) fn json(&self, of: &Seen) -> Option<&Value> {
        self.said.get(&of.0)
    }

    /// The turns of an agent's first request to its model, as far as there are any.
    pub(super) fn turns(&self, call: &Call) -> Option<&Vec<Value>> {
        self.json(call.prompt.as_ref()?)?.get("turns")?.as_array()
    }

    /// Version and SHA-256 of the prompt that the agents were asked with.
    pub(super) fn prompt(&self) -> (Option<&str>, Option<&str>) {
        let version = self
            .calls
            .iter()
            .find_map(|it| it.prompt_version.as_deref());
        let sha256 = self.calls.iter().find_map(|it| it.prompt_sha256.as_deref());
        (version.filter(|it| !it.is_empty()), sha256)
    }
}

/// Kinds of records that say something of a stage; most of a run's are others, and are not read any further.
const TELLING: [Kind; 10] = [
    Kind::PlannerEvent,
    Kind::StepStart,
    Kind::AttemptStart,
    Kind::ToolCall,
    Kind::ToolResult,
    Kind::ModelIntent,
    Kind::ModelResult,
    Kind::Consensus,
    Kind::GuardVerdict,
    Kind::StepEnd,
];

/// All stages of a run, of records that are read one by one, each once.
///
/// A step that is no stage, and an item of one, is not kept: a run may have tens of thousands of them. A stage is kept
/// when it has ended, without its texts: it may be started once more.
#[derive(Debug, Default)]
pub(super) struct Gather {
    labels: BTreeMap<String, String>,
    note: Option<String>,
    budget_micro_usd: Option<u64>,
    /// By the id of its step.
    stages: HashMap<String, Growing>,
    /// Which step made a call, by the call.
    callers: HashMap<String, String>,
    /// The planner's last event, where it is an answer that has no record of its own.
    answered: Option<Answered>,
}

/// A stage, as far as its records have come.
#[derive(Debug, Default)]
struct Growing {
    stage: Stage,
    verdict: Option<(String, Seen)>,
    ended: bool,
    places: HashMap<String, usize>,
}

impl Gather {
    pub(super) fn record(&mut self, record: &StoredRecord) {
        let kind = record.kind();
        if kind == Some(Kind::RunStart) {
            return self.began(record);
        }
        if !kind.is_some_and(|kind| TELLING.contains(&kind)) {
            return;
        }
        // A record that is not what its kind says is the verifier's business.
        let Ok(Some(said)) = record.read() else {
            return;
        };
        match &said {
            Record::PlannerEvent(event) => self.answered = Answered::of(event),
            Record::ToolResult(result) if result.caller.is_none() => {
                let call = result.call_of.call.as_deref();
                let step = call.and_then(|call| self.callers.get(root(call)));
                if let Some(growing) = step.and_then(|step| self.stages.get_mut(step)) {
                    growing.returned(record, result);
                }
            }
            Record::StepStart(start) if is_stage(start) => {
                let growing = self.stages.entry(start.at.step.clone()).or_default();
                growing.started(record, start);
            }
            _ => self.of_step(record, &said),
        }
    }

    fn began(&mut self, record: &StoredRecord) {
        if let Ok(Some(Record::RunStart(start))) = record.read() {
            self.labels = start.labels.clone().unwrap_or_default();
            self.note.clone_from(&start.note);
            let budget = start.budget.as_ref().and_then(|it| it.get("micro_usd"));
            self.budget_micro_usd = budget.and_then(|it| it.parse().ok());
        }
    }

    fn of_step(&mut self, record: &StoredRecord, said: &Record) {
        // Most steps of a run are no stages.
        let Some(growing) = self.stages.get_mut(said.step()) else {
            return;
        };
        match said {
            Record::ToolCall(call) if call.caller.is_none() => {
                // Ledgers of the first wave name no calls, and have no stages.
                if let Some(id) = &call.call_of.call {
                    growing.called(record, call, id);
                    self.callers.insert(id.clone(), said.step().to_owned());
                }
            }
            Record::GuardVerdict(verdict) => growing.judged(verdict, &mut self.answered),
            _ => growing.record(record, said),
        }
    }

    /// The stage of a step, with its payloads; none when it has not ended.
    pub(super) fn stage(&self, step_id: &str, source: &dyn PayloadSource) -> Option<Stage> {
        let growing = self.stages.get(step_id).filter(|it| it.ended)?;
        let mut stage = Stage {
            labels: self.labels.clone(),
            note: self.note.clone(),
            budget_micro_usd: self.budget_micro_usd,
            ..growing.stage.clone()
        };
        let payload = |(seq, commit): &Seen| source.payload(*seq, commit.as_ref()?).ok().flatten();
        for call in &growing.stage.calls {
            for seen in call.answered.iter().chain(&call.prompt) {
                let value = payload(seen).and_then(|bytes| serde_json::from_slice(&bytes).ok());
                stage.said.extend(value.map(|value| (seen.0, value)));
            }
            // All that an agent was given is much, and shown only where no request to a model is.
            if stage.turns(call).is_none() {
                let text = payload(&call.asked).and_then(|bytes| String::from_utf8(bytes).ok());
                stage.given.extend(text.map(|text| (call.asked.0, text)));
            }
        }
        stage.verdict = growing.verdict.as_ref().and_then(|(ts, seen)| {
            let verdict = serde_json::from_slice(&payload(seen)?).ok()?;
            Some((ts.clone(), verdict))
        });
        Some(stage)
    }
}

/// Whether a step is a stage of which files are made: a whole step that names one, and no item of it.
fn is_stage(start: &StepStart) -> bool {
    start.stage.is_some() && !start.at.path.contains(['[', '!'])
}

impl Growing {
    fn event(&mut self, record: &StoredRecord, what: &'static str, note: &str) {
        let event = (record.ts.clone(), what, note.to_owned());
        self.stage.events.push(event);
    }

    fn started(&mut self, record: &StoredRecord, start: &StepStart) {
        if self.stage.started.is_empty() {
            self.stage.started.clone_from(&record.ts);
        }
        self.stage.path.clone_from(&start.at.path);
        self.stage.stage = start.stage.clone().unwrap_or_default();
        self.event(record, "queued", "");
    }

    fn record(&mut self, record: &StoredRecord, said: &Record) {
        match said {
            Record::AttemptStart(start) if start.attempt > 1 => self.event(record, "reset", ""),
            Record::ModelIntent(intent) if !said.is_denial() => {
                let seen = (record.seq, record.commit.clone());
                let id = intent.call_of.call.as_deref();
                if let Some(call) = self.of(id) {
                    call.usage.asked(intent);
                    call.prompt.get_or_insert(seen);
                } else if let Some(id) = id {
                    self.stage.guards.intent(root(id), own(record), intent);
                }
            }
            Record::ModelResult(result) => {
                let id = result.call_of.call.as_deref();
                if let Some(call) = self.of(id) {
                    call.usage.answered(result);
                } else if let Some(id) = id {
                    self.stage.guards.result(root(id), result);
                }
            }
            Record::Consensus(_) => {
                self.event(record, "checking_consensus", "");
                let seen = (record.seq, record.commit.clone());
                self.verdict = Some((record.ts.clone(), seen));
            }
            Record::StepEnd(end) => {
                let what = match end.status.as_str() {
                    "ok" => "completed",
                    "cancelled" => "cancelled",
                    _ => "failed",
                };
                self.event(record, what, &end.status);
                self.stage.status.clone_from(&end.status);
                self.stage.ended.clone_from(&record.ts);
                self.stage.duration_ms = end.duration_ms.unwrap_or(0);
                self.stage.attempts = end.attempts.unwrap_or(0);
                self.ended = true;
            }
            _ => {}
        }
    }

    fn judged(&mut self, verdict: &GuardVerdict, answered: &mut Option<Answered>) {
        // A guardrail that failed gave no verdict; its attempt says so.
        let Some(word) = &verdict.verdict else { return };
        match &verdict.check {
            Some(_) if word == "pass" => self.stage.checks_passed += 1,
            Some(_) => self.stage.checks_failed += 1,
            None => self.stage.guards.spoke(verdict, word, answered.take()),
        }
    }

    fn of(&mut self, call: Option<&str>) -> Option<&mut Call> {
        let place = *self.places.get(root(call?))?;
        self.stage.calls.get_mut(place)
    }

    fn called(&mut self, record: &StoredRecord, call: &ToolCall, id: &str) {
        if self.stage.calls.is_empty() {
            self.event(record, "dispatched", "");
        }
        let usage = self.stage.guards.release(id).unwrap_or_default();
        self.places.insert(id.to_owned(), self.stage.calls.len());
        let seat = call.part.as_deref().and_then(|it| it.strip_prefix("seat-"));
        self.stage.calls.push(Call {
            agent: own(record).to_owned(),
            seat: seat.and_then(|it| it.parse().ok()),
            prompt_version: call.prompt_version.clone(),
            prompt_sha256: call.prompt_sha256.clone(),
            asked: (record.seq, record.commit.clone()),
            answered: None,
            ok: false,
            duration_ms: None,
            usage,
            prompt: None,
        });
    }

    fn returned(&mut self, record: &StoredRecord, result: &ToolResult) {
        let seen = (record.seq, record.commit.clone());
        if let Some(call) = self.of(result.call_of.call.as_deref()) {
            call.ok = result.status == "ok";
            call.duration_ms = result.used.duration_ms;
            call.answered = Some(seen);
        }
    }
}

/// `12.1` is a call that `12` made: what its models used is used for `12`.
fn root(call: &str) -> &str {
    call.split('.').next().unwrap_or(call)
}

/// Who a record is by, by the plan's name of it.
fn own(record: &StoredRecord) -> &str {
    let own = record.actor.strip_prefix(&record.tenant);
    let name = own.and_then(|it| it.strip_prefix('/'));
    name.unwrap_or(&record.actor)
}
