//! `flowhost run PLAN --dry-run`: what would run, with which inputs and rights. Nothing runs, and
//! nothing is written.

use flowhost::failure::Failure;
use flowhost::project::Project;
use flowhost_flow::Exit;
use serde_json::json;

use crate::commands::{Context, rights};

pub(crate) fn perform(project: &Project, context: &Context) -> Result<Exit, Failure> {
    let missing = flowhost_run::missing_rights(project);
    if !missing.0.is_empty() {
        let mut failure =
            Failure::findings(&format!("`{}`", project.file), missing.findings(project));
        failure.exit = Exit::Denied;
        return Err(failure);
    }
    let hash = flowhost_run::plan_hash(project)?;
    if context.output.json {
        let plugins: serde_json::Map<_, _> = project
            .members
            .iter()
            .map(|(key, it)| (key.clone(), rights::document(it)))
            .collect();
        context.output.document(&json!({
            "dry_run": true, "plan": project.plan.name, "plan_hash": hash,
            "inputs": project.inputs, "plugins": plugins,
        }));
        return Ok(Exit::Ok);
    }
    let inputs = serde_json::to_string_pretty(&project.inputs).unwrap_or_default();
    let mut text = format!("plan {} ({hash})\ninputs: {inputs}\n", project.plan.name);
    for (key, member) in &project.members {
        text.push_str(&rights::text(key, member));
    }
    text.push_str("nothing was run\n");
    context.output.result(&flowhost::output::neutral(&text));
    Ok(Exit::Ok)
}
