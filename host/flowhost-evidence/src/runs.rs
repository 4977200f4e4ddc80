//! Which runs there were, and what happened in one: read from the run index and from a run's ledger.

use std::collections::BTreeMap;
use std::path::Path;

use flowhost_ledger::{Kind, RunIndex, StoredRecord, Value, read_run};
use serde::Serialize;

use crate::Unreadable;

/// One run as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunEntry {
    /// ULID.
    pub run_id: String,
    /// When it was entered, RFC 3339.
    pub started: String,
    /// When its end was entered; none while it runs, or after it was killed.
    pub ended: Option<String>,
    /// The status it ended with; `unfinished` without an end.
    pub status: String,
    /// The plan's name; empty if the index does not say.
    pub plan: String,
    /// `sha256:…` of the resolved plan; empty if the index does not say.
    pub plan_hash: String,
    /// Records in its ledger when it ended.
    pub records: Option<u64>,
}

/// A record as `runs show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordEntry {
    /// Sequence number.
    pub seq: u64,
    /// Informational time, RFC 3339.
    pub ts: String,
    /// `<tenant>/<plugin>` or `<tenant>/host`.
    pub actor: String,
    /// The kind's word.
    pub kind: String,
    /// The kind's own fields.
    pub fields: BTreeMap<String, serde_json::Value>,
    /// Commitment to a payload, if there is one.
    pub commit: Option<String>,
}

/// All runs of `tenant` below the state folder `root`, oldest first.
///
/// # Errors
/// [`Unreadable`] when the index cannot be read or is not sound.
pub fn list(root: &Path, tenant: &str) -> Result<Vec<RunEntry>, Unreadable> {
    let Some(records) = RunIndex::read(root, tenant)? else {
        return Ok(Vec::new());
    };
    let mut runs = Vec::new();
    for record in records {
        enter(&mut runs, &record?);
    }
    Ok(runs)
}

fn enter(runs: &mut Vec<RunEntry>, record: &StoredRecord) {
    let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
    match record.kind() {
        Some(Kind::RunStart) => runs.push(RunEntry {
            run_id: text("run_id"),
            started: record.ts.clone(),
            ended: None,
            status: "unfinished".to_owned(),
            plan: text("plan"),
            plan_hash: text("plan_hash"),
            records: None,
        }),
        Some(Kind::RunEnd) => {
            let run_id = text("run_id");
            if let Some(run) = runs.iter_mut().rev().find(|run| run.run_id == run_id) {
                run.ended = Some(record.ts.clone());
                run.status = text("status");
                run.records = record.number("size");
            }
        }
        _ => {}
    }
}

/// Every record of the run whose ledger is in `dir`, in order.
///
/// # Errors
/// [`Unreadable`] when the ledger cannot be read or its chain is broken.
pub fn show(dir: &Path) -> Result<Vec<RecordEntry>, Unreadable> {
    read_run(dir)?
        .map(|record| Ok(RecordEntry::from(record?)))
        .collect()
}

impl From<StoredRecord> for RecordEntry {
    fn from(record: StoredRecord) -> Self {
        let fields = record.fields.iter();
        Self {
            seq: record.seq,
            ts: record.ts.clone(),
            actor: record.actor.clone(),
            kind: record.kind_text.clone(),
            fields: fields
                .map(|(name, value)| (name.clone(), json(value)))
                .collect(),
            commit: record.commit.clone(),
        }
    }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.clone().into(),
        Value::Map(map) => serde_json::json!(map),
    }
}

impl RecordEntry {
    /// The fields that say most about a record, in one line.
    #[must_use]
    pub fn summary(&self) -> String {
        const SHOWN: [&str; 14] = [
            "decision",
            "right",
            "rule",
            "wanted",
            "interface",
            "step_path",
            "plugin",
            "tool",
            "guardrail",
            "action",
            "status",
            "outcome",
            "address",
            "message",
        ];
        let shown = SHOWN.iter().filter_map(|name| {
            let value = self.fields.get(*name)?.as_str()?;
            Some(match *name {
                "decision" | "interface" | "wanted" => value.to_owned(),
                _ => format!("{name}={value}"),
            })
        });
        shown.collect::<Vec<_>>().join("  ")
    }
}

/// What became of one step, as its records say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StepEntry {
    /// Its path in the plan.
    pub path: String,
    /// How it ended; `unfinished` when no record says.
    pub status: String,
    /// Attempts begun.
    pub attempts: u64,
    /// Milliseconds; none when it has not ended.
    pub duration_ms: Option<u64>,
    /// Fuel units of all its calls.
    pub fuel: u64,
    /// Model tokens.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

/// The steps of a run, in the order in which they began.
#[must_use]
pub fn steps(records: &[RecordEntry]) -> Vec<StepEntry> {
    let mut steps: Vec<StepEntry> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for record in records {
        let text = |name: &str| record.fields.get(name).and_then(|value| value.as_str());
        let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
        if !matches!(
            record.kind.as_str(),
            "step.start" | "attempt.start" | "step.end"
        ) {
            continue;
        }
        let Some(path) = text("path") else { continue };
        let place = *places.entry(path.to_owned()).or_insert_with(|| {
            steps.push(StepEntry {
                path: path.to_owned(),
                status: "unfinished".to_owned(),
                ..StepEntry::default()
            });
            steps.len() - 1
        });
        let Some(step) = steps.get_mut(place) else {
            continue;
        };
        match record.kind.as_str() {
            "attempt.start" => step.attempts = step.attempts.saturating_add(1),
            "step.end" => {
                step.status = text("status").unwrap_or_default().to_owned();
                step.duration_ms = number("duration_ms");
                step.fuel = number("fuel").unwrap_or(0);
                step.tokens = number("tokens").unwrap_or(0);
                step.micro_usd = number("micro_usd").unwrap_or(0);
            }
            _ => {}
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_leads_with_the_decision_and_skips_what_says_little() {
        let field = |name: &str, value: &str| (name.to_owned(), value.into());
        let record = RecordEntry {
            seq: 4,
            ts: String::new(),
            actor: "default/fetch".to_owned(),
            kind: "net.decision".to_owned(),
            fields: BTreeMap::from([
                field("rule", "http#none"),
                field("decision", "deny"),
                field("component", "sha256:00"),
                field("wanted", "GET https://a.example/"),
            ]),
            commit: None,
        };
        assert_eq!(
            record.summary(),
            "deny  rule=http#none  GET https://a.example/"
        );
    }
}
