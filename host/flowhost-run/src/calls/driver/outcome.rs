//! How a run and its steps went, as whoever held the run is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_flow::consensus::Verdict;
use flowhost_flow::planner::{RunEnd, StepSummary};
use flowhost_flow::{Amounts, Exit, Failure, RunStatus};
use serde_json::{Map, Value};

use crate::earlier::reuse::ReusedCall;
use crate::kept::journal::{self, Denial};
use crate::kept::revealed::Revealed;
use crate::meters::detail::Detail;

/// Why a run stopped before its end.
#[derive(Debug, Clone, Default)]
pub struct Paused {
    /// Paths of the steps that wait for a person; none when its process had to go.
    pub steps: Vec<String>,
}

/// How a step went.
#[derive(Debug, Clone)]
pub struct StepOutcome {
    /// What the planner says.
    pub summary: StepSummary,
    /// What its calls used.
    pub used: Detail,
    /// What the agents of a consensus step came to, in the last round. Elsewhere, because few steps have one, and a run has
    /// any number of steps.
    pub consensus: Option<Arc<Verdict>>,
}

/// How a run went.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What the planner says.
    pub end: RunEnd,
    /// Steps and items by path.
    pub steps: BTreeMap<String, StepOutcome>,
    /// Everything that was refused.
    pub denials: Vec<Denial>,
    /// What the person should know that did not end the run.
    pub warnings: Vec<String>,
    /// Whether each check held in the last attempt of its step, by the step's path and the check's id.
    pub checks: BTreeMap<(String, String), bool>,
    /// Milliseconds from start to end, without the time that it was at rest.
    pub duration_ms: u64,
    /// Set when that is not its end: it can be resumed.
    pub paused: Option<Paused>,
    /// Calls that were not made, because an earlier run had made them.
    pub reused: Vec<ReusedCall>,
    /// What the past that it was forked with used: a part of what it used, and spent by another run.
    pub before: Amounts,
}

impl Outcome {
    /// Takes secrets that guests were told out of everything that a report shows. Denials come from the
    /// journal and hold none.
    pub(crate) fn keep_out(&mut self, revealed: &Revealed) {
        let mut outputs = Value::Object(std::mem::take(&mut self.end.outputs));
        revealed.clean_json(&mut outputs);
        if let Value::Object(outputs) = outputs {
            self.end.outputs = outputs;
        }
        for text in self.warnings.iter_mut() {
            revealed.clean_text(text);
        }
        let steps = self.steps.values_mut();
        let failures = steps.filter_map(|step| {
            clean_verdict(&mut step.consensus, |value| {
                revealed.clean_json(value);
            });
            step.summary.failure.as_mut()
        });
        for failure in failures.chain(&mut self.end.failure) {
            revealed.clean_text(&mut failure.message);
            revealed.clean_text(&mut failure.hint);
        }
    }

    /// As [`Outcome::keep_out`], for keys and personal data.
    pub(crate) fn redact(&mut self) {
        let mut outputs = Value::Object(std::mem::take(&mut self.end.outputs));
        flowhost_detect::redact_json(&mut outputs);
        if let Value::Object(outputs) = outputs {
            self.end.outputs = outputs;
        }
        self.warnings.iter_mut().for_each(journal::clean);
        let steps = self.steps.values_mut();
        let failures = steps.filter_map(|step| {
            clean_verdict(&mut step.consensus, |value| {
                flowhost_detect::redact_json(value);
            });
            step.summary.failure.as_mut()
        });
        for failure in failures.chain(&mut self.end.failure) {
            journal::clean(&mut failure.message);
            journal::clean(&mut failure.hint);
        }
    }
}

/// Takes out of a verdict what its agents may have repeated. One that is no verdict any more after that
/// is left out: nothing is better than what was to be taken out.
fn clean_verdict(verdict: &mut Option<Arc<Verdict>>, clean: impl FnOnce(&mut Value)) {
    if let Some(held) = verdict.take() {
        let mut value = serde_json::to_value(&*held).unwrap_or_default();
        clean(&mut value);
        *verdict = serde_json::from_value(value).ok().map(Arc::new);
    }
}

/// The end of a run whose host failed in the turn that ended it: it has not ended well.
pub(crate) fn failed_by_host(end: RunEnd, failure: &Failure) -> RunEnd {
    if end.failure.is_some() {
        return end;
    }
    RunEnd {
        exit: Exit::Internal,
        status: RunStatus::Failed,
        outputs: Map::new(),
        failure: Some(failure.clone()),
        ..end
    }
}

/// The run's status as a word.
#[must_use]
pub fn status_word(outcome: &Outcome) -> &'static str {
    outcome.end.status.word()
}
