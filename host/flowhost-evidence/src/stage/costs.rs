//! What a spec cost so far, by stage, model and profile.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Wanted;
use super::calls::usd;
use super::files::Agent;
use super::gather::Stage;

/// The stages that always have an entry; a stage that has not run costs `null`.
const STAGES: [&str; 6] = ["plan", "tasks", "implement", "validate", "audit", "unlock"];

/// The summary with this stage in it. Of the one that stands, the lines of other stages are kept, and those of other
/// steps of this stage in this run; what else there is of this stage is of an earlier run, and is replaced.
pub(super) fn summary(stage: &Stage, agents: &[Agent<'_>], wanted: &Wanted) -> Value {
    let kept = wanted
        .costs
        .as_ref()
        .and_then(|it| it.get("breakdown")?.as_array());
    let other = |line: &&Value| {
        let text = |name: &str| line.get(name).and_then(Value::as_str);
        // A line of an older host names no step.
        let step = text("step").unwrap_or(&stage.path);
        let is_beside = text("run_id") == Some(wanted.run_id.as_str()) && step != stage.path;
        text("stage") != Some(stage.stage.as_str()) || is_beside
    };
    let mut lines: Vec<Value> = kept.into_iter().flatten().filter(other).cloned().collect();
    let profile = stage.labels.get("run_profile").cloned();
    for agent in agents {
        let usage = &agent.usage;
        lines.push(json!({
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
        lines.push(json!({
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
    let mut per_stage: Map<String, Value> = STAGES
        .iter()
        .map(|stage| ((*stage).to_owned(), Value::Null))
        .collect();
    per_stage.extend(sums(&lines, "stage"));
    let total = total(lines.iter());
    let budget = usd(stage.budget_micro_usd);
    let duration: u64 = lines
        .iter()
        .filter_map(|it| it.get("duration_ms")?.as_u64())
        .sum();
    let calls: u64 = lines
        .iter()
        .filter_map(|it| it.get("calls")?.as_u64())
        .sum();
    let mut summary = json!({
        "schemaVersion": 1,
        "spec_id": wanted.spec_id,
        "currency": "USD",
        "total_cost_usd": total,
        "per_stage": per_stage,
        "per_model": sums(&lines, "model"),
        "per_profile": sums(&lines, "run_profile"),
        "budget_usd": budget,
        "utilization_percent": total.zip(budget.filter(|it| *it > 0.0)).map(|(total, budget)| {
            round(total / budget * 100.0, 1e4)
        }),
        "total_calls": calls,
        "duration_seconds": std::time::Duration::from_millis(duration).as_secs_f64(),
        "generated_at": stage.ended,
    });
    if let Value::Object(summary) = &mut summary {
        // Moved: the macro would copy each line.
        summary.insert("breakdown".to_owned(), Value::Array(lines));
    }
    summary
}

fn cost(line: &Value) -> Option<f64> {
    line.get("cost_usd")?.as_f64()
}

/// The sum; none where a part is not known.
fn total<'v>(lines: impl IntoIterator<Item = &'v Value>) -> Option<f64> {
    let costs: Option<Vec<f64>> = lines.into_iter().map(cost).collect();
    costs.map(|costs| round(costs.iter().sum(), 1e6))
}

fn sums(lines: &[Value], key: &str) -> Map<String, Value> {
    let mut groups: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for line in lines {
        if let Some(name) = line.get(key).and_then(Value::as_str) {
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
