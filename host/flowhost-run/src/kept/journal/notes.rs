//! What a planner's notes are as records.
//!
//! A step's first attempt begins with the step and its last one ends with it, so that only attempts between
//! the two have records of their own.

use flowhost_bus::Ulid;
use flowhost_caps::messaging::MESSAGE;
use flowhost_flow::consensus::Verdict;
use flowhost_flow::planner::{Note, Part, StepSummary};
use flowhost_flow::{Amounts, Failure, StepStatus};
use flowhost_ledger::records::{
    AttemptEnd, AttemptStart, Budget, Consensus, GuardVerdict, Message, PlacePart, SpentPart,
    StepEnd, StepPart, StepStart,
};
use flowhost_ledger::{Fact, LedgerError, Recorder as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Journal, written};
use crate::calls::worker::recorded;

impl Journal {
    /// Writes what a note says. Only notes that are facts become records.
    pub(crate) fn note(&self, note: &Note) -> Result<(), LedgerError> {
        match self.fact_of(note) {
            Some(fact) => self.append(fact).map(drop),
            None => Ok(()),
        }
    }

    pub(crate) fn fact_of(&self, note: &Note) -> Option<Fact> {
        Some(match note {
            Note::StepStarted {
                step_id,
                path,
                stage,
                attempt: 1,
            } => self.by_host(StepStart {
                at: at(step_id, path),
                stage: stage.clone(),
            }),
            Note::StepStarted {
                step_id,
                path,
                attempt,
                ..
            } => self.by_host(AttemptStart {
                at: at(step_id, path),
                attempt: u64::from(*attempt),
            }),
            Note::Retrying {
                step_id,
                path,
                attempt,
                failure,
                ..
            } => self.attempt_failed(at(step_id, path), *attempt, failure),
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
                let said = Guarded {
                    plugin,
                    part: *part,
                    verdict,
                    findings,
                    warned: *warned,
                };
                self.guarded(place(step_id, path), &said)
            }
            Note::Check {
                step_id,
                path,
                id,
                holds,
            } => self.checked(place(step_id, path), id, *holds),
            Note::Warning {
                path,
                about,
                message,
            } => self
                .warning(path, about)
                .payload(message.clone().into_bytes()),
            Note::Consensus {
                step_id,
                path,
                attempt,
                verdict,
            } => self.consensus(at(step_id, path), *attempt, verdict),
            Note::Emitted {
                step_id,
                path,
                subject,
                payload,
            } => self.emitted(step_id, path, subject, payload),
            Note::Expanded { .. }
            | Note::HandlerStarted { .. }
            | Note::CompensationStarted { .. } => return None,
        })
    }

    fn attempt_failed(&self, at: StepPart, attempt: u32, failure: &Failure) -> Fact {
        let end = AttemptEnd {
            at,
            attempt: u64::from(attempt),
            status: "failed".to_owned(),
            class: Some(failure.class.word().to_owned()),
            owner: Some(recorded(failure.owner)),
        };
        let message = failure.message.clone();
        self.by_host(end).payload(message.into_bytes())
    }

    fn checked(&self, place: PlacePart, id: &str, holds: bool) -> Fact {
        let verdict = if holds { "pass" } else { "deny" };
        self.by_host(GuardVerdict {
            place,
            check: Some(id.to_owned()),
            verdict: Some(verdict.to_owned()),
            ..GuardVerdict::default()
        })
    }

    fn emitted(&self, step_id: &str, path: &str, topic: &str, payload: &Value) -> Fact {
        let said = json!({ "payload": payload, "subject": topic, "topic": topic });
        let message = Message {
            place: place(step_id, path),
            id: emitted_id(step_id).to_string(),
            r#type: MESSAGE.to_owned(),
            ..Message::default()
        };
        self.by_host(message).payload(said.to_string().into_bytes())
    }

    fn guarded(&self, place: PlacePart, said: &Guarded<'_>) -> Fact {
        let record = GuardVerdict {
            place,
            guard: Some(said.plugin.to_owned()),
            part: Some(said.part.word()),
            verdict: Some(said.verdict.to_owned()),
            findings: Some(said.findings.len() as u64),
            warned: Some(said.warned),
            ..GuardVerdict::default()
        };
        self.by_host(record).payload(written(&said.findings))
    }

    fn warning(&self, path: &str, about: &str) -> Fact {
        let place = PlacePart {
            path: Some(path.to_owned()),
            ..PlacePart::default()
        };
        let warning = Some(about.to_owned());
        match about {
            "budget" => self.by_host(Budget {
                place,
                warning,
                ..Budget::default()
            }),
            _ => self.by_host(GuardVerdict {
                place,
                warning,
                ..GuardVerdict::default()
            }),
        }
    }

    fn consensus(&self, at: StepPart, attempt: u32, verdict: &Verdict) -> Fact {
        let record = Consensus {
            at,
            attempt: u64::from(attempt),
            round: u64::from(verdict.round),
            status: verdict.status.word().to_owned(),
            decision: verdict.decision.as_str().to_owned(),
            accepted_by: verdict.accepted_by.clone(),
            agreements: verdict.agreements.len() as u64,
            conflicts: verdict.conflicts.len() as u64,
            resolved: verdict.conflicts_resolved.len() as u64,
            present: u64::from(verdict.participation.present),
            expected: u64::from(verdict.participation.expected),
            ratio: verdict.agreement_ratio.map(|ratio| format!("{ratio:.3}")),
            verdict: verdict.sha256(),
        };
        self.by_host(record).payload(written(verdict))
    }

    /// The end of a step and of its last attempt. A step that was skipped did not fail: the reason is the
    /// plan's own.
    fn step_end(&self, summary: &StepSummary) -> Fact {
        let StepSummary {
            step_id,
            path,
            status,
            attempts,
            failure,
            ..
        } = summary;
        let failure = failure.as_ref().filter(|_| *status != StepStatus::Skipped);
        let end = self.by_host(StepEnd {
            at: at(step_id, path),
            status: status.word().to_owned(),
            class: failure.map(|failure| failure.class.word().to_owned()),
            owner: failure.map(|failure| recorded(failure.owner)),
            attempts: Some(u64::from(*attempts)),
            duration_ms: Some(summary.duration_ms),
            spent: spent(&summary.used),
        });
        match failure {
            Some(failure) => end.payload(failure.message.clone().into_bytes()),
            None => end,
        }
    }
}

