//! The report of a run: one JSON document, or some lines for a person.
//!
//! Field names are part of the interface: programs read them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowhost_flow::Plan;
use flowhost_flow::plan::Work;
use flowhost_flow::problem::At;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_flow::{FailureClass, StepStatus};
use owo_colors::Style;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::estimate::{Amount, Basis, StepEstimate, variance};
use crate::failure::would_allow;
use crate::output::{Output, neutral, one_line};
use crate::run::{Denial, Finished, StepOutcome, status_word};

/// Steps that a person is shown; a `foreach` of thousands is summed up.
const STEPS_SHOWN_MAX: usize = 40;

/// The document of `run --json`.
#[derive(Debug, Serialize)]
pub struct RunDocument<'a> {
    run_id: &'a str,
    plan_hash: &'a str,
    seed: u64,
    status: &'static str,
    exit_code: u8,
    duration_ms: u64,
    outputs: &'a Map<String, Value>,
    steps: BTreeMap<&'a str, StepDocument>,
    cost: Cost,
    denials: &'a [Denial],
    warnings: &'a [String],
    evidence: EvidenceDocument<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct StepDocument {
    status: &'static str,
    attempts: u32,
    duration_ms: u64,
    used: UsedDocument,
    #[serde(skip_serializing_if = "Option::is_none")]
    estimate: Option<EstimatedDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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
    tokens: u64,
    micro_usd: u64,
}

#[derive(Debug, Serialize)]
struct Cost {
    total_usd: f64,
    tokens: u64,
    /// What was expected before the run; `null` where no model may be asked.
    estimated_usd: Option<f64>,
    estimated_tokens: Option<u64>,
    /// Spent by expected: 1 is right.
    variance_ratio: Option<f64>,
}

#[derive(Debug, Serialize)]
struct EvidenceDocument<'a> {
    run_dir: String,
    checkpoint: Option<&'a str>,
    records: Option<u64>,
    report: String,
    report_html: String,
}

#[derive(Debug, Serialize)]
struct ErrorDocument<'a> {
    class: &'static str,
    owner: &'static str,
    message: &'a str,
    hint: &'a str,
    step: &'a str,
}

/// Whose fault a class of failure is: the word in the log, the ledger and the report.
#[must_use]
pub fn owner(class: FailureClass) -> &'static str {
    use FailureClass as C;
    match class {
        C::Transient
        | C::Invalid
        | C::Failed
        | C::Conflict
        | C::Output
        | C::Check
        | C::Guardrail => "guest",
        C::Denied => "policy",
        C::Timeout | C::Limit | C::Budget => "limit",
        C::Barrier | C::Expression | C::Cancelled => "plan",
        C::Internal => "host",
    }
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
            status: status_word(outcome),
            exit_code: end.exit.code(),
            duration_ms: outcome.duration_ms,
            outputs: &end.outputs,
            steps: outcome
                .steps
                .iter()
                .map(|(path, step)| {
                    let estimate = run.estimate.steps.get(path);
                    (path.as_str(), step_of(step, estimate))
                })
                .collect(),
            cost: cost(run),
            denials: &outcome.denials,
            warnings: &outcome.warnings,
            evidence: EvidenceDocument {
                run_dir: run.evidence.run_dir.display().to_string(),
                checkpoint: run.evidence.sealed.as_ref().map(|it| it.root.as_str()),
                records: run.evidence.sealed.as_ref().map(|it| it.size),
                report: run.evidence.report.display().to_string(),
                report_html: run.evidence.report_html.display().to_string(),
            },
            error: failure.map(|failure| ErrorDocument {
                class: failure.class.word(),
                owner: owner(failure.class),
                message: &failure.message,
                hint: &failure.hint,
                step: &failure.step,
            }),
        }
    }
}

fn cost(run: &Finished) -> Cost {
    let used = &run.outcome.end.used;
    let asks = !run.estimate.steps.is_empty();
    let expected = run.estimate.total();
    let spent = Amount {
        tokens: used.tokens,
        micro_usd: used.micro_usd,
    };
    Cost {
        total_usd: micro_usd_to_usd(used.micro_usd),
        tokens: used.tokens,
        estimated_usd: asks.then(|| micro_usd_to_usd(expected.micro_usd)),
        estimated_tokens: asks.then_some(expected.tokens),
        variance_ratio: variance(expected, spent).filter(|_| asks),
    }
}

fn step_of(step: &StepOutcome, estimate: Option<&StepEstimate>) -> StepDocument {
    let StepOutcome { summary, used } = step;
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
            tokens: summary.used.tokens,
            micro_usd: summary.used.micro_usd,
        },
        estimate: estimate.and_then(|it| {
            let expected = it.expected?;
            Some(EstimatedDocument {
                tokens: expected.tokens,
                usd: micro_usd_to_usd(expected.micro_usd),
                basis: it.basis,
            })
        }),
        error: summary
            .failure
            .as_ref()
            .map(|failure| failure.message.clone()),
    }
}

