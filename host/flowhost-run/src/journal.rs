//! What the host itself writes into a run's ledger, and the denials that it sees pass.
//!
//! Every fact goes through here, a guest's too: a denial is counted exactly when its record is
//! accepted. Must never write what is not a fact yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_bus::Ulid;
use flowhost_caps::messaging::MESSAGE;
use flowhost_flow::RunSetup;
use flowhost_flow::budget::{Currency, DEFAULT_LIMIT};
use flowhost_flow::consensus::Verdict;
use flowhost_flow::planner::{EventRecord, Note, StepSummary};
use flowhost_flow::{Event, Plan, RunStatus, Time};
use flowhost_ledger::records::{Asked, Message, PlacePart, RecordKind, SCHEMA};
use flowhost_ledger::{Durability, Fact, Kind, LedgerError, Recorder, Value};
use flowhost_policy::{FileGrant, LIMITS, host_input};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::driver::Outcome;
use crate::estimate::{Amount, Estimate, variance};
use crate::execute::{RunOptions, append, host_fact, status_of, status_word};
use crate::failure::Failure;
use crate::installed::Installed;
use crate::order::Stands;
use crate::project::Member;
use crate::revealed::Revealed;
use crate::world::FactObserver;

/// Denials that a report holds; the ledger holds all of them.
const DENIALS_MAX: usize = 1_000;

/// The status of a run that ended before its first step.
const REFUSED: &str = "failed";

/// A refused argument, as the report shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The record's number.
    pub seq: u64,
    /// Who asked.
    pub actor: String,
    /// The step that it happened in.
    pub step: String,
    /// The right that was missing.
    pub right: String,
    /// What was asked for.
    pub wanted: String,
    /// The rule that said no.
    pub rule: String,
    /// The profile line that would allow it; empty when none would.
    pub cure: String,
}

/// The run's ledger with a list of its denials.
#[derive(Clone)]
pub(crate) struct Journal {
    ledger: Arc<dyn Recorder>,
    tenant: Arc<str>,
    pub(crate) denials: Arc<Mutex<Vec<Denial>>>,
    observer: Option<Arc<dyn FactObserver>>,
    /// Whether keys and personal data are taken out of what is stored.
    redacts: bool,
    /// Whether what was taken out is kept sealed beside it.
    seals: bool,
    /// What guests were told, and no record may repeat.
    revealed: Arc<Revealed>,
}

impl Journal {
    pub(crate) fn new(ledger: Arc<dyn Recorder>, tenant: &str, redacts: bool) -> Self {
        Self {
            ledger,
            tenant: tenant.into(),
            denials: Arc::default(),
            observer: None,
            redacts,
            seals: false,
            revealed: Arc::default(),
        }
    }

    /// The same, which keeps secrets that guests are told out of every record.
    pub(crate) fn keeping_out(self, revealed: Arc<Revealed>) -> Self {
        Self { revealed, ..self }
    }

    /// The same, which hands over what payloads were before they were redacted, to be sealed.
    pub(crate) fn sealing(self, seals: bool) -> Self {
        Self { seals, ..self }
    }

    /// The same, with somebody who hears of every fact of `run`.
    pub(crate) fn observed(self, run: &str, observer: Option<Arc<dyn FactObserver>>) -> Self {
        if let Some(observer) = &observer {
            observer.begin(&self.tenant, run);
        }
        Self { observer, ..self }
    }

    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the ledger keeps of a document: what stands there can be compared with it.
    pub(crate) fn kept<T: Serialize>(&self, value: &T) -> serde_json::Value {
        let mut document = serde_json::to_value(value).unwrap_or_default();
        self.revealed.clean_json(&mut document);
        if self.redacts {
            flowhost_detect::redact_json(&mut document);
        }
        document
    }

    pub(crate) fn fact(&self, kind: Kind) -> Fact {
        host_fact(kind, &self.tenant)
    }

