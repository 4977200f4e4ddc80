//! What telemetry is shown of a fact: fields, never the payload.
//!
//! Prompts, answers, arguments and results are payloads, so nothing downstream of here can export
//! them, by construction. Facts that no view uses are left out before anything is copied.

use std::time::SystemTime;

use flowhost_ledger::records::{
    BegunPart, CallPart, Decision, EndedPart, Fields, PlacePart, Record,
};
use flowhost_ledger::{Fact, Kind, Value};

/// A fact that some view looks at, as it was told. The ledger waits for whoever hears of its facts, so that what one
/// says is read by whoever looks at it, beside both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    kind: Kind,
    actor: String,
    fields: Fields,
}

impl Told {
    /// The fact without its payload; none when no view looks at it.
    #[must_use]
    pub fn of(fact: Fact) -> Option<Self> {
        let decision = fact.fields.get("decision").and_then(Value::as_text);
        let is_denial = decision == Some(Decision::Deny.as_str());
        (is_looked_at(fact.kind) || is_denial).then_some(Self {
            kind: fact.kind,
            actor: fact.actor,
            fields: fact.fields,
        })
    }

    /// What it says, once it was accepted; none when it is not what its kind says.
    #[must_use]
    pub fn seen(self, seq: u64, at: SystemTime) -> Option<Seen> {
        Some(Seen {
            seq,
            at,
            record: Record::of(self.kind, &self.fields).ok()?,
            actor: self.actor,
        })
    }
}

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
        crate::text::plugin_of(&self.actor)
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
        let told = Told::of(intent.payload(b"the prompt".to_vec())).unwrap();
        let seen = told.seen(0, SystemTime::UNIX_EPOCH).unwrap();
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
        assert_eq!(Told::of(fact(Decision::Allow)), None);
        let denied = Told::of(fact(Decision::Deny)).unwrap();
        let denied = denied.seen(0, SystemTime::UNIX_EPOCH).unwrap();
        assert!(denied.is_denial());
    }
}
