//! `flowhost policy explain PLAN [PLUGIN]`: for each right, where it came from and what removed it.

use flowhost::failure::Failure;
use flowhost_flow::Exit;

use crate::cli::PlanArgs;
use crate::commands::{Context, rights, run};

pub(crate) fn perform(
    args: &PlanArgs,
    plugin: Option<&str>,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let project = run::load(args, context)?;
    let wanted = |key: &str| plugin.is_none_or(|plugin| plugin == key);
    let members: Vec<_> = project
        .members
        .iter()
        .filter(|(key, _)| wanted(key))
        .collect();
    if members.is_empty() {
        let plugin = plugin.unwrap_or_default();
        let names: Vec<&str> = project.members.keys().map(String::as_str).collect();
        let message = format!("`{}` has no plugin `{plugin}`", project.file);
        let hint = format!("its plugins: {}", names.join(", "));
        return Err(Failure::new(Exit::Internal, message).hint(hint));
    }
    if context.output.json {
        let document: serde_json::Map<_, _> = members
            .iter()
            .map(|(key, it)| ((*key).clone(), rights::document(it)))
            .collect();
        context.output.document(&document);
    } else {
        let text: String = members
            .iter()
            .map(|(key, it)| rights::text(key, it))
            .collect();
        context
            .output
            .result(&flowhost::output::neutral(text.trim_start()));
    }
    Ok(Exit::Ok)
}
