//! `flowhost validate PLAN`: everything that is wrong, at once; nothing runs.

use flowhost::failure::Failure;
use flowhost::output::counted;
use flowhost_flow::Exit;
use serde_json::json;

use crate::cli::PlanArgs;
use crate::commands::{Context, run::load};

pub(crate) fn perform(args: &PlanArgs, context: &mut Context) -> Result<Exit, Failure> {
    let project = load(args, context)?;
    let mut findings = flowhost_run::missing_rights(&project).findings(&project);
    let folders = super::run::folders(&project, &context.ambient, &context.state)?;
    findings.extend(folders);
    if !findings.is_empty() {
        return Err(Failure::findings(&format!("`{}`", project.file), findings));
    }
    let hash = flowhost_run::plan_hash(&project)?;
    if context.output.json {
        context.output.document(&json!({
            "ok": true, "plan": project.plan.name, "plan_hash": hash, "problems": [],
            "estimate": super::estimate::of(&project, context)?.document(),
        }));
    } else {
        let steps = counted(project.plan.steps().len(), "step");
        let plugins = counted(project.members.len(), "plugin");
        let (file, name) = (&project.file, &project.plan.name);
        let text = format!("{file}: `{name}` is valid ({steps}, {plugins})\nplan {hash}\n");
        context.output.result(&flowhost::output::neutral(&text));
    }
    Ok(Exit::Ok)
}
