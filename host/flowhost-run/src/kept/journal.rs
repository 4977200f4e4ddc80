//! What the host itself writes into a run's ledger, and the denials that it sees pass.
//!
//! Every fact goes through here, a guest's too: a denial is counted exactly when its record is
//! accepted. Must never write what is not a fact yet.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_flow::budget::{Currency, DEFAULT_LIMIT};
use flowhost_flow::planner::{EventRecord, StepSummary};
use flowhost_flow::{Event, Plan, RunSetup, RunStatus, Time};
use flowhost_ledger::records::{
    Asked, Budget, ComponentLoad, MemoryWrite, PlannerEvent, PolicyLoad, RecordKind, RunEnd,
    RunPause, RunStart, SCHEMA, SecretUse, SpentPart, StepPart, ToolList, ViewWrite, findings_told,
};
use flowhost_ledger::{Durability, Fact, Kind, LedgerError, Recorder, Value};
use flowhost_policy::{FileGrant, LIMITS, host_input};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::base::failure::{Failure, ledger_failure};
use crate::before::estimate::{Amount, Estimate, variance};
use crate::calls::driver::{Outcome, status_word};
use crate::calls::order::{Answered, Stands};
use crate::calls::worker::recorded;
use crate::earlier::fork::Point;
use crate::given::options::RunOptions;
use crate::given::project::{Documented, Member};
use crate::kept::memory::Entry;
use crate::kept::page::Follower;
use crate::kept::revealed::Revealed;
use crate::kept::specs::Put;
use crate::meters::account;
use crate::plugins::installed::Installed;

mod notes;

pub(crate) use notes::emitted_id;

/// Denials that a report holds: more than anybody reads, and some hundred KB of a process that a plugin could fill by
/// asking again and again. The ledger holds all of them.
pub(crate) const DENIALS_MAX: usize = 1_000;

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
    /// What the guardrail found, where one refused: for whoever reads the terminal, as the ledger has it whole.
    #[serde(skip)]
    pub why: String,
}

/// What a run begins with, beside its plan and its setup.
pub(crate) struct Begun<'a> {
    /// The plan's labels on its inputs.
    pub(crate) labels: BTreeMap<String, String>,
    /// What its evidence is about.
    pub(crate) documents: &'a BTreeMap<String, Documented>,
    pub(crate) options: &'a RunOptions,
    /// Where it was forked.
    pub(crate) fork: Option<&'a Point>,
    /// The second keys that its process has turned.
    pub(crate) second_keys: Option<Vec<String>>,
}

/// The run's ledger with a list of its denials.
#[derive(Clone)]
pub(crate) struct Journal {
    ledger: Arc<dyn Recorder>,
    tenant: Arc<str>,
    pub(crate) denials: Arc<Mutex<Vec<Denial>>>,
    /// Who is told now and then that there are more records.
    follower: Option<Arc<Follower>>,
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
            follower: None,
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

    /// The same, with who reads the records beside the run.
    pub(crate) fn followed(self, follower: Option<Arc<Follower>>) -> Self {
        Self { follower, ..self }
    }

