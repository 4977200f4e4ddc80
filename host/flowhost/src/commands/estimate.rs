//! `flowhost run PLAN --estimate`: what the plan's model calls will cost. Nothing runs, and nothing is
//! written.

use flowhost::failure::Failure;
use flowhost::host::Index;
use flowhost::models;
use flowhost::output::counted;
use flowhost::project::Project;
use flowhost_flow::Exit;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_run::estimate::{Amount, Basis, Estimate, Range, StepEstimate, estimate};

use crate::commands::Context;

pub(crate) fn of(project: &Project, context: &Context) -> Result<Estimate, Failure> {
    let gateway = models::gateway(&context.ambient, &context.config, project)?;
    let past = Index(context.state.clone());
    Ok(estimate(project, &gateway, &context.state, &past))
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
    let total = estimate.total();
    text.push_str(&format!("in all: {}; nothing was run\n", shown(&total)));
    if let Some(failure) = estimate.exceeds(&project.plan) {
        let why = failure.causes.join("; ");
        text.push_str(&format!(
            "{}: {why}; `flowhost run` refuses it\n",
            failure.message
        ));
    }
    context.output.result(&flowhost::output::neutral(&text));
    Ok(Exit::Ok)
}

fn line(path: &str, step: &StepEstimate) -> String {
    let model = step
        .model
        .as_deref()
        .unwrap_or("a model that the step chooses");
    let Some(expected) = step.expected else {
        return format!("{path}: {model}, nothing to go by\n");
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

/// The likely amount, then what it lies between.
fn shown(range: &Range) -> String {
    let amount = |it: Amount| {
        let usd = micro_usd_to_usd(it.micro_usd);
        format!("${usd:.6}, {} tokens", it.tokens)
    };
    let high = range
        .high
        .map_or_else(|| "what only the run will know".to_owned(), amount);
    format!(
        "{} (between {} and {high})",
        amount(range.likely),
        amount(range.low)
    )
}
