//! What telemetry is shown of a fact: fields, never the payload.
//!
//! Prompts, answers, arguments and results are payloads, so nothing downstream of here can export
//! them, by construction. Facts that no view uses are left out before anything is copied.

use std::time::SystemTime;

use flowhost_ledger::records::{BegunPart, CallPart, EndedPart, PlacePart, Record};
use flowhost_ledger::{Fact, Kind};

/// A fact that was accepted, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The record's number.
    pub seq: u64,
    /// When it was accepted, by the host's clock.
    pub at: SystemTime,
    /// `<tenant>/<plugin>` or `<tenant>/host`.
    pub actor: String,
    /// What it says.
    pub record: Record,
}

impl Seen {
    /// The fact as views see it, before it has a number and a time; none when no view looks at it.
    #[must_use]
    pub fn of(fact: &Fact) -> Option<Self> {
        let is_denial = || fact.read().is_ok_and(|record| record.is_denial());
        if !is_looked_at(fact.kind) && !is_denial() {
            return None;
        }
        Some(Self {
            seq: 0,
            at: SystemTime::UNIX_EPOCH,
            actor: fact.actor.clone(),
            record: fact.read().ok()?,
        })
    }

    /// The fact once it was accepted.
    #[must_use]
    pub fn accepted(self, seq: u64, at: SystemTime) -> Self {
        Self { seq, at, ..self }
    }

    /// What kind of record it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.record.kind()
    }

    /// Whether the fact is a refusal.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.record.is_denial()
    }

    /// The step that it belongs to; empty for none.
    #[must_use]
    pub fn step(&self) -> &str {
        self.record.step()
    }

    /// The attempt at that step; 0 for none.
    #[must_use]
    pub fn attempt(&self) -> u64 {
        let of_call = || self.record.part::<CallPart>()?.attempt;
        let of_begun = || self.record.part::<BegunPart>()?.attempt;
        let of_ended = || self.record.part::<EndedPart>()?.attempt;
        let of_call = || of_call().or_else(of_begun).or_else(of_ended);
        let of_place = || self.record.part::<PlacePart>()?.attempt;
        match &self.record {
            Record::StepStart(_) => 1,
            Record::StepEnd(end) => end.attempts.unwrap_or(0),
            Record::AttemptStart(start) => start.attempt,
            Record::AttemptEnd(end) => end.attempt,
            _ => of_call().or_else(of_place).unwrap_or(0),
        }
    }

    /// The actor without its tenant.
    #[must_use]
    pub fn plugin(&self) -> &str {
        super::words::plugin_of(&self.actor)
    }
}

/// Kinds that a span, a metric or a log line is made of. A denial of any kind is, too.
fn is_looked_at(kind: Kind) -> bool {
    use Kind as K;
    matches!(
        kind,
        K::RunStart
            | K::RunEnd
            | K::StepStart
            | K::StepEnd
            | K::AttemptStart
            | K::AttemptEnd
            | K::ComponentLoad
            | K::ToolCall
            | K::ToolResult
            | K::ModelIntent
            | K::ModelResult
            | K::GuardVerdict
            | K::Budget
            | K::Message
            | K::PlannerEvent
            | K::McpHandshake
            | K::McpToolRegister
    )
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::records::{Asked, Decision, DecisionPart, FsOp, ModelIntent, RecordKind};

    use super::*;

    #[test]
    fn shows_no_payload() {
        let intent = ModelIntent::default().by("default/writer");
        let seen = Seen::of(&intent.payload(b"the prompt".to_vec())).unwrap();
        assert!(!format!("{seen:?}").contains("the prompt"));
        assert_eq!(seen.plugin(), "writer");
    }

    #[test]
    fn shows_a_denial_of_any_kind_and_leaves_out_what_nobody_looks_at() {
        let fact = |decision| {
            let op = FsOp {
                decided: DecisionPart {
                    decision: Some(decision),
                    ..DecisionPart::default()
                },
                ..FsOp::default()
            };
            op.by("default/a")
                .payload(Asked::for_what("read /x").to_payload())
        };
        assert_eq!(Seen::of(&fact(Decision::Allow)), None);
        assert!(Seen::of(&fact(Decision::Deny)).unwrap().is_denial());
    }
}
