//! The latest of each stage, from a spec's evidence files.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Files;
use super::security::{Item, items};
use crate::stage::{Form, Judged, judge};

/// The order in which stages are told; others follow by their names.
const ORDER: [&str; 6] = ["plan", "tasks", "implement", "validate", "audit", "unlock"];

/// A spec as its files tell it.
#[derive(Debug)]
pub struct Spec<'f> {
    /// Its id.
    pub id: String,
    /// The latest of each stage, in the order of work.
    pub stages: Vec<StageState>,
    /// Its cost summary.
    pub costs: Option<Value>,
    /// What needs a security review, and what was said of it.
    pub security: Vec<Item>,
    pub(super) files: &'f Files,
}

/// A stage at its latest.
#[derive(Debug, Clone, PartialEq)]
pub struct StageState {
    /// Its name.
    pub stage: String,
    /// The run.
    pub run_id: String,
    /// When it ended.
    pub ended: String,
    /// `ok`, `degraded`, `conflict` or `missing`.
    pub status: String,
    /// Why it is not ok, and what the plan did about it.
    pub reason: String,
    /// Whose answers are missing.
    pub missing: Vec<String>,
    /// What was disagreed about.
    pub disputes: Vec<Dispute>,
    /// Share of agreement.
    pub agreement: Option<f64>,
    /// Checks that held, and that did not.
    pub checks: (Option<u64>, Option<u64>),
    /// US dollars by its telemetry.
    pub cost_usd: Option<f64>,
    /// Version and SHA-256 of its prompt.
    pub prompt: (Option<String>, Option<String>),
    /// Models that took part.
    pub models: Vec<String>,
    /// Hash of the verdict, where several agreed.
    pub verdict_sha256: Option<String>,
    /// What it made.
    pub output: Option<Value>,
    /// Names of readers, with their `overall`.
    pub readings: Vec<(String, Option<f64>)>,
    /// Notes.
    pub notes: Vec<String>,
    /// Its files, by their paths.
    pub(super) paths: Vec<String>,
}

/// A conflict, open or settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// About what.
    pub issue: String,
    /// What each said.
    pub positions: BTreeMap<String, String>,
    /// How it was settled, and why; none while it is open.
    pub settled: Option<(String, String)>,
}