    /// A secret that a guest was told turned up in records of this kind: said once, before the first.
    fn leaked(&self, kind: Kind) -> Fact {
        self.fact(Kind::SecretUse)
            .with("use", "redact")
            .with("secrets", self.revealed.names())
            .with("place", kind.as_str())
    }

    pub(crate) fn run_start(
        &self,
        plan: &Plan,
        setup: &RunSetup,
        labels: BTreeMap<String, String>,
        options: &RunOptions,
    ) -> Result<(), Failure> {
        let durability = match options.durability {
            Durability::Durable => "durable",
            Durability::Relaxed => "relaxed",
        };
        let payload = serde_json::to_vec(setup).unwrap_or_default();
        let fact = self
            .fact(Kind::RunStart)
            .with("schema", SCHEMA)
            .with("plan", setup.plan_hash.as_str())
            .with("plan_name", plan.name.as_str())
            .with("seed", setup.seed)
            .with("durability", durability)
            .with("flowhost", env!("CARGO_PKG_VERSION"))
            .with("budget", budget(&plan.budget.limits))
            .with("labels", labels)
            .payload(payload);
        append(self, fact)
    }

    pub(crate) fn member(&self, key: &str, member: &Member) -> Result<(), Failure> {
        let imports: Vec<String> = member
            .inspection
            .imports
            .iter()
            .map(|import| import.name.full.clone())
            .collect();
        let load = self
            .fact(Kind::ComponentLoad)
            .with("plugin", key)
            .with("component", &*member.inspection.digest)
            .with("size", member.inspection.size)
            .with("role", member.inspection.role.as_str())
            .with("imports", imports);
        append(self, load)?;
        let files = member.effective.grants.files.iter();
        let files: Vec<String> = files
            .map(|it| format!("{} = {}", it.guest, as_written(it, member)))
            .collect();
        let limits = LIMITS.iter().map(|limit| {
            let value = limit.get(&member.effective.limits);
            (limit.key.to_owned(), value.to_string())
        });
        let policy = self
            .fact(Kind::PolicyLoad)
            .with("plugin", key)
            .with("component", &*member.inspection.digest)
            .with("name", member.profile.name.as_str())
            .with("file", member.profile.file.as_str())
            .with("profile", member.effective.hash.as_str())
            .with("files", files)
            .with("limits", limits.collect::<BTreeMap<_, _>>());
        append(self, policy)
    }

    /// What a plugin offers, each tool pinned by the hash of all that a model reads of it.
    pub(crate) fn tools(&self, installed: &Installed) -> Result<(), Failure> {
        let pins = installed.tool_pins();
        if pins.is_empty() {
            return Ok(());
        }
        let fact = self
            .fact(Kind::ToolList)
            .with("plugin", &*installed.key)
            .with("component", &*installed.plugin.digest())
            .with("tools", Value::Map(pins));
        append(self, fact)
    }

    /// An order or an answer that the driver has sent or taken.
    pub(crate) fn message(
        &self,
        subject: &str,
        envelope: &flowhost_bus::Envelope,
    ) -> Result<u64, LedgerError> {
        let fact = Fact::new(Kind::Message, envelope.actor.as_str())
            .with("id", envelope.id.to_string())
            .with("subject", subject)
            .with("type", envelope.kind.as_str())
            .with("hash", envelope.hash_text())
            .with("step", envelope.step.as_str());
        self.append(fact)
    }

