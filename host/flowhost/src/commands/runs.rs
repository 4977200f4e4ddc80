//! `flowhost runs list`, `flowhost runs show RUN` and `flowhost runs report RUN`; `replay` has a file of its
//! own.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::one_line;
use flowhost::report::problems::unreadable;
use flowhost::state::FindRuns as _;
use flowhost_evidence::runs::{self, RunEntry};
use flowhost_evidence::{html, story};
use flowhost_flow::Exit;

use crate::cli::RunsCommand;
use crate::commands::runs_show::{self, plain_table, seconds};
use crate::commands::{Context, replay};

pub(crate) fn perform(command: &RunsCommand, context: &mut Context) -> Result<Exit, Failure> {
    super::settle(context);
    match command {
        RunsCommand::List => list(context),
        RunsCommand::Show(args) => runs_show::perform(args, context),
        RunsCommand::Resume(args) => super::resume::perform(args, context),
        RunsCommand::Approve(args) => super::speak::approve(args, context),
        RunsCommand::Reject(args) => super::speak::reject(args, context),
        RunsCommand::Signal(args) => super::speak::signal(args, context),
        RunsCommand::Settle(args) => super::settle::perform(args, context),
        RunsCommand::Report { run, out } => report(run, out.as_deref(), context),
        RunsCommand::Replay(args) => replay::perform(args, context),
    }
}

fn list(context: &Context) -> Result<Exit, Failure> {
    let mut entries =
        runs::list(context.state.root(), context.state.tenant()).map_err(unreadable)?;
    entries.reverse();
    if context.output.json {
        context.output.document(&entries);
    } else if entries.is_empty() {
        context.output.message("no run yet\n");
    } else {
        context.output.result(&list_table(&entries));
    }
    Ok(Exit::Ok)
}

fn list_table(entries: &[RunEntry]) -> String {
    let mut table = plain_table(&["run", "started", "status", "records", "plan"]);
    for entry in entries {
        let records = entry.records.map_or("-".to_owned(), |n| n.to_string());
        table.add_row([
            entry.run_id.clone(),
            seconds(&entry.started),
            one_line(&entry.status),
            records,
            one_line(&entry.plan),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn report(run: &str, out: Option<&Path>, context: &Context) -> Result<Exit, Failure> {
    let run = context.state.resolve_run(&context.ambient, run)?;
    let story = story::read(&context.state.run_dir(&run)).map_err(unreadable)?;
    let page = html::page(&story);
    let Some(out) = out else {
        match context.output.json {
            true => context
                .output
                .document(&serde_json::json!({ "run_id": run, "html": page })),
            false => context.output.result(&page),
        }
        return Ok(Exit::Ok);
    };
    let out = context.ambient.resolve(out);
    context.ambient.write(&out, page.as_bytes())?;
    let out = out.display().to_string();
    match context.output.json {
        true => context
            .output
            .document(&serde_json::json!({ "run_id": run, "report_html": out })),
        false => context
            .output
            .message(&format!("{}\n", one_line(&format!("wrote {out}")))),
    }
    Ok(Exit::Ok)
}