impl<'f> Spec<'f> {
    /// Reads the files of an evidence root that belong to the spec. A file that is not what its form says is passed over:
    /// `telemetry validate` names it.
    #[must_use]
    pub fn read(id: &str, files: &'f Files) -> Self {
        let mut latest: BTreeMap<String, (String, &str, Value)> = BTreeMap::new();
        let folder = format!("consensus/{id}/");
        for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with(&folder)) {
            if judge(path, bytes) != Judged::Valid(Form::Telemetry2) {
                continue;
            }
            let text = String::from_utf8_lossy(bytes);
            for line in text
                .lines()
                .filter_map(|it| serde_json::from_str::<Value>(it).ok())
            {
                let (stage, ended) = (word(&line, "stage"), word(&line, "timestamp"));
                // Times of this format are in order as texts.
                let newer = latest
                    .get(&stage)
                    .is_none_or(|(before, ..)| *before < ended);
                if newer && !stage.is_empty() {
                    latest.insert(stage, (ended, path.as_str(), line));
                }
            }
        }
        let mut stages: Vec<StageState> = latest
            .into_iter()
            .map(|(stage, (ended, path, line))| state(stage, ended, path, &line, files))
            .collect();
        let place = |stage: &str| {
            ORDER
                .iter()
                .position(|it| *it == stage)
                .unwrap_or(ORDER.len())
        };
        stages.sort_by(|a, b| (place(&a.stage), &a.stage).cmp(&(place(&b.stage), &b.stage)));
        let costs = files.get(&costs_path(id));
        let tasks = stages.iter().find(|it| it.stage == "tasks");
        let security = items(id, tasks.and_then(|it| it.output.as_ref()), files);
        Self {
            id: id.to_owned(),
            costs: costs.and_then(|bytes| serde_json::from_slice(bytes).ok()),
            stages,
            security,
            files,
        }
    }

    /// The files that a packet is made of.
    pub(super) fn sources(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self
            .stages
            .iter()
            .flat_map(|it| it.paths.iter().map(String::as_str))
            .chain(self.security.iter().filter_map(|it| it.path.as_deref()))
            .collect();
        let costs = self.files.get_key_value(&costs_path(&self.id));
        paths.extend(costs.map(|(path, _)| path.as_str()));
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

fn costs_path(id: &str) -> String {
    format!("costs/{id}_cost_summary.json")
}

fn state(stage: String, ended: String, path: &str, line: &Value, files: &Files) -> StageState {
    let stem = path.trim_end_matches("telemetry.jsonl");
    let read = |end: &str| {
        let path = format!("{stem}{end}");
        let value = serde_json::from_slice::<Value>(files.get(&path)?).ok()?;
        Some((path, value))
    };
    let (verdict, synthesis) = (read("verdict.json"), read("synthesis.json"));
    let number = |pointer: &str| line.pointer(pointer).and_then(Value::as_f64);
    let count = |pointer: &str| line.pointer(pointer).and_then(Value::as_u64);
    let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
    let ruled = |name: &str| {
        let found = verdict.as_ref().and_then(|(_, it)| it.get(name)?.as_str());
        found.unwrap_or_default().to_owned()
    };
    let (reason, decision) = (ruled("reason"), ruled("decision"));
    let mut paths = vec![path.to_owned()];
    paths.extend(verdict.iter().map(|(path, _)| path.clone()));
    paths.extend(synthesis.iter().map(|(path, _)| path.clone()));
    let mut readings = Vec::new();
    for (path, bytes) in files.range(stem.to_owned()..) {
        if !path.starts_with(stem) {
            break;
        }
        if judge(path, bytes) == Judged::Valid(Form::Review)
            && let Ok(review) = serde_json::from_slice::<Value>(bytes)
        {
            let overall = review.pointer("/quality_metrics/overall");
            readings.push((word(&review, "reviewer"), overall.and_then(Value::as_f64)));
            paths.push(path.clone());
        }
    }
    let output = synthesis.as_ref().and_then(|(_, it)| it.get("output"));
    StageState {
        run_id: word(line, "runId"),
        status: word(line, "consensusStatus"),
        reason: match (reason.is_empty(), decision.as_str()) {
            (true, _) | (false, "") => reason,
            (false, decision) => format!("{reason} ({decision})"),
        },
        missing: list(
            verdict
                .as_ref()
                .and_then(|(_, it)| it.get("missing_agents")),
        ),
        disputes: synthesis
            .as_ref()
            .map(|(_, it)| disputes(it))
            .unwrap_or_default(),
        agreement: number("/consensus/agreement_ratio"),
        checks: (
            count("/quality_metrics/automated_checks_passed"),
            count("/quality_metrics/automated_checks_failed"),
        ),
        cost_usd: number("/consensus/total_cost_usd"),
        prompt: (text("promptVersion"), text("promptSha256")),
        models: list(line.get("models_used")),
        verdict_sha256: Some(ruled("verdict_sha256")).filter(|it| !it.is_empty()),
        output: output.filter(|it| !it.is_null()).cloned(),
        notes: list(line.get("notes")),
        stage,
        ended,
        readings,
        paths,
    }
}

fn disputes(synthesis: &Value) -> Vec<Dispute> {
    let mut found = Vec::new();
    for (list, settled) in [("conflicts", false), ("conflicts_resolved", true)] {
        let all = synthesis
            .get("consensus")
            .and_then(|it| it.get(list)?.as_array());
        for it in all.into_iter().flatten() {
            let positions = it.get("positions").and_then(Value::as_object);
            let positions = positions.into_iter().flatten();
            found.push(Dispute {
                issue: it.as_str().map_or_else(|| word(it, "issue"), str::to_owned),
                positions: positions
                    .map(|(agent, said)| {
                        (agent.clone(), said.as_str().unwrap_or_default().to_owned())
                    })
                    .collect(),
                settled: settled.then(|| (word(it, "resolution"), word(it, "arbiter_decision"))),
            });
        }
    }
    found
}

fn list(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items
        .filter_map(|it| Some(it.as_str()?.to_owned()))
        .collect()
}

pub(super) fn word(value: &Value, name: &str) -> String {
    let found = value.get(name).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}
