//! The report of a run in some lines for a person.

use std::fmt::Write as _;

use flowhost_flow::plan::Work;
use flowhost_flow::problem::At;
use flowhost_flow::{Plan, StepStatus};
use flowhost_run::document::Cost;
use flowhost_run::{Denial, Finished, StepOutcome, status_word};
use owo_colors::Style;
use serde_json::Value;

use crate::failure::would_allow;
use crate::output::{Output, neutral, one_line};

/// Steps that a person is shown; a `foreach` of thousands is summed up.
const STEPS_SHOWN_MAX: usize = 40;

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
        // `scan[3]` is an item, `search#2` the second visit of a state or action.
        let (id, item) = part.split_once(['[', '#']).unwrap_or((part, ""));
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
    let cost = Cost::of(run);
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
}
