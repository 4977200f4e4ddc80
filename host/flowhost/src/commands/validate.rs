//! `flowhost validate PLAN`: everything that is wrong, at once; nothing runs.

use flowhost::failure::Failure;
use flowhost::output::counted;
use flowhost::sources::Sources;
use flowhost_flow::Exit;
use serde_json::json;

use crate::cli::ValidateArgs;
use crate::commands::{Context, run::looked_at};

pub(crate) fn perform(args: &ValidateArgs, context: &mut Context) -> Result<Exit, Failure> {
    // Whatever is wrong, the plan is not valid: no exit code tells missing rights from the rest here.
    let (project, asked) =
        looked_at(&args.plan, args.keys, context).map_err(|failure| Failure {
            // What `run` would hint at besides is of one refusal among several here.
            hints: Vec::new(),
            ..invalid(failure)
        })?;
    let estimate = super::estimate::within_budget(&project, context).map_err(invalid)?;
    let hash = flowhost_run::plan_hash(&project)?;
    let sources = Sources::new(&context.ambient, &context.config, None);
    let bare = project
        .members
        .iter()
        .filter(|(_, member)| member.manifest.is_stand_in());
    let bare = bare.map(|(key, member)| {
        let tools = asked.told(key);
        let what = sources.no_manifest(&member.path, tools.as_deref());
        format!("plugin `{key}`: {what}")
    });
    let notes = project.notes.iter().cloned().chain(bare);
    let notes: Vec<String> = notes.chain(estimate.doubts()).collect();
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

fn invalid(failure: Failure) -> Failure {
    Failure {
        exit: Exit::Internal,
        ..failure
    }
}
