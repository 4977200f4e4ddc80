//! The life of a stage as lines: queued, dispatched, checking_consensus, completed and the like.

use serde_json::{Value, json};

use super::Wanted;
use super::gather::Stage;

/// One object a line. A second start of the same stage in the same session is told as `deduped`, once, and
/// not as another start.
pub(super) fn lines(stage: &Stage, wanted: &Wanted) -> Vec<Value> {
    let mut started = false;
    let mut lines = Vec::new();
    for (at, event, note) in &stage.events {
        let event = match (*event, started) {
            ("queued", true) => "deduped",
            (event, _) => event,
        };
        started |= event == "queued";
        lines.push(json!({
            "timestamp": at,
            "event": event,
            "command": command(&stage.stage),
            "specId": wanted.spec_id,
            "stage": stage.stage,
            // A run may have two steps of one stage, and a step more than once: each has a file of its own.
            "step": stage.path,
            "sessionId": wanted.run_id,
            "runId": wanted.run_id,
            "note": note,
        }));
    }
    lines
}

/// The name of the command that a stage is in such pipelines.
pub(super) fn command(stage: &str) -> String {
    format!("spec-{stage}")
}
