//! The latest of each stage, from a spec's evidence files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::security::{Item, Proof, Witness, items};
use super::standing::{Asked, Newest};
use super::vouched::{Wrote, of_costs, vouched};
use super::{Files, Recorded};
use crate::analysis::cost_of_stage;
use crate::stage::{Form, Judged, judge};

/// The order in which stages are told; others follow by their names.
const ORDER: [&str; 6] = ["plan", "tasks", "implement", "validate", "audit", "unlock"];

/// What the name of a stage's telemetry ends with.
const TELEMETRY: &str = "_telemetry.jsonl";

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
    /// Files that do not count, by their paths, with why: they are not what their form says, no run said it, or they are gone.
    pub invalid: BTreeMap<String, String>,
    /// How its newest run stands; none where nobody here knows.
    pub newest: Option<Newest>,
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
    /// `ok`, `degraded`, `conflict` or `missing`; `invalid` where a file of it does not count, or is gone.
    pub status: String,
    /// Why it is not ok, and what the plan did about it.
    pub reason: String,
    /// Whose answers are missing.
    pub missing: Vec<String>,
    /// What was disagreed about.
    pub disputes: Vec<Dispute>,
    /// Who was asked.
    pub asked: Asked,
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
    /// Readings of which no run here knows, and which are not among those.
    pub readings_unverified: usize,
    /// Notes.
    pub notes: Vec<String>,
    /// Whether nobody here can say that its run wrote its files: the run is elsewhere, or has not ended.
    pub unverified: bool,
    /// Its files, by their paths.
    pub(super) paths: Vec<String>,
}

impl StageState {
    /// The run, and that nobody here can ask it where that is so.
    pub(super) fn shown_run(&self) -> String {
        match self.unverified {
            true => format!("{} (unverified)", self.run_id),
            false => self.run_id.clone(),
        }
    }
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

/// The newest line of each stage: when it ended, its file, and what it says.
type Latest<'f> = BTreeMap<String, (String, &'f str, Value)>;

/// The newest line of each stage that the spec's files tell of, and what is wrong with files, by path.
fn latest<'f>(
    id: &str,
    costs_path: &str,
    files: &'f Files,
    recorded: &'f Recorded,
) -> (Latest<'f>, BTreeMap<String, String>) {
    let (mut latest, mut invalid) = (Latest::new(), BTreeMap::new());
    let (consensus, commands) = (format!("consensus/{id}/"), format!("commands/{id}/"));
    for (path, bytes) in files {
        let of_spec = path.starts_with(&consensus) || path.starts_with(&commands);
        if !of_spec && path.as_str() != costs_path {
            continue;
        }
        match judge(path, bytes) {
            Judged::Valid(Form::Telemetry2) if path.starts_with(&consensus) => {}
            Judged::Invalid(form, faults) => {
                let what = format!("it is not valid {}: {}", form.word(), faults.join("; "));
                invalid.insert(path.clone(), what);
                continue;
            }
            Judged::Valid(_) | Judged::Foreign => continue,
        }
        let mut told = false;
        for line in objects(bytes) {
            let (stage, ended) = (word(&line, "stage"), word(&line, "timestamp"));
            told |= !stage.is_empty();
            // Times of this format are in order as texts.
            let newer = latest
                .get(&stage)
                .is_none_or(|(before, ..)| *before < ended);
            if newer && !stage.is_empty() {
                latest.insert(stage, (ended, path.as_str(), line));
            }
        }
        if !told {
            // An emptied file breaks no schema, and hides its stage as well as a broken one.
            let what = "it is not valid telemetry 2.0: no line of it names a stage";
            invalid.insert(path.clone(), what.to_owned());
        }
    }
    let lost = lost(&consensus, files, recorded);
    // Afterwards, because only the name of such a file says when it was: it is held against the name of the newest that could be
    // read, and of two of one time the one that cannot be read counts.
    let unreadable = files.keys().filter(|path| invalid.contains_key(*path));
    let gone = recorded.keys().filter(|path| lost.contains_key(*path));
    for path in unreadable.chain(gone) {
        let Some((stage, at)) = path.strip_prefix(&consensus).and_then(of_name) else {
            continue;
        };
        let known = latest.get(stage).and_then(|(_, path, _)| of_name(path));
        if known.is_none_or(|(_, before)| before <= at) {
            let line = line_of(path, files, recorded);
            let ended = word(&line, "timestamp");
            latest.insert(stage.to_owned(), (ended, path.as_str(), line));
        }
    }
    // What is gone of a run before the one that is told of hides nothing.
    let used: BTreeMap<&str, &str> = latest
        .values()
        .filter_map(|(_, path, _)| of_name(path))
        .collect();
    for (path, why) in lost {
        let is_of_newest = of_file(&path)
            .is_some_and(|(stage, at)| used.get(stage).is_none_or(|newest| *newest <= at));
        if is_of_newest {
            invalid.insert(path, why);
        }
    }
    (latest, invalid)
}

/// The files of stages that are on record and not there, with why they are missed. Nobody else would: what is gone says
/// nothing, and the run before it would be shown in its place.
fn lost(folder: &str, files: &Files, recorded: &Recorded) -> BTreeMap<String, String> {
    let is_lost = |path: &str| {
        path.starts_with(folder) && !files.contains_key(path) && of_file(path).is_some()
    };
    let lost = recorded.iter().filter(|(path, _)| is_lost(path));
    lost.map(|(path, run)| {
        let why = format!(
            "the run {run} has it on record, and it is neither there nor in an archive that can be read"
        );
        (path.clone(), why)
    })
    .collect()
}