/// The report for a person, for standard output.
#[must_use]
pub fn text(output: &Output, run: &Finished, plan: &Plan) -> String {
    let outcome = &run.outcome;
    let mut text = String::new();
    let mut steps: Vec<_> = outcome.steps.iter().collect();
    steps.sort_by_cached_key(|(path, _)| in_order(plan, path));
    for (_, step) in steps.into_iter().take(STEPS_SHOWN_MAX) {
        text.push_str(&step_line(output, step));
    }
    if outcome.steps.len() > STEPS_SHOWN_MAX {
        let _infallible = writeln!(
            text,
            "  … and {} more",
            outcome.steps.len() - STEPS_SHOWN_MAX
        );
    }
    for denial in &outcome.denials {
        let Denial {
            actor,
            wanted,
            rule,
            cure,
            ..
        } = denial;
        let line = one_line(&format!("denied: {actor} wanted {wanted} (rule {rule})"));
        let _infallible = writeln!(text, "{}", output.out(&line, Style::new().yellow()));
        if !cure.is_empty() {
            let lines = neutral(cure).replace('\n', "\n    ");
            let _infallible = writeln!(text, "  {}\n    {lines}", would_allow(cure));
        }
    }
    for warning in &outcome.warnings {
        let line = one_line(&format!("warning: {warning}"));
        let _infallible = writeln!(text, "{}", output.out(&line, Style::new().yellow()));
    }
    for (name, value) in &outcome.end.outputs {
        let shown = match value {
            Value::String(text) => text.clone(),
            other => serde_json::to_string_pretty(other).unwrap_or_default(),
        };
        let name = output.out(name, Style::new().bold());
        let _infallible = writeln!(text, "{name}: {}", neutral(&shown));
    }
    if let Some(line) = cost_line(run) {
        let _infallible = writeln!(text, "{line}");
    }
    let _infallible = writeln!(
        text,
        "{}: {} in {} ms, run {}\nreport: {}\nevidence: {} ({} records); check it with: flowhost verify {}",
        one_line(&run_name(run)),
        status_word(outcome),
        outcome.duration_ms,
        run.run,
        run.evidence.report_html.display(),
        run.evidence.run_dir.display(),
        run.evidence.sealed.as_ref().map_or(0, |it| it.size),
        run.run,
    );
    text
}

/// A step's place: steps as the plan has them, items as people count (`check[2]` before `check[10]`),
/// handlers last.
fn in_order(plan: &Plan, path: &str) -> Vec<(At, u64, String)> {
    let mut plan = Some(plan);
    let mut places = Vec::new();
    for part in path.split('/') {
        let (id, item) = part.split_once('[').unwrap_or((part, ""));
        let step = plan.and_then(|plan| plan.step(id));
        let last = At {
            line: u32::MAX,
            column: u32::MAX,
        };
        let item = item.trim_end_matches(']');
        let number = item.parse().unwrap_or(0);
        places.push((step.map_or(last, |step| step.at), number, part.to_owned()));
        plan = plan.zip(step).and_then(|(plan, step)| match &step.work {
            Work::Plan { reference } => plan.sub_plan(reference).map(AsRef::as_ref),
            _ => None,
        });
    }
    places
}

/// What models cost, and what was expected; none where none may be asked.
fn cost_line(run: &Finished) -> Option<String> {
    let cost = cost(run);
    let (tokens, usd) = (cost.estimated_tokens?, cost.estimated_usd?);
    Some(format!(
        "cost: ${:.6}, {} tokens (expected ${usd:.6}, {tokens} tokens)",
        cost.total_usd, cost.tokens
    ))
}

fn run_name(run: &Finished) -> String {
    format!("plan {}", run.plan_hash.get(..12).unwrap_or(&run.plan_hash))
}

fn step_line(output: &Output, step: &StepOutcome) -> String {
    let summary = &step.summary;
    let style = match summary.status {
        StepStatus::Ok => Style::new().green(),
        StepStatus::Skipped | StepStatus::Cancelled => Style::new().dimmed(),
        _ => Style::new().red(),
    };
    let word = output.out(&format!("{:>9}", summary.status.word()), style);
    let tries = match summary.attempts {
        0 | 1 => String::new(),
        more => format!(", {more} attempts"),
    };
    let fuel = if summary.used.fuel > 0 {
        format!(", fuel {}", summary.used.fuel)
    } else {
        String::new()
    };
    format!(
        "{word}  {} ({} ms{tries}{fuel})\n",
        one_line(&summary.path),
        summary.duration_ms
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_shown_as_the_plan_has_them_and_items_by_their_numbers() {
        let plan = "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  t: { kind: tool, source: ./t.wasm, \
                    profile: deny-all }\nsteps:\n  first: { uses: t, with: {} }\n  check: { uses: t, with: {} }\n  \
                    a: { uses: t, with: {} }\n";
        let plan = Plan::parse(plan, "p.yaml").unwrap();
        let mut paths = ["report", "a", "check[10]", "check[2]", "check", "first"];
        paths.sort_by_cached_key(|path| in_order(&plan, path));
        let wanted = ["first", "check", "check[2]", "check[10]", "a", "report"];
        assert_eq!(paths, wanted);
    }

    #[test]
    fn every_class_of_failure_has_an_owner_that_the_ledger_knows_too() {
        for class in FailureClass::ALL {
            assert!(["guest", "policy", "limit", "plan", "host"].contains(&owner(*class)));
        }
        assert_eq!(owner(FailureClass::Denied), "policy");
    }
}