    pub(crate) fn denials(&self) -> Vec<Denial> {
        self.denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What the ledger keeps of a document: what stands there can be compared with it.
    pub(crate) fn kept<T: Serialize>(&self, value: &T) -> serde_json::Value {
        let document = serde_json::to_value(value);
        debug_assert!(document.is_ok(), "{NOT_JSON}");
        let mut document = document.unwrap_or_default();
        self.revealed.clean_json(&mut document);
        if self.redacts {
            flowhost_detect::redact_json(&mut document);
        }
        document
    }

    /// Takes secrets that guests were told out of a text.
    pub(crate) fn keep_out(&self, text: &mut String) {
        self.revealed.clean_text(text);
    }

    /// Leaves of a result what the ledger keeps of it: whoever is handed it reads no more than its record shows.
    pub(crate) fn shown(&self, result: &mut Result<serde_json::Value, flowhost_flow::Failure>) {
        match result {
            Ok(value) => {
                self.revealed.clean_json(value);
                if self.redacts {
                    flowhost_detect::redact_json(value);
                }
            }
            Err(failure) => {
                for text in [&mut failure.message, &mut failure.hint] {
                    self.shown_text(text);
                }
            }
        }
    }

    /// As [`Journal::shown`], of one text.
    pub(crate) fn shown_text(&self, text: &mut String) {
        self.revealed.clean_text(text);
        if self.redacts {
            clean(text);
        }
    }

    pub(crate) fn by_host(&self, record: impl RecordKind) -> Fact {
        record.by(format!("{}/host", self.tenant))
    }

    /// A secret that a guest was told turned up in records of this kind: said once, before the first.
    fn leaked(&self, kind: Kind) -> Fact {
        self.by_host(SecretUse {
            r#use: Some("redact".to_owned()),
            secrets: Some(self.revealed.names()),
            place: Some(kind.as_str().to_owned()),
            ..SecretUse::default()
        })
    }

    pub(crate) fn run_start(
        &self,
        plan: &Plan,
        setup: &RunSetup,
        begun: Begun<'_>,
    ) -> Result<(), Failure> {
        let Begun {
            labels,
            documents,
            options,
            fork,
            second_keys,
        } = begun;
        let durability = match options.durability {
            Durability::Durable => "durable",
            Durability::Relaxed => "relaxed",
        };
        let payload = written(setup);
        let note = options.note.clone().map(|mut note| {
            if self.redacts {
                clean(&mut note);
            }
            note
        });
        let (git_commit, dirty) = options.work_tree.told();
        let about = |of: fn(&Documented) -> Option<String>| {
            let said = documents.iter();
            let said: BTreeMap<String, String> = said
                .filter_map(|(role, document)| Some((role.clone(), of(document)?)))
                .collect();
            (!said.is_empty()).then_some(said)
        };
        let start = RunStart {
            schema: Some(SCHEMA),
            plan: Some(setup.plan_hash.clone()),
            plan_name: Some(plan.name.clone()),
            seed: Some(setup.seed),
            durability: Some(durability.to_owned()),
            flowhost: Some(env!("CARGO_PKG_VERSION").to_owned()),
            budget: Some(budget(&plan.budget.limits, account::allowed(plan))),
            labels: Some(labels),
            parent: fork.map(|point| point.run.clone()),
            parent_records: fork.map(|point| point.records),
            parent_hash: fork.map(|point| point.hash.clone()),
            fork_at: fork.map(|point| point.at.clone()),
            fork_anew: fork.map(|it| it.anew.clone()).filter(|it| !it.is_empty()),
            fork_events: fork.and_then(|point| point.events),
            only: setup.only.clone(),
            on_request: setup.on_request.then_some(true),
            note,
            spec: plan.evidence.as_ref().map(|it| it.spec_id.clone()),
            documents: about(|it| Some(it.path.clone())),
            documents_sha256: about(|it| Some(it.sha256.clone())),
            documents_version: about(|it| it.version.clone()),
            git_commit,
            dirty,
            second_keys,
            ..RunStart::default()
        };
        append(self, self.by_host(start).payload(payload))
    }

    pub(crate) fn member(&self, key: &str, member: &Member) -> Result<(), Failure> {
        let imports = member
            .inspection
            .imports
            .iter()
            .map(|import| import.name.full.clone());
        let load = ComponentLoad {
            plugin: key.to_owned(),
            component: member.inspection.digest.to_string(),
            revision: Some(1),
            // As the plan names it: where the plan lies on this machine is the operator's business.
            file: Some(member.decl.source.clone()),
            size: Some(member.inspection.size),
            role: member.inspection.role.as_str().to_owned(),
            imports: Some(imports.collect()),
        };
        append(self, self.by_host(load))?;
        let files = member.effective.grants.files.iter();
        let files = files.map(|it| format!("{} = {}", it.guest, as_written(it, member)));
        let limits = LIMITS.iter().map(|limit| {
            let value = limit.get(&member.effective.limits);
            (limit.key.to_owned(), value.to_string())
        });
        let policy = PolicyLoad {
            plugin: key.to_owned(),
            component: member.inspection.digest.to_string(),
            name: member.profile.name.clone(),
            file: Some(member.profile.file.clone()),
            profile: member.effective.hash.clone(),
            files: Some(files.collect()),
            limits: Some(limits.collect()),
        };
        append(self, self.by_host(policy))
    }

    /// What a plugin offers, each tool pinned by the hash of all that a model reads of it.
    pub(crate) fn tools(&self, installed: &Installed) -> Result<(), Failure> {
        let tools = installed.tool_pins();
        if tools.is_empty() {
            return Ok(());
        }
        let list = ToolList {
            plugin: installed.key.to_string(),
            component: installed.plugin.digest().to_string(),
            tools,
        };
        append(self, self.by_host(list))
    }

    /// What the planner is about to be fed, and when by its clock. The result of a call stands in the
    /// call's own record where it has one, else in the payload here, and so does what its guest was told of
    /// its time.
    pub(crate) fn event(
        &self,
        event: &Event,
        now: Time,
        answered: &Answered,
    ) -> Result<(), LedgerError> {
        let record = PlannerEvent {
            event: EventRecord::of(event, now).event.word().to_owned(),
            time_ms: now.0,
            ..PlannerEvent::default()
        };
        let fact = match event {
            Event::Started => self.by_host(record),
            Event::CallFinished { call, result, used } => {
                let fact = self.by_host(answered.record(*call, used, record));
                match answered.stands {
                    Stands::Content | Stands::Own => fact,
                    Stands::Nowhere => fact.payload(written(result)),
                }
            }
            Event::TimerFired { timer } => self.by_host(PlannerEvent {
                timer: Some(timer.0),
                ..record
            }),
            Event::GateAnswered { gate, answer } => {
                let said = PlannerEvent {
                    gate: Some(gate.0),
                    ..record
                };
                self.by_host(said).payload(written(answer))
            }
            Event::Requested {
                request,
                step,
                input,
            } => {
                let asked = PlannerEvent {
                    request: Some(request.0),
                    of: Some(step.clone()),
                    ..record
                };
                self.by_host(asked).payload(written(input))
            }
            Event::Withdrawn { request } => self.by_host(PlannerEvent {
                request: Some(request.0),
                ..record
            }),
            Event::Closed { stops: None } => self.by_host(record),
            Event::Cancelled { reason }
            | Event::Closed {
                stops: Some(reason),
            } => self.by_host(record).payload(reason.clone().into_bytes()),
            Event::HostFailed { failure } => self.by_host(record).payload(written(failure)),
        };
        self.append(fact).map(drop)
    }

    /// What the run's model calls are expected to cost; nothing where none may be made.
    pub(crate) fn estimated(&self, estimate: &Estimate) -> Result<(), Failure> {
        if estimate.steps.is_empty() {
            return Ok(());
        }
        let likely = estimate.likely();
        let budget = Budget {
            event: Some("estimate".to_owned()),
            estimate: Some(estimate.id()),
            tokens: likely.map(|it| it.tokens),
            micro_usd: likely.map(|it| it.micro_usd),
            ..Budget::default()
        };
        let document = written(&estimate.document());
        append(self, self.by_host(budget).payload(document))
    }

    /// How far what was spent is from that.
    pub(crate) fn varied(&self, estimate: &Estimate, outcome: &Outcome) -> Result<(), Failure> {
        // Without an expectation there is nothing to be off from.
        let Some(expected) = estimate.likely() else {
            return Ok(());
        };
        let used = &outcome.end.used;
        let spent = Amount {
            tokens: used.tokens,
            micro_usd: used.micro_usd,
        };
        let ratio = variance(expected, spent).map_or_else(String::new, |it| format!("{it:.4}"));
        let budget = Budget {
            event: Some("variance".to_owned()),
            estimate: Some(estimate.id()),
            estimated_tokens: Some(expected.tokens),
            estimated_micro_usd: Some(expected.micro_usd),
            tokens: Some(spent.tokens),
            micro_usd: Some(spent.micro_usd),
            ratio: Some(ratio),
            ..Budget::default()
        };
        append(self, self.by_host(budget))
    }

    /// A view was written: a name in the run's folder, and its bytes.
    pub(crate) fn view(&self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        append(self, self.by_host(view_of(path, bytes)))
    }

    /// A view was written below the plan's evidence folder.
    pub(crate) fn view_below(&self, root: &str, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let view = ViewWrite {
            root: Some(root.to_owned()),
            ..view_of(path, bytes)
        };
        append(self, self.by_host(view))
    }

    /// What an older run of the spec left is in an archive below the plan's evidence folder.
    pub(crate) fn archived(&self, root: &str, put: &Put) -> Result<(), Failure> {
        let view = ViewWrite {
            path: put.path.clone(),
            root: Some(root.to_owned()),
            sha256: put.sha256.clone(),
            size: Some(put.bytes),
        };
        append(self, self.by_host(view))
    }

    /// An answer of a stage was kept beyond the run.
    pub(crate) fn remembered(
        &self,
        step: &StepSummary,
        entry: &Entry,
        bytes: &[u8],
    ) -> Result<(), Failure> {
        let write = MemoryWrite {
            at: StepPart {
                step: step.step_id.clone(),
                path: step.path.clone(),
            },
            entry: entry.id.clone(),
            agent: entry.agent.clone(),
            sha256: hex::encode(Sha256::digest(bytes)),
        };
        append(self, self.by_host(write))
    }

    /// The end of a run that found, before its first step, that it cannot be.
    pub(crate) fn run_refused(&self, failure: &Failure) -> Result<&'static str, Failure> {
        let status = failure.ended().word();
        let end = RunEnd {
            status: status.to_owned(),
            exit_code: Some(u64::from(failure.exit.code())),
            ..RunEnd::default()
        };
        append(self, self.by_host(end).payload(refused(failure)))?;
        Ok(status)
    }