    /// What the planner is about to be fed, and when by its clock. The result of a call stands in the
    /// call's own record where it has one, else in the payload here, and so does what its guest was told of
    /// its time.
    pub(crate) fn event(
        &self,
        event: &Event,
        now: Time,
        stands: Stands,
        told_ms: u64,
    ) -> Result<(), LedgerError> {
        let fact = self
            .fact(Kind::PlannerEvent)
            .with("event", EventRecord::of(event, now).event.word())
            .with("time_ms", now.0);
        let fact = match event {
            Event::Started => fact,
            Event::CallFinished { call, result, used } => {
                let fact = fact
                    .with("call", call.0)
                    .with("result", stands.word())
                    .with("calls", used.calls)
                    .with("fuel", used.fuel)
                    .with("tokens", used.tokens)
                    .with("micro_usd", used.micro_usd);
                match stands {
                    Stands::Content | Stands::Own => fact,
                    Stands::Nowhere => fact
                        .with("told_ms", told_ms)
                        .payload(serde_json::to_vec(result).unwrap_or_default()),
                }
            }
            Event::TimerFired { timer } => fact.with("timer", timer.0),
            Event::GateAnswered { gate, answer } => fact
                .with("gate", gate.0)
                .payload(serde_json::to_vec(answer).unwrap_or_default()),
            Event::Cancelled { reason } => fact.payload(reason.clone().into_bytes()),
            Event::HostFailed { failure } => {
                fact.payload(serde_json::to_vec(failure).unwrap_or_default())
            }
        };
        self.append(fact).map(drop)
    }

    /// Writes what a note says. Only notes that are facts become records.
    pub(crate) fn note(&self, note: &Note) -> Result<(), LedgerError> {
        for fact in self.facts(note) {
            self.append(fact)?;
        }
        Ok(())
    }

    pub(crate) fn facts(&self, note: &Note) -> Vec<Fact> {
        match note {
            Note::StepStarted {
                step_id,
                path,
                stage,
                attempt,
            } => {
                let named = |kind| self.step(kind, step_id, path);
                let stage = stage.as_deref().unwrap_or("");
                let start = (*attempt == 1).then(|| named(Kind::StepStart).with("stage", stage));
                let attempt = named(Kind::AttemptStart).with("attempt", u64::from(*attempt));
                start.into_iter().chain([attempt]).collect()
            }
            Note::Retrying {
                step_id,
                path,
                attempt,
                failure,
                ..
            } => {
                vec![self.attempt_end(step_id, path, *attempt, "failed", Some(failure))]
            }
            Note::StepEnded(summary) => self.step_end(summary),
            Note::Guardrail {
                step_id,
                path,
                plugin,
                part,
                verdict,
                findings,
                warned,
            } => {
                let fact = self
                    .step(Kind::GuardVerdict, step_id, path)
                    .with("guard", plugin.as_str())
                    .with("part", part.word())
                    .with("verdict", *verdict)
                    .with("findings", findings.len() as u64)
                    .with("warned", if *warned { "true" } else { "false" });
                vec![fact.payload(serde_json::to_vec(findings).unwrap_or_default())]
            }
            Note::Check {
                step_id,
                path,
                id,
                holds,
            } => {
                let verdict = if *holds { "pass" } else { "deny" };
                let fact = self.step(Kind::GuardVerdict, step_id, path);
                vec![fact.with("check", id.as_str()).with("verdict", verdict)]
            }
            Note::Warning {
                path,
                about,
                message,
            } => {
                let kind = if *about == "budget" {
                    Kind::Budget
                } else {
                    Kind::GuardVerdict
                };
                let fact = self
                    .fact(kind)
                    .with("path", path.as_str())
                    .with("warning", *about);
                vec![fact.payload(message.clone().into_bytes())]
            }
            Note::Consensus {
                step_id,
                path,
                attempt,
                verdict,
            } => vec![self.consensus(step_id, path, *attempt, verdict)],
            Note::Emitted {
                step_id,
                path,
                subject,
                payload,
            } => {
                let said = json!({ "payload": payload, "subject": subject, "topic": subject });
                let message = Message {
                    place: PlacePart {
                        step: Some(step_id.clone()),
                        path: Some(path.clone()),
                        ..PlacePart::default()
                    },
                    id: emitted_id(step_id).to_string(),
                    r#type: MESSAGE.to_owned(),
                    ..Message::default()
                };
                vec![self.by_host(message).payload(said.to_string().into_bytes())]
            }
            Note::Expanded { .. }
            | Note::HandlerStarted { .. }
            | Note::CompensationStarted { .. } => Vec::new(),
        }
    }