/// What a guardrail of a step said.
struct Guarded<'a> {
    plugin: &'a str,
    part: Part,
    verdict: &'a str,
    findings: &'a [Value],
    warned: bool,
}

fn at(step: &str, path: &str) -> StepPart {
    StepPart {
        step: step.to_owned(),
        path: path.to_owned(),
    }
}

fn place(step: &str, path: &str) -> PlacePart {
    PlacePart {
        step: Some(step.to_owned()),
        path: Some(path.to_owned()),
        ..PlacePart::default()
    }
}

/// Most steps ask no model, and say nothing of what they did not spend on one.
fn spent(used: &Amounts) -> SpentPart {
    let some = |amount: u64| (amount > 0).then_some(amount);
    SpentPart {
        calls: Some(used.calls),
        fuel: Some(used.fuel),
        tokens: some(used.tokens),
        micro_usd: some(used.micro_usd),
    }
}

/// The id of the message that a step emits: a step emits one, whoever performs it.
pub(crate) fn emitted_id(step_id: &str) -> Ulid {
    let digest: [u8; 32] = Sha256::digest(format!("emit {step_id}")).into();
    // All 128 bits of the step, and none of the time: a process that emits again after a kill must not have another.
    let bits = digest
        .iter()
        .take(16)
        .fold(0_u128, |sum, byte| (sum << 8) | u128::from(*byte));
    Ulid::from(bits)
}
