//! `flowhost runs …`: which command is meant, and `flowhost runs report RUN`; the others have files of their
//! own.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::one_line;
use flowhost::report::problems::unreadable_of;
use flowhost::state::FindRuns as _;
use flowhost_evidence::{html, story};
use flowhost_flow::Exit;

use crate::cli::RunsCommand;
use crate::commands::runs_show::warn_of_cut;
use crate::commands::{Context, cancel, prune, replay, restore, runs_list, runs_show, watch};

pub(crate) fn perform(command: &RunsCommand, context: &mut Context) -> Result<Exit, Failure> {
    super::settle(context);
    match command {
        RunsCommand::List(args) => runs_list::perform(args, context),
        RunsCommand::Watch(args) => watch::perform(args, context),
        RunsCommand::Cancel(args) => cancel::perform(args, context),
        RunsCommand::Rm(args) => prune::remove(args, context),
        RunsCommand::Prune(args) => prune::perform(args, context),
        RunsCommand::Restore(args) => restore::perform(args, context),
        RunsCommand::Show(args) => runs_show::perform(args, context),
        RunsCommand::Fork(args) => super::fork::perform(args, context),
        RunsCommand::Resume(args) => super::resume::perform(args, context),
        RunsCommand::Approve(args) => super::speak::approve(args, context),
        RunsCommand::Reject(args) => super::speak::reject(args, context),
        RunsCommand::Signal(args) => super::speak::signal(args, context),
        RunsCommand::Settle(args) => super::settle::perform(args, context),
        RunsCommand::Report { run, out } => report(run, out.as_deref(), context),
        RunsCommand::Replay(args) => replay::perform(args, context),
    }
}

fn report(run: &str, out: Option<&Path>, context: &Context) -> Result<Exit, Failure> {
    let files = context.state.files_of_run(&context.ambient, run)?;
    warn_of_cut(&files.run, &*files.source, &files.dir, context);
    let story = story::read_in(&*files.source, &files.dir).map_err(unreadable_of(&files.run))?;
    let run = files.run;
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
