//! What telemetry says of a stage as a part of an experiment: which variant it was, which models took part, whether the arbiter decided
//! against somebody. What a reader says of it comes later and stands in a file of its own ([`crate::trials`]).

use flowhost_flow::consensus::Verdict;
use flowhost_flow::plan::{EXPERIMENT, NO_VARIANT, VARIANT};
use serde_json::{Map, Value, json};

use super::files::Agent;
use super::gather::Stage;

pub(super) fn fields(
    stage: &Stage,
    verdict: Option<&Verdict>,
    agents: &[Agent<'_>],
) -> Map<String, Value> {
    let label = |name: &str| stage.labels.get(name);
    let mut models: Vec<String> = Vec::new();
    // A `mock` provider of another name says what it is in the release of its model: its numbers must not pass for a model's.
    let named = |it: &'_ Agent<'_>| -> Option<String> {
        let release = it.usage.model_release.clone();
        release
            .filter(|it| it.starts_with("mock/"))
            .or_else(|| it.usage.model_id.clone())
    };
    for model in agents.iter().filter_map(named) {
        if !models.contains(&model) {
            models.push(model);
        }
    }
    let fields = json!({
        "experiment": label(EXPERIMENT),
        "variant": label(VARIANT).filter(|it| *it != NO_VARIANT),
        "models_used": models,
        "agents_of": verdict.map(|it| it.agents.len()),
        "arbiter_override": verdict.map(|it| it.agents.iter().any(|it| it.arbiter_override)),
        "override_type": verdict.and_then(override_type),
        "reviewer_assessment": null,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// What the arbiter did where it decided: `sided_with_AGENT`, `synthesized_new`, or `mixed`; none where it decided nothing.
fn override_type(verdict: &Verdict) -> Option<String> {
    // A vote is decided by counting.
    let mut types: Vec<String> = verdict
        .conflicts_resolved
        .iter()
        .filter(|it| it.found_by != "vote")
        .map(|it| match &it.sided_with {
            Some(agent) => format!("sided_with_{agent}"),
            None => "synthesized_new".to_owned(),
        })
        .collect();
    types.sort();
    types.dedup();
    match types.len() {
        0 | 1 => types.pop(),
        _ => Some("mixed".to_owned()),
    }
}
