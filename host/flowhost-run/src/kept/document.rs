//! The report of a run as one JSON document: what `run --json` prints and what is kept beside the
//! ledger.
//!
//! Field names are part of the interface: programs read them.

use std::collections::BTreeMap;

use flowhost_flow::Amounts;
use flowhost_flow::consensus::Verdict;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_words::filled;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::base::state::State;
use crate::before::estimate::{Amount, Basis, StepEstimate, variance};
use crate::calls::driver::{Outcome, StepOutcome, status_word};
use crate::earlier::reuse::ReusedCall;
use crate::kept::finished::Finished;
use crate::kept::journal::Denial;

/// The document of `run --json`.
#[derive(Debug, Serialize)]
pub struct RunDocument<'a> {
    run_id: &'a str,
    plan_hash: &'a str,
    seed: u64,
    /// The plan's labels, where it has some.
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a BTreeMap<String, String>>,
    status: &'static str,
    exit_code: u8,
    duration_ms: u64,
    outputs: &'a Map<String, Value>,
    steps: Steps<'a>,
    cost: Cost,
    denials: &'a [Denial],
    warnings: &'a [String],
    checks: Vec<CheckDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reused: Option<ReusedDocument<'a>>,
    evidence: EvidenceDocument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument<'a>>,
}

/// The steps by path, each made when it is written: a run has any number of them.
#[derive(Debug)]
struct Steps<'a>(&'a Finished);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(run) = self;
        let steps = run.outcome.steps.iter();
        serializer.collect_map(steps.map(|(path, step)| {
            let estimate = run.estimate.steps.get(path);
            (path.as_str(), step_of(step, estimate))
        }))
    }
}

#[derive(Debug, Serialize)]
struct StepDocument<'a> {
    status: &'static str,
    attempts: u32,
    duration_ms: u64,
    used: UsedDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<EstimatedDocument>,
    /// What the agents of a consensus step came to.
    #[serde(skip_serializing_if = "Option::is_none")]
    consensus: Option<&'a Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// What a check of a step said in its last attempt.
#[derive(Debug, Serialize)]
struct CheckDocument<'a> {
    step: &'a str,
    id: &'a str,
    holds: bool,
}

impl<'a> CheckDocument<'a> {
    fn of(outcome: &'a Outcome) -> Vec<Self> {
        outcome
            .checks
            .iter()
            .map(|((step, id), holds)| Self {
                step,
                id,
                holds: *holds,
            })
            .collect()
    }
}

/// What a step was expected to cost, beside what it did.
#[derive(Debug, Serialize)]
struct EstimatedDocument {
    tokens: u64,
    usd: f64,
    basis: Basis,
}

#[derive(Debug, Serialize)]
struct UsedDocument {
    calls: u64,
    fuel: u64,
    memory_bytes: u64,
    host_calls: u64,
    output_bytes: u64,
    log_bytes: u64,
    evidence_bytes: u64,
    tokens: u64,
    micro_usd: u64,
}

/// What models cost, beside what was expected.
#[derive(Debug, Serialize)]
pub struct Cost {
    /// US dollars.
    pub total_usd: f64,
    /// Prompt and completion.
    pub tokens: u64,
    /// What of it another run spent: the past that this one was forked with. Missing where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<BeforeDocument>,
    /// What was expected before the run; `null` where no model may be asked, and where nobody could know.
    pub estimated_usd: Option<f64>,
    /// As `estimated_usd`.
    pub estimated_tokens: Option<u64>,
    /// |spent - expected| / expected: 0 is right.
    pub variance_ratio: Option<f64>,
}

/// What the past of a fork cost.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct BeforeDocument {
    /// US dollars.
    pub usd: f64,
    /// Prompt and completion.
    pub tokens: u64,
    /// Calls of plugins.
    pub calls: u64,
}

impl BeforeDocument {
    /// Of a run that was forked; none where its past made no call.
    fn of(before: &Amounts) -> Option<Self> {
        (before.calls > 0).then(|| Self {
            usd: micro_usd_to_usd(before.micro_usd),
            tokens: before.tokens,
            calls: before.calls,
        })
    }
}

/// Calls that were not made, because an earlier run had made them.
#[derive(Debug, Serialize)]
struct ReusedDocument<'a> {
    calls: usize,
    /// What they used there, and this run did not.
    saved_usd: f64,
    saved_tokens: u64,
    saved_ms: u64,
    from: Vec<ReusedFrom<'a>>,
}

/// Where one of them comes from.
#[derive(Debug, Serialize)]
struct ReusedFrom<'a> {
    step: &'a str,
    run: &'a str,
    record: u64,
}

impl<'a> ReusedDocument<'a> {
    fn of(reused: &'a [ReusedCall]) -> Option<Self> {
        let saved = Saved::of(reused)?;
        let from = reused.iter().map(|it| ReusedFrom {
            step: &it.path,
            run: &it.run,
            record: it.record,
        });
        Some(Self {
            calls: reused.len(),
            saved_usd: micro_usd_to_usd(saved.micro_usd),
            saved_tokens: saved.tokens,
            saved_ms: saved.duration_ms,
            from: from.collect(),
        })
    }
}