    fn step(&self, kind: Kind, step_id: &str, path: &str) -> Fact {
        self.fact(kind).with("step", step_id).with("path", path)
    }

    fn consensus(&self, step_id: &str, path: &str, attempt: u32, verdict: &Verdict) -> Fact {
        let fact = self
            .step(Kind::Consensus, step_id, path)
            .with("attempt", u64::from(attempt))
            .with("round", u64::from(verdict.round))
            .with("status", verdict.status.word())
            .with("decision", verdict.decision.as_str())
            .with("agreements", verdict.agreements.len() as u64)
            .with("conflicts", verdict.conflicts.len() as u64)
            .with("resolved", verdict.conflicts_resolved.len() as u64)
            .with("present", u64::from(verdict.participation.present))
            .with("expected", u64::from(verdict.participation.expected))
            .with("verdict", verdict.sha256());
        let fact = match verdict.agreement_ratio {
            Some(ratio) => fact.with("ratio", format!("{ratio:.3}")),
            None => fact,
        };
        let fact = match &verdict.accepted_by {
            Some(by) => fact.with("accepted_by", by.as_str()),
            None => fact,
        };
        fact.payload(serde_json::to_vec(verdict).unwrap_or_default())
    }

    fn attempt_end(
        &self,
        step_id: &str,
        path: &str,
        attempt: u32,
        status: &str,
        failure: Option<&flowhost_flow::Failure>,
    ) -> Fact {
        let fact = self
            .step(Kind::AttemptEnd, step_id, path)
            .with("attempt", u64::from(attempt))
            .with("status", status);
        match failure {
            Some(failure) => fact
                .with("class", failure.class.word())
                .payload(failure.message.clone().into_bytes()),
            None => fact,
        }
    }

    fn step_end(&self, summary: &StepSummary) -> Vec<Fact> {
        let StepSummary {
            step_id,
            path,
            status,
            attempts,
            failure,
            ..
        } = summary;
        let last = (*attempts > 0)
            .then(|| self.attempt_end(step_id, path, *attempts, status.word(), failure.as_ref()));
        let end = self
            .step(Kind::StepEnd, step_id, path)
            .with("status", status.word())
            .with("attempts", u64::from(*attempts))
            .with("duration_ms", summary.duration_ms)
            .with("calls", summary.used.calls)
            .with("fuel", summary.used.fuel)
            .with("tokens", summary.used.tokens)
            .with("micro_usd", summary.used.micro_usd);
        last.into_iter().chain([end]).collect()
    }

    /// What the run's model calls are expected to cost; nothing where none may be made.
    pub(crate) fn estimated(&self, estimate: &Estimate) -> Result<(), Failure> {
        if estimate.steps.is_empty() {
            return Ok(());
        }
        let total = estimate.total().likely;
        let fact = self
            .fact(Kind::Budget)
            .with("event", "estimate")
            .with("estimate", estimate.id())
            .with("tokens", total.tokens)
            .with("micro_usd", total.micro_usd)
            .payload(serde_json::to_vec(&estimate.document()).unwrap_or_default());
        append(self, fact)
    }

    /// How far what was spent is from that.
    pub(crate) fn varied(&self, estimate: &Estimate, outcome: &Outcome) -> Result<(), Failure> {
        if estimate.steps.is_empty() {
            return Ok(());
        }
        let (expected, used) = (estimate.total().likely, &outcome.end.used);
        let spent = Amount {
            tokens: used.tokens,
            micro_usd: used.micro_usd,
        };
        let ratio = variance(expected, spent).map_or_else(String::new, |it| format!("{it:.4}"));
        let fact = self
            .fact(Kind::Budget)
            .with("event", "variance")
            .with("estimate", estimate.id())
            .with("estimated_tokens", expected.tokens)
            .with("estimated_micro_usd", expected.micro_usd)
            .with("tokens", spent.tokens)
            .with("micro_usd", spent.micro_usd)
            .with("ratio", ratio);
        append(self, fact)
    }

