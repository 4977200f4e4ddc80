//! The plan that a run kept beside its ledger, as a graph with how each step ended.

use std::io::Read as _;
use std::path::Path;

use flowhost_flow::Plan;
use flowhost_flow::graph::Graph;
use flowhost_ledger::Source;
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::{Head, Steps};

/// The document's name in a run's folder.
pub use flowhost_ledger::PLAN_BUNDLE as BUNDLE;

/// Bytes of it that are read: a plan with all its prompts and schemas has less.
pub const BUNDLE_BYTES_MAX: u64 = 64 << 20;
/// Nodes that a page draws; a plan of more is a picture that nobody can read.
const NODES_MAX: usize = 200;

/// Name and text of the plan that a bundle holds.
#[must_use]
pub fn plan_of(bundle: &Json) -> Option<(&str, &str)> {
    let name = bundle.get("plan")?.as_str()?;
    let mut files = bundle.get("files")?.as_array()?.iter();
    let file = files.find(|file| file.get("name").and_then(Json::as_str) == Some(name))?;
    Some((name, file.get("text")?.as_str()?))
}

/// The graph of the run in `dir`. None where the plan was not kept, is not the file that the run wrote
/// (then the head gets a remark), or is too large to draw. `parsed` is a text of a plan with what it says: where that is
/// the plan that was kept, it is not parsed again.
pub(super) fn graph(
    (source, dir): (&dyn Source, &Path),
    head: &mut Head,
    steps: &Steps,
    parsed: Option<(&str, &Plan)>,
) -> Option<Graph> {
    // Before the plan is parsed: of the largest plans that takes longer than all the rest of a page.
    if steps.of_the_plan() > NODES_MAX {
        return None;
    }
    let view = head.views.iter().find(|view| view.path == BUNDLE)?;
    let mut bytes = Vec::new();
    let file = source.open_read(&dir.join(BUNDLE)).ok()?;
    file.take(BUNDLE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    if hex::encode(Sha256::digest(&bytes)) != view.sha256 {
        let seq = view.seq;
        head.remarks.push(format!(
            "`{BUNDLE}` is not the file that record {seq} names: the plan is not drawn"
        ));
        return None;
    }
    let bundle: Json = serde_json::from_slice(&bytes).ok()?;
    let (name, text) = plan_of(&bundle)?;
    let graph = match parsed.filter(|(known, _)| *known == text) {
        Some((_, plan)) => Graph::of(plan),
        None => Graph::of(&Plan::parse(text, name).ok()?),
    };
    if graph.nodes.len() > NODES_MAX {
        return None;
    }
    let listed = steps.listed.items.iter();
    let ends = listed.map(|step| (step.path.as_str(), step.status.as_str(), step.duration_ms));
    let mut graph = graph.with_ends(ends);
    // A node says how often it ended, whether its items are listed or not.
    for node in &mut graph.nodes {
        let counts = steps.items.get(&node.label);
        if let (Some(ended), Some(counts)) = (&mut node.ended, counts) {
            ended.times = counts.values().sum();
        }
    }
    Some(graph)
}
