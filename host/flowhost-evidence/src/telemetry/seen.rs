//! What telemetry is shown of a fact: fields, never the payload.
//!
//! Prompts, answers, arguments and results are payloads, so nothing downstream of here can export
//! them, by construction. Facts that no view uses are left out before anything is copied.

use std::collections::BTreeMap;
use std::time::SystemTime;

use flowhost_ledger::{Fact, Kind, Value};

/// Characters of a field that is shown; ids, names and hashes are shorter.
const FIELD_CHARS: usize = 256;

/// A fact that was accepted, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The record's number.
    pub seq: u64,
    /// When it was accepted, by the host's clock.
    pub at: SystemTime,
    /// What kind of record it is.
    pub kind: Kind,
    /// `<tenant>/<plugin>` or `<tenant>/host`.
    pub actor: String,
    fields: BTreeMap<String, String>,
}

impl Seen {
    /// The fact as views see it, before it has a number and a time; none when no view looks at it.
    #[must_use]
    pub fn of(fact: &Fact) -> Option<Self> {
        let denied = fact.fields.get("decision").and_then(Value::as_text) == Some("deny");
        if !denied && !is_looked_at(fact.kind) {
            return None;
        }
        let texts = fact.fields.iter().filter_map(|(name, value)| {
            let text = value.as_text()?;
            let end = text.char_indices().nth(FIELD_CHARS).map(|(end, _)| end);
            let shown = end.and_then(|end| text.get(..end)).unwrap_or(text);
            Some((name.clone(), shown.to_owned()))
        });
        Some(Self {
            seq: 0,
            at: SystemTime::UNIX_EPOCH,
            kind: fact.kind,
            actor: fact.actor.clone(),
            fields: texts.collect(),
        })
    }

    /// The fact once it was accepted.
    #[must_use]
    pub fn accepted(self, seq: u64, at: SystemTime) -> Self {
        Self { seq, at, ..self }
    }

    /// A field's text; empty when it is not there.
    #[must_use]
    pub fn text(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    /// A field that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.text(name).parse().ok()
    }

    /// Whether the fact is a refusal.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        self.text("decision") == "deny"
    }

    /// The actor without its tenant.
    #[must_use]
    pub fn plugin(&self) -> &str {
        self.actor
            .split_once('/')
            .map_or(self.actor.as_str(), |(_, plugin)| plugin)
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
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_payload_and_no_long_field() {
        let fact = Fact::new(Kind::ModelIntent, "default/writer")
            .with("model", "m".repeat(1_000))
            .payload(b"the prompt".to_vec());
        let seen = Seen::of(&fact).unwrap();
        assert!(!format!("{seen:?}").contains("the prompt"));
        assert_eq!(seen.text("model").len(), FIELD_CHARS);
        assert_eq!(seen.plugin(), "writer");
    }

    #[test]
    fn shows_a_denial_of_any_kind_and_leaves_out_what_nobody_looks_at() {
        let fact = || Fact::new(Kind::FsOp, "default/a");
        assert_eq!(Seen::of(&fact().with("decision", "allow")), None);
        assert!(
            Seen::of(&fact().with("decision", "deny"))
                .unwrap()
                .is_denial()
        );
    }
}