    /// A view was written: a name in the run's folder, and its bytes.
    pub(crate) fn view(&self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        append(self, view_fact(&self.tenant, path, bytes))
    }

    /// A view was written below the plan's evidence folder.
    pub(crate) fn view_below(&self, root: &str, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        append(
            self,
            view_fact(&self.tenant, path, bytes).with("root", root),
        )
    }

    /// The end of a run that found, before its first step, that it cannot be.
    pub(crate) fn run_refused(&self, failure: &Failure) -> Result<&'static str, Failure> {
        let fact = self.fact(Kind::RunEnd).with("status", REFUSED);
        append(self, refused(fact, failure))?;
        Ok(REFUSED)
    }

    /// The same of a run that went on: it can be resumed once that is put right.
    pub(crate) fn run_refused_again(&self, failure: &Failure) -> Result<&'static str, Failure> {
        let status = status_of(RunStatus::Interrupted);
        let fact = self.fact(Kind::RunPause).with("status", status);
        append(self, refused(fact, failure))?;
        Ok(status)
    }

    pub(crate) fn by_host(&self, record: impl RecordKind) -> Fact {
        record.by(format!("{}/host", self.tenant))
    }

    pub(crate) fn run_end(&self, outcome: &Outcome) -> Result<(), Failure> {
        let fact = self
            .fact(Kind::RunEnd)
            .with("status", status_word(outcome))
            .with("exit_code", u64::from(outcome.end.exit.code()))
            .with("calls", outcome.end.used.calls)
            .with("fuel", outcome.end.used.fuel)
            .with("tokens", outcome.end.used.tokens)
            .with("micro_usd", outcome.end.used.micro_usd)
            .payload(serde_json::to_vec(&outcome.end).unwrap_or_default());
        append(self, fact)
    }
}

impl Recorder for Journal {
    fn append(&self, mut fact: Fact) -> Result<u64, LedgerError> {
        if self.revealed.clean_fact(&mut fact) {
            self.ledger.append(self.leaked(fact.kind))?;
        }
        let fact = match (self.redacts, self.seals) {
            (false, _) => fact,
            (true, false) => redacted(fact),
            (true, true) => sealed(fact),
        };
        let denial = denial(&fact);
        let observer = self.observer.as_ref();
        let heard = observer.and_then(|observer| observer.hear(&fact));
        let seq = self.ledger.append(fact)?;
        if let Some(accepted) = heard {
            accepted(seq);
        }
        if let Some(denial) = denial {
            let mut denials = self.denials.lock().unwrap_or_else(PoisonError::into_inner);
            if denials.len() < DENIALS_MAX {
                denials.push(Denial { seq, ..denial });
            }
        }
        Ok(seq)
    }

    fn durable(
        &self,
        seq: u64,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        self.ledger.durable(seq)
    }
}

/// The fields that hold what a guest, a provider or a person wrote.
const FOREIGN: &[&str] = &[
    "answered_by",
    "asked",
    "cure",
    "model",
    "notes",
    "path",
    "subject",
    "tool",
    "topic",
    "wanted",
];

/// What a text ends with that was cut to a bound.
const CUT: char = '…';

/// The id of the message that a step emits: a step emits one, whoever performs it.
pub(crate) fn emitted_id(step_id: &str) -> Ulid {
    let digest: [u8; 32] = Sha256::digest(format!("emit {step_id}")).into();
    let bits = digest
        .iter()
        .take(16)
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    Ulid::from(bits)
}

/// Takes keys and personal data out of a text. Of one that was cut, the last word goes too: it may be
/// the beginning of what would have been found whole.
pub(crate) fn clean(text: &mut String) {
    if let Cow::Owned(redacted) = flowhost_detect::redact(text) {
        *text = redacted;
    }
    if let Some(before) = text.strip_suffix(CUT) {
        let kept = before.trim_end_matches(|c: char| !c.is_whitespace());
        *text = format!("{kept}{CUT}");
    }
}

