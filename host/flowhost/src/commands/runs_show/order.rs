//! In which order the steps of a run are shown: as its plan has them. Records are no guide to it: a step that is passed over
//! is on record when that is known, which is before the first one ran, and those that a failure took the turn of are by name.

use std::io::Read as _;
use std::path::Path;

use flowhost::report::run::in_order;
use flowhost_evidence::runs::{RecordEntry, StepEntry};
use flowhost_evidence::story::{BUNDLE, BUNDLE_BYTES_MAX, plan_of};
use flowhost_flow::Plan;
use flowhost_flow::plan::Body;
use flowhost_ledger::Source;
use flowhost_ledger::records::Record;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Sorts the steps of a workflow. A machine or a tree may come by a state again and again, and has no order but the one in
/// which it went; without its plan, neither has a workflow.
pub(super) fn as_planned(
    steps: &mut [StepEntry],
    records: &[RecordEntry],
    source: &dyn Source,
    dir: &Path,
) {
    let plan = plan(records, source, dir).filter(|plan| matches!(plan.body, Body::Workflow { .. }));
    if let Some(plan) = plan {
        // What is below a step keeps its order: a plan that the step runs is not in the outer one's text.
        steps.sort_by_cached_key(|step| {
            let outer = step.path.split('/').next().unwrap_or_default();
            in_order(&plan, outer)
        });
    }
}

/// The plan that the run kept; none where it is not there, or not what it was.
fn plan(records: &[RecordEntry], source: &dyn Source, dir: &Path) -> Option<Plan> {
    let recorded = records.iter().find_map(|record| match &record.said {
        Some(Record::ViewWrite(view)) if view.path == BUNDLE => Some(view.sha256.as_str()),
        _ => None,
    })?;
    let mut bytes = Vec::new();
    let file = source.open_read(&dir.join(BUNDLE)).ok()?;
    file.take(BUNDLE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    if hex::encode(Sha256::digest(&bytes)) != recorded {
        return None;
    }
    let bundle: Value = serde_json::from_slice(&bytes).ok()?;
    let (file, text) = plan_of(&bundle)?;
    Plan::parse(text, file).ok()
}