/// What a run did not use, because an earlier one had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Saved {
    /// Millionths of a US dollar.
    pub micro_usd: u64,
    /// Prompt and completion.
    pub tokens: u64,
    /// Milliseconds that the calls took there, one after the other.
    pub duration_ms: u64,
}

impl Saved {
    /// Of these calls; none where there are none.
    #[must_use]
    pub fn of(reused: &[ReusedCall]) -> Option<Self> {
        let sum = |saved: Self, it: &ReusedCall| Self {
            micro_usd: saved.micro_usd.saturating_add(it.saved.micro_usd),
            tokens: saved.tokens.saturating_add(it.saved.tokens),
            duration_ms: saved.duration_ms.saturating_add(it.duration_ms),
        };
        (!reused.is_empty()).then(|| reused.iter().fold(Self::default(), sum))
    }
}

#[derive(Debug, Serialize)]
struct EvidenceDocument<'a> {
    run_dir: String,
    checkpoint: Option<&'a str>,
    records: Option<u64>,
    report: String,
    /// `null` where no page was left: `flowhost runs report` makes one.
    report_html: Option<String>,
}

#[derive(Debug, Serialize)]
struct ErrorDocument<'a> {
    class: &'static str,
    owner: &'static str,
    message: &'a str,
    hint: String,
    step: &'a str,
}

impl<'a> From<&'a Finished> for RunDocument<'a> {
    fn from(run: &'a Finished) -> Self {
        let outcome = &run.outcome;
        let end = &outcome.end;
        let failure = end.failure.as_ref();
        Self {
            run_id: &run.run,
            plan_hash: &run.plan_hash,
            seed: run.seed,
            labels: Some(&run.labels).filter(|it| !it.is_empty()),
            status: status_word(outcome),
            exit_code: end.exit.code(),
            duration_ms: outcome.duration_ms,
            outputs: &end.outputs,
            steps: Steps(run),
            cost: Cost::of(run),
            denials: &outcome.denials,
            warnings: &outcome.warnings,
            checks: CheckDocument::of(outcome),
            reused: ReusedDocument::of(&outcome.reused),
            evidence: EvidenceDocument {
                run_dir: run.evidence.run_dir.display().to_string(),
                checkpoint: run.evidence.sealed.as_ref().map(|it| it.root.as_str()),
                records: run.evidence.sealed.as_ref().map(|it| it.size),
                report: run.evidence.report.display().to_string(),
                report_html: run
                    .evidence
                    .report_html
                    .as_ref()
                    .map(|page| page.display().to_string()),
            },
            error: failure.map(|failure| ErrorDocument {
                class: failure.class.word(),
                owner: failure.owner.word(),
                message: &failure.message,
                hint: hint_of(failure, &run.run),
                step: &failure.step,
            }),
        }
    }
}

impl RunDocument<'_> {
    /// The same, with the commands of its hint as they can be typed where the person is: the document beside the ledger is
    /// for whoever finds it, and names no folder.
    #[must_use]
    pub fn told(mut self, state: &State) -> Self {
        if let Some(error) = &mut self.error {
            error.hint = state.told(&error.hint);
        }
        self
    }
}

/// What could be done about a failure of this run, with the run and the step in its commands: the planner that wrote them
/// knew neither.
#[must_use]
pub fn hint_of(failure: &flowhost_flow::Failure, run: &str) -> String {
    filled(&filled(&failure.hint, "RUN", run), "STEP", &failure.step)
}

impl Cost {
    /// Of a run that has ended.
    #[must_use]
    pub fn of(run: &Finished) -> Self {
        let used = &run.outcome.end.used;
        let expected = run.estimate.likely();
        let spent = Amount {
            tokens: used.tokens,
            micro_usd: used.micro_usd,
        };
        Self {
            total_usd: micro_usd_to_usd(used.micro_usd),
            tokens: used.tokens,
            before: BeforeDocument::of(&run.outcome.before),
            estimated_usd: expected.map(|it| micro_usd_to_usd(it.micro_usd)),
            estimated_tokens: expected.map(|it| it.tokens),
            variance_ratio: expected.and_then(|it| variance(it, spent)),
        }
    }
}

fn step_of<'a>(step: &'a StepOutcome, estimate: Option<&StepEstimate>) -> StepDocument<'a> {
    let StepOutcome {
        summary,
        used,
        consensus,
    } = step;
    StepDocument {
        status: summary.status.word(),
        attempts: summary.attempts,
        duration_ms: summary.duration_ms,
        used: UsedDocument {
            calls: summary.used.calls,
            fuel: summary.used.fuel,
            memory_bytes: used.memory_bytes,
            host_calls: used.host_calls,
            output_bytes: used.output_bytes,
            log_bytes: used.log_bytes,
            evidence_bytes: used.evidence_bytes,
            tokens: summary.used.tokens,
            micro_usd: summary.used.micro_usd,
        },
        estimate: estimate.and_then(|it| {
            let expected = it.expected?.likely;
            Some(EstimatedDocument {
                tokens: expected.tokens,
                usd: micro_usd_to_usd(expected.micro_usd),
                basis: it.basis,
            })
        }),
        consensus: consensus.as_deref(),
        error: summary
            .failure
            .as_ref()
            .map(|failure| failure.message.as_str()),
    }
}
