//! `flowhost validate PLAN`: everything that is wrong, at once; nothing runs.

use flowhost::failure::Failure;
use flowhost::run;
use flowhost_flow::Exit;
use serde_json::json;

use crate::cli::PlanArgs;
use crate::commands::{Context, run::load};

pub(crate) fn perform(args: &PlanArgs, context: &mut Context) -> Result<Exit, Failure> {
    let project = load(args, context)?;
    let missing = run::missing_rights(&project);
    if !missing.0.is_empty() {
        return Err(Failure::findings(
            &format!("`{}`", project.file),
            missing.findings(&project),
        ));
    }
    let hash = run::plan_hash(&project)?;
    if context.output.json {
        context.output.document(&json!({
            "ok": true, "plan": project.plan.name, "plan_hash": hash, "problems": [],
            "estimate": super::estimate::of(&project, context)?.document(),
        }));
    } else {
        let (steps, plugins) = (project.plan.steps.len(), project.members.len());
        let (file, name) = (&project.file, &project.plan.name);
        let text =
            format!("{file}: `{name}` is valid ({steps} steps, {plugins} plugins)\nplan {hash}\n");
        context.output.result(&flowhost::output::neutral(&text));
    }
    Ok(Exit::Ok)
}