/// What is known of telemetry that cannot be read, or is gone: what its first line still says, and the run by that
/// run's own records.
fn line_of(path: &str, files: &Files, recorded: &Recorded) -> Value {
    let first = files
        .get(path)
        .and_then(|it| objects(it).into_iter().next());
    let mut line = first.filter(Value::is_object).unwrap_or_else(|| json!({}));
    if let (Value::Object(fields), Some(run)) = (&mut line, recorded.get(path)) {
        fields.insert("runId".to_owned(), json!(run));
    }
    line
}

impl<'f> Spec<'f> {
    /// Reads the files of an evidence root that belong to the spec. A file that is not what its form says, or not what its run
    /// wrote, makes its stage `invalid`, and so does one that is `recorded` and gone: passed over, it would show the run before
    /// it, and nobody would learn that the newest one went wrong.
    #[must_use]
    pub fn read(
        id: &str,
        files: &'f Files,
        recorded: &Recorded,
        witness: &Witness<'_>,
        wrote: &Wrote<'_>,
    ) -> Self {
        let costs_path = costs_path(id);
        let (latest, mut invalid) = latest(id, &costs_path, files, recorded);
        let mut stages: Vec<StageState> = latest
            .into_iter()
            .map(|(stage, (ended, path, line))| {
                let state = state(stage, ended, path, &line, files);
                let state = vouched(state, files, (witness, wrote), &mut invalid);
                held(state, path, &invalid)
            })
            .collect();
        let place = |stage: &str| {
            ORDER
                .iter()
                .position(|it| *it == stage)
                .unwrap_or(ORDER.len())
        };
        stages.sort_by(|a, b| (place(&a.stage), &a.stage).cmp(&(place(&b.stage), &b.stage)));
        let there = files.get(&costs_path);
        let mut costs = there.filter(|_| !invalid.contains_key(&costs_path));
        if let Some(bytes) = costs
            && let Proof::Refused(why) = of_costs(&costs_path, bytes, &stages, wrote)
        {
            invalid.insert(costs_path, why);
            costs = None;
        }
        let tasks = stages.iter().find(|it| it.stage == "tasks");
        let tasks = tasks.and_then(|it| it.output.as_ref());
        let security = items(id, tasks, files, witness, &mut invalid);
        Self {
            id: id.to_owned(),
            costs: costs.and_then(|bytes| serde_json::from_slice(bytes).ok()),
            stages,
            security,
            invalid,
            newest: None,
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
            .chain(self.invalid.keys().map(String::as_str))
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

/// Stage and time of a telemetry's name, `spec-plan_20261126T073910Z_telemetry.jsonl`: all that a file says that cannot be read.
fn of_name(path: &str) -> Option<(&str, &str)> {
    of_ending(path, TELEMETRY)
}

/// The same of any file that a packet is read from.
fn of_file(path: &str) -> Option<(&str, &str)> {
    let ends = [TELEMETRY, "_verdict.json", "_synthesis.json"];
    ends.iter().find_map(|end| of_ending(path, end))
}

fn of_ending<'p>(path: &'p str, end: &str) -> Option<(&'p str, &'p str)> {
    let name = path.rsplit('/').next()?;
    let stem = name.strip_suffix(end)?;
    let stem = stem.strip_prefix("spec-").unwrap_or(stem);
    Some(stem.rsplit_once('_').unwrap_or((stem, "")))
}

/// The lines of a file that are JSON.
fn objects(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines();
    lines
        .filter_map(|it| serde_json::from_str(it).ok())
        .collect()
}

/// The stage, `invalid` where a file of its run is: an output or a verdict that cannot be read hides what was disagreed about.
fn held(mut stage: StageState, path: &str, invalid: &BTreeMap<String, String>) -> StageState {
    let stem = path.trim_end_matches("telemetry.jsonl");
    let faults = invalid.iter().filter(|(path, _)| path.starts_with(stem));
    let faults: Vec<String> = faults
        .map(|(path, what)| format!("`{path}`: {what}"))
        .collect();
    if !faults.is_empty() {
        "invalid".clone_into(&mut stage.status);
        stage.reason = faults.join("; ");
    }
    stage
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
        verdict
            .as_ref()
            .and_then(|(_, it)| it.get(name)?.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let (reason, decision) = (ruled("reason"), ruled("decision"));
    // It may be on record alone.
    let there = files.get_key_value(path).map(|(path, _)| path.clone());
    let mut paths: Vec<String> = there.into_iter().collect();
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
        asked: Asked::of(line, output),
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
        cost_usd: cost_of_stage(line),
        prompt: (text("promptVersion"), text("promptSha256")),
        models: list(line.get("models_used")),
        verdict_sha256: Some(ruled("verdict_sha256")).filter(|it| !it.is_empty()),
        output: output.filter(|it| !it.is_null()).cloned(),
        notes: list(line.get("notes")),
        stage,
        ended,
        readings,
        readings_unverified: 0,
        unverified: false,
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
    value
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
