//! What a spec cost so far, by stage, model and profile.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::calls::usd;
use super::files::Agent;
use super::gather::Stage;
use super::{StageError, View, Wanted, check};

/// The stages that always have an entry; a stage that has not run costs `null`.
const STAGES: [&str; 6] = ["plan", "tasks", "implement", "validate", "audit", "unlock"];

/// The lines of a spec's summary as this process wrote it last, so that those of earlier stages need not be parsed, held
/// against the schema and printed again for each stage.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The document with them. Whoever finds another in its place reads that: somebody has changed it.
    document: Option<Vec<u8>>,
    lines: Vec<Line>,
}

/// A line of the summary: what is asked of it, and how it is printed.
#[derive(Debug)]
struct Line {
    stage: Option<String>,
    step: Option<String>,
    run_id: Option<String>,
    model: Option<String>,
    run_profile: Option<String>,
    cost_usd: Option<f64>,
    duration_ms: Option<u64>,
    calls: Option<u64>,
    /// Indented as it stands in the document.
    text: String,
}

impl Line {
    fn of(line: &Value) -> Self {
        let text = |name: &str| Some(line.get(name)?.as_str()?.to_owned());
        let count = |name: &str| line.get(name)?.as_u64();
        Self {
            stage: text("stage"),
            step: text("step"),
            run_id: text("run_id"),
            model: text("model"),
            run_profile: text("run_profile"),
            cost_usd: line.get("cost_usd").and_then(Value::as_f64),
            duration_ms: count("duration_ms"),
            calls: count("calls"),
            text: format!("    {}", format!("{line:#}").replace('\n', "\n    ")),
        }
    }

    /// Whether it stays beside those of this stage: what is of other stages, and of other steps of this stage in this run.
    /// What else there is of this stage is of an earlier run, and is replaced.
    fn stays(&self, stage: &Stage, wanted: &Wanted) -> bool {
        // A line of an older host names no step.
        let step = self.step.as_deref().unwrap_or(&stage.path);
        let is_beside =
            self.run_id.as_deref() == Some(wanted.run_id.as_str()) && step != stage.path;
        self.stage.as_deref() != Some(stage.stage.as_str()) || is_beside
    }
}

impl Lines {
    /// Makes them those that stay of the document that is there. Gives the ones that were not known, for nobody has held
    /// them against the schema.
    fn take(&mut self, stage: &Stage, wanted: &Wanted) -> Vec<Value> {
        let known = self.document.take();
        if known.is_some() && known == wanted.costs {
            self.lines.retain(|line| line.stays(stage, wanted));
            return Vec::new();
        }
        let there = wanted.costs.as_deref().unwrap_or_default();
        // What is no summary says nothing of what the spec cost.
        let mut there: Value = serde_json::from_slice(there).unwrap_or_default();
        let lines = there.get_mut("breakdown").map(Value::take);
        let lines = match lines {
            Some(Value::Array(lines)) => lines.into_iter(),
            _ => Vec::new().into_iter(),
        };
        let lines = lines.map(|line| (Line::of(&line), line));
        let lines = lines.filter(|(line, _)| line.stays(stage, wanted));
        let (lines, values): (Vec<Line>, Vec<Value>) = lines.unzip();
        self.lines = lines;
        values
    }
}

