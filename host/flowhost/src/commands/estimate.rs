//! `flowhost run PLAN --estimate`: what the plan's model calls will cost. Nothing runs, and nothing is
//! written.

use flowhost::failure::Failure;
use flowhost::host::Index;
use flowhost::models;
use flowhost::output::counted;
use flowhost::project::Project;
use flowhost_flow::Exit;
use flowhost_flow::units::micro_usd_to_usd;
use flowhost_run::estimate::{Basis, Estimate, StepEstimate, estimate};

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
    let usd = micro_usd_to_usd(total.micro_usd);
    text.push_str(&format!(
        "in all: ${usd:.6}, {} tokens; nothing was run\n",
        total.tokens
    ));
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
        Basis::Prompt | Basis::Unknown => "one call of this prompt, for one item".to_owned(),
    };
    let usd = micro_usd_to_usd(expected.micro_usd);
    format!(
        "{path}: {model}, ${usd:.6}, {} tokens ({basis})\n",
        expected.tokens
    )
}
