//! `flowhost run PLAN --estimate`: what the plan's model calls will cost. Nothing runs, and nothing is
//! written.

use flowhost::failure::Failure;
use flowhost::output::counted;
use flowhost::project::Project;
use flowhost_flow::Exit;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_run::estimate::{Amount, Basis, Estimate, Range, StepEstimate};

use crate::commands::Context;
use crate::commands::run::asking;

pub(crate) fn of(project: &Project, context: &Context) -> Result<Estimate, Failure> {
    asking(context).estimate(project)
}

/// The same, and a failure where the plan's budget cannot suffice: `run` refuses it with the same words.
pub(crate) fn within_budget(project: &Project, context: &Context) -> Result<Estimate, Failure> {
    let estimate = of(project, context)?;
    let exceeds = estimate.exceeds();
    match exceeds.map(|failure| failure.named("PLAN", &project.file)) {
        // Who reads the document goes by the places.
        Some(failure) if context.output.json => Err(Failure {
            findings: estimate.shortfalls(),
            ..failure
        }),
        Some(failure) => Err(failure),
        None => Ok(estimate),
    }
}

pub(crate) fn perform(project: &Project, context: &Context) -> Result<Exit, Failure> {
    let estimate = of(project, context)?;
    if context.output.json {
        context.output.document(&estimate.document());
        return Ok(Exit::Ok);
    }
    let mut text = String::new();
    for (path, step) in &estimate.steps {
        text.push_str(&line(path, step));
    }
    text.push_str(&format!("in all: {}; nothing was run\n", in_all(&estimate)));
    if let Some(failure) = estimate.exceeds() {
        let (why, cure) = (failure.causes.join("; "), failure.hints.first());
        text.push_str(&format!(
            "{}: {why}; `flowhost run` refuses it\n",
            failure.message
        ));
        text.extend(cure.map(|cure| format!("{cure}\n")));
    }
    for doubt in estimate.doubts() {
        text.push_str(&format!("note: {doubt}\n"));
    }
    context.output.result(&flowhost::output::neutral(&text));
    Ok(Exit::Ok)
}

/// The sum; where nobody knows what a step costs, no number stands for it.
fn in_all(estimate: &Estimate) -> String {
    let unknown: Vec<&str> = estimate.unknown().collect();
    let total = estimate.total();
    match (unknown.len(), estimate.steps.len()) {
        (0, _) => shown(&total),
        // A sum of nothing would read as free.
        (none, all) if none == all => "unknown".to_owned(),
        _ => format!(
            "unknown, because what {} costs is; the others: {}",
            unknown.join(", "),
            amount(total.likely)
        ),
    }
}

fn line(path: &str, step: &StepEstimate) -> String {
    let model = step.model();
    let model = model.as_deref().unwrap_or("a model that the step chooses");
    let Some(expected) = step.expected else {
        return format!("{path}: {model}, unknown (nothing to go by)\n");
    };
    let basis = match step.basis {
        Basis::History => {
            let runs = usize::try_from(step.runs).unwrap_or(usize::MAX);
            format!("the mean of {}", counted(runs, "earlier run"))
        }
        Basis::Prompt | Basis::Unknown => {
            "by its prompt, items and turns; no run of this plan to go by".to_owned()
        }
    };
    format!("{path}: {model}, {} ({basis})\n", shown(&expected))
}

fn amount(it: Amount) -> String {
    let usd = micro_usd_to_usd(it.micro_usd);
    format!("${usd:.6}, {} tokens", it.tokens)
}

/// The likely amount, then what it lies between.
fn shown(range: &Range) -> String {
    let high = range
        .high
        .map_or_else(|| "what only the run will know".to_owned(), amount);
    format!(
        "{} (between {} and {high})",
        amount(range.likely),
        amount(range.low)
    )
}