    /// The same of a run that went on: it can be resumed once that is put right.
    pub(crate) fn run_refused_again(&self, failure: &Failure) -> Result<&'static str, Failure> {
        let status = RunStatus::Interrupted.word();
        let pause = RunPause {
            status: status.to_owned(),
            exit_code: Some(u64::from(failure.exit.code())),
            ..RunPause::default()
        };
        append(self, self.by_host(pause).payload(refused(failure)))?;
        Ok(status)
    }

    /// `evidence` is how many bytes plugins have left in records and payloads.
    pub(crate) fn run_end(&self, outcome: &Outcome, evidence: u64) -> Result<(), Failure> {
        let used = &outcome.end.used;
        let end = RunEnd {
            status: status_word(outcome).to_owned(),
            exit_code: Some(u64::from(outcome.end.exit.code())),
            owner: outcome.end.failure.as_ref().map(|it| recorded(it.owner)),
            spent: SpentPart {
                calls: Some(used.calls),
                fuel: Some(used.fuel),
                tokens: Some(used.tokens),
                micro_usd: Some(used.micro_usd),
            },
            evidence: Some(evidence),
            ..RunEnd::default()
        };
        append(self, self.by_host(end).payload(written(&outcome.end)))
    }
}

impl Recorder for Journal {
    fn append(&self, mut fact: Fact) -> Result<u64, LedgerError> {
        // First: what is sealed beside a record is its payload as it is by then, and no secret may be in it.
        if self.revealed.clean_fact(&mut fact) {
            // Past what is done below: it holds names that the operator gave, and nothing to be taken out.
            self.ledger.append(self.leaked(fact.kind))?;
        }
        let fact = match (self.redacts, self.seals) {
            (false, _) => fact,
            (true, false) => redacted(fact),
            (true, true) => sealed(fact),
        };
        let denial = denial(&fact);
        let seq = self.ledger.append(fact)?;
        if let Some(follower) = &self.follower {
            follower.grown(seq);
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
pub(crate) const CUT: char = '…';

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

/// Why a run could not begin, as its last record holds it.
fn refused(failure: &Failure) -> Vec<u8> {
    let findings = failure.findings.iter().map(ToString::to_string);
    let reasons: Vec<String> = failure.causes.iter().cloned().chain(findings).collect();
    format!("{}\n{}", failure.message, reasons.join("\n")).into_bytes()
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
        match fact.fields.get_mut(name) {
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
    view_of(path, bytes).by(format!("{tenant}/host"))
}

fn view_of(path: &str, bytes: &[u8]) -> ViewWrite {
    ViewWrite {
        path: path.to_owned(),
        root: None,
        sha256: hex::encode(Sha256::digest(bytes)),
        size: Some(bytes.len() as u64),
    }
}

/// What the run may use of each currency, and may leave in its evidence, by the words that `step.end` and
/// `run.end` use.
fn budget(stated: &[Option<u64>; 4], evidence: u64) -> BTreeMap<String, String> {
    let words = ["calls", "fuel", "tokens", "micro_usd"];
    let amounts = Currency::ALL.iter().zip(stated);
    let amounts = amounts.map(|(currency, stated)| stated.unwrap_or(DEFAULT_LIMIT.get(*currency)));
    words
        .into_iter()
        .zip(amounts)
        .chain([("evidence", evidence)])
        .map(|(word, amount)| (word.to_owned(), amount.to_string()))
        .collect()
}

fn denial(fact: &Fact) -> Option<Denial> {
    let text = |name: &str| match fact.fields.get(name) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    // Before the payload is read: every fact comes by here, and few of them deny anything.
    let decision = fact.fields.get("decision").and_then(Value::as_text);
    if decision != Some("deny") {
        return None;
    }
    let asked = fact.payload.as_deref().and_then(Asked::of_payload);
    let asked = asked.unwrap_or_default();
    let some = |text: String| (!text.is_empty()).then_some(text);
    Some(Denial {
        seq: 0,
        actor: fact.actor.clone(),
        step: text("step"),
        right: text("right"),
        wanted: some(text("wanted")).unwrap_or(asked.wanted),
        rule: text("rule"),
        cure: some(text("cure")).or(asked.cure).unwrap_or_default(),
        why: fact
            .payload
            .as_deref()
            .and_then(findings_told)
            .unwrap_or_default(),
    })
}

/// A granted folder as its profile writes it. Where the one that an input names lies on this machine is the
/// operator's business: it belongs neither into a line that cannot be erased nor onto a page that is sent.
fn as_written<'a>(grant: &'a FileGrant, member: &'a Member) -> &'a str {
    let mut written = member.profile.grants.files.iter();
    written
        .find(|it| it.guest == grant.guest && host_input(&it.host).is_some())
        .map_or(&grant.host, |it| &it.host)
}

const NOT_JSON: &str =
    "what the host records holds what JSON can carry: texts for keys, and finite numbers";

/// A payload of the host's own words.
fn written<T: Serialize>(value: &T) -> Vec<u8> {
    let written = serde_json::to_vec(value);
    debug_assert!(written.is_ok(), "{NOT_JSON}");
    written.unwrap_or_default()
}

/// Appends and forgets the number.
pub(crate) fn append(ledger: &dyn flowhost_ledger::Recorder, fact: Fact) -> Result<(), Failure> {
    ledger
        .append(fact)
        .map(drop)
        .map_err(|error| ledger_failure("the ledger takes no more", &error))
}

#[cfg(test)]
mod tests;