/// The summary with this stage in it, held against its schema.
pub(super) fn summary(
    held: &mut Lines,
    stage: &Stage,
    agents: &[Agent<'_>],
    wanted: &Wanted,
) -> Result<View, StageError> {
    let mut unjudged = held.take(stage, wanted);
    let added = added(stage, agents, wanted);
    held.lines.extend(added.iter().map(Line::of));
    unjudged.extend(added);
    let mut summary = whole(&held.lines, stage, wanted);
    let printed = printed(&mut summary, &held.lines);
    if let Some(document) = summary.as_object_mut() {
        document.insert("breakdown".to_owned(), Value::Array(unjudged));
    }
    let path = format!("costs/{}_cost_summary.json", wanted.spec_id);
    if let Some(what) = check::fault(&path, &summary) {
        return Err(StageError::Schema { path, what });
    }
    held.document = Some(printed.clone());
    Ok(View {
        path,
        bytes: printed,
    })
}

/// The document with all lines, as it is printed for people.
fn printed(summary: &mut Value, lines: &[Line]) -> Vec<u8> {
    /// No name and no text in a document is printed like this: their quotes are escaped.
    const NO_LINES: &str = "\"breakdown\": []";
    if let Some(document) = summary.as_object_mut() {
        document.insert("breakdown".to_owned(), Value::Array(Vec::new()));
    }
    let mut text = format!("{summary:#}\n");
    if !lines.is_empty() {
        let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        let lines = format!("\"breakdown\": [\n{}\n  ]", lines.join(",\n"));
        text = text.replacen(NO_LINES, &lines, 1);
    }
    text.into_bytes()
}

/// The lines of this stage.
fn added(stage: &Stage, agents: &[Agent<'_>], wanted: &Wanted) -> Vec<Value> {
    let mut added = Vec::new();
    let profile = stage.labels.get("run_profile").cloned();
    for agent in agents {
        let usage = &agent.usage;
        added.push(json!({
            "stage": stage.stage,
            "step": stage.path,
            "agent": agent.name,
            "role": agent.role,
            "model": usage.model_id,
            "input_tokens": usage.prompt_tokens(),
            "output_tokens": usage.completion_tokens(),
            "cost_usd": usd(usage.micro_usd()),
            "calls": agent.calls,
            "duration_ms": agent.duration_ms,
            "run_profile": profile,
            "run_id": wanted.run_id,
        }));
    }
    for asked in stage.guards.asked() {
        let usage = &asked.usage;
        added.push(json!({
            "stage": stage.stage,
            "step": stage.path,
            "agent": asked.by,
            "role": "guardrail",
            "model": usage.model_id,
            "input_tokens": usage.prompt_tokens(),
            "output_tokens": usage.completion_tokens(),
            "cost_usd": usd(usage.micro_usd()),
            "calls": 1,
            "duration_ms": usage.latency_ms(),
            "run_profile": profile,
            "run_id": wanted.run_id,
        }));
    }
    added
}

/// The document without its lines.
fn whole(lines: &[Line], stage: &Stage, wanted: &Wanted) -> Value {
    let mut per_stage: Map<String, Value> = STAGES
        .iter()
        .map(|stage| ((*stage).to_owned(), Value::Null))
        .collect();
    per_stage.extend(sums(lines, |line| line.stage.as_deref()));
    let total = total(lines);
    let budget = usd(stage.budget_micro_usd);
    let duration = count(lines, |line| line.duration_ms);
    let calls = count(lines, |line| line.calls);
    json!({
        "schemaVersion": 1,
        "spec_id": wanted.spec_id,
        "currency": "USD",
        "total_cost_usd": total,
        "per_stage": per_stage,
        "per_model": sums(lines, |line| line.model.as_deref()),
        "per_profile": sums(lines, |line| line.run_profile.as_deref()),
        "budget_usd": budget,
        "utilization_percent": total.zip(budget.filter(|it| *it > 0.0)).map(|(total, budget)| {
            round(total / budget * 100.0, 1e4)
        }),
        "total_calls": calls,
        "duration_seconds": std::time::Duration::from_millis(duration).as_secs_f64(),
        "generated_at": stage.ended,
    })
}

/// The sum of those that are known. Lines of other stages are what a file says, in which any number may stand.
fn count(lines: &[Line], of: impl Fn(&Line) -> Option<u64>) -> u64 {
    lines.iter().filter_map(of).fold(0, u64::saturating_add)
}

/// The sum; none where a part is not known.
fn total<'l>(lines: impl IntoIterator<Item = &'l Line>) -> Option<f64> {
    let costs: Option<Vec<f64>> = lines.into_iter().map(|line| line.cost_usd).collect();
    costs.map(|costs| round(costs.iter().sum(), 1e6))
}

fn sums<'l>(lines: &'l [Line], key: impl Fn(&'l Line) -> Option<&'l str>) -> Map<String, Value> {
    let mut groups: BTreeMap<&str, Vec<&Line>> = BTreeMap::new();
    for line in lines {
        if let Some(name) = key(line) {
            groups.entry(name).or_default().push(line);
        }
    }
    let groups = groups.into_iter();
    groups
        .map(|(name, lines)| (name.to_owned(), json!(total(lines))))
        .collect()
}

/// Rounded, so that sums of decimals do not show what binary fractions make of them.
pub(super) fn round(value: f64, places: f64) -> f64 {
    (value * places).round() / places
}