fn clean_payload(payload: Vec<u8>) -> Vec<u8> {
    let mut text = match String::from_utf8(payload) {
        Ok(text) => text,
        Err(error) => return error.into_bytes(),
    };
    if let Some((redacted, _)) = flowhost_detect::redact_document(&text) {
        text = redacted;
    }
    if text.ends_with(CUT) {
        clean(&mut text);
    }
    text.into_bytes()
}

/// A fact with why a run could not begin.
fn refused(fact: Fact, failure: &Failure) -> Fact {
    let findings = failure.findings.iter().map(ToString::to_string);
    let reasons: Vec<String> = failure.causes.iter().cloned().chain(findings).collect();
    fact.with("exit_code", u64::from(failure.exit.code()))
        .payload(format!("{}\n{}", failure.message, reasons.join("\n")).into_bytes())
}

/// The redacted fact with what its payload was, if that is another.
fn sealed(fact: Fact) -> Fact {
    let exact = fact.payload.clone();
    let fact = redacted(fact);
    let sealed = exact.filter(|exact| fact.payload.as_ref() != Some(exact));
    Fact { sealed, ..fact }
}

/// The fact without keys and personal data: in its payload, and in what was asked for. Names, hashes
/// and numbers are the host's own and stay as they are.
fn redacted(mut fact: Fact) -> Fact {
    if let Some(payload) = fact.payload.take() {
        fact.payload = Some(clean_payload(payload));
    }
    for name in FOREIGN {
        match fact.fields.get_mut(*name) {
            Some(Value::Text(text)) => clean(text),
            Some(Value::List(texts)) => texts.iter_mut().for_each(clean),
            Some(Value::Map(_)) | None => {}
        }
    }
    fact
}

/// What says that the view of this name has these bytes.
#[must_use]
pub fn view_fact(tenant: &str, path: &str, bytes: &[u8]) -> Fact {
    host_fact(Kind::ViewWrite, tenant)
        .with("path", path)
        .with("sha256", hex::encode(Sha256::digest(bytes)))
        .with("size", bytes.len() as u64)
}

/// What the run may use of each currency, by the words that `step.end` and `run.end` use.
fn budget(stated: &[Option<u64>; 4]) -> BTreeMap<String, String> {
    let words = ["calls", "fuel", "tokens", "micro_usd"];
    let amounts = Currency::ALL.iter().zip(stated);
    let amounts = amounts.map(|(currency, stated)| stated.unwrap_or(DEFAULT_LIMIT.get(*currency)));
    words
        .iter()
        .zip(amounts)
        .map(|(word, amount)| ((*word).to_owned(), amount.to_string()))
        .collect()
}

fn denial(fact: &Fact) -> Option<Denial> {
    let asked = fact.payload.as_deref().and_then(Asked::of_payload);
    let asked = asked.unwrap_or_default();
    let text = |name: &str| match fact.fields.get(name) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let some = |text: String| (!text.is_empty()).then_some(text);
    (text("decision") == "deny").then(|| Denial {
        seq: 0,
        actor: fact.actor.clone(),
        step: text("step"),
        right: text("right"),
        wanted: some(text("wanted")).unwrap_or(asked.wanted),
        rule: text("rule"),
        cure: some(text("cure")).or(asked.cure).unwrap_or_default(),
    })
}

/// A granted folder as its profile writes it. Where the one that an input names lies on this machine is the
/// operator's business: it belongs neither into a line that cannot be erased nor onto a page that is sent.
fn as_written<'a>(grant: &'a FileGrant, member: &'a Member) -> &'a str {
    let mut written = member.profile.grants.files.iter();
    let written = written.find(|it| it.guest == grant.guest && host_input(&it.host).is_some());
    written.map_or(&grant.host, |it| &it.host)
}

#[cfg(test)]
mod tests;
