//! `flowhost validate PLAN`: everything that is wrong, at once; nothing runs.

use flowhost::failure::Failure;
use flowhost::output::counted;
use flowhost::sources::Sources;
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
    let sources = Sources::new(&context.ambient, &context.config, None);
    let bare = project
        .members
        .iter()
        .filter(|(_, member)| member.manifest.is_stand_in());
    let mut notes: Vec<String> = bare
        .map(|(key, member)| format!("plugin `{key}`: {}", sources.no_manifest(&member.path)))
        .collect();
    let estimate = super::estimate::of(&project, context)?;
    if let Some(failure) = estimate.exceeds(&project.plan) {
        notes.push(format!(
            "{}, and `flowhost run` refuses it: {}",
            failure.message,
            failure.causes.join("; ")
        ));
    }
    if context.output.json {
        context.output.document(&json!({
            "ok": true, "plan": project.plan.name, "plan_hash": hash, "problems": [],
            "notes": notes,
            "estimate": estimate.document(),
        }));
    } else {
        let steps = counted(project.plan.steps().len(), "step");
        let plugins = counted(project.members.len(), "plugin");
        let (file, name) = (&project.file, &project.plan.name);
        let mut text = format!("{file}: `{name}` is valid ({steps}, {plugins})\nplan {hash}\n");
        for note in &notes {
            text.push_str(&format!("note: {note}\n"));
        }
        context.output.result(&flowhost::output::neutral(&text));
    }
    Ok(Exit::Ok)
}
