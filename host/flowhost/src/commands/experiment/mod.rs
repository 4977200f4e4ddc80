//! `flowhost experiment`: variants of a plan run in turns, outputs handed out blind, scores taken back, and all of it in a table.

mod blind;
mod report;

use std::path::{Path, PathBuf};

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost_flow::Exit;
use flowhost_flow::units::micro_usd_to_usd;
use serde::Serialize;
use serde_json::json;

use super::archived::{Archives, is_archive};
use super::tables::plain_table;
use super::telemetry::{FILE_BYTES_MAX, collect};
use super::trials::{self, Trials};
use crate::cli::{ExperimentCommand, ExperimentRunArgs};
use crate::commands::{Context, run, specs};

pub(crate) fn perform(command: &ExperimentCommand, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        ExperimentCommand::Run(args) => in_turns(args, context),
        ExperimentCommand::Sheet(args) => blind::hand_out(args, context),
        ExperimentCommand::Review(args) => blind::take_back(args, context),
        ExperimentCommand::Report(args) => report::perform(args, context),
    }
}

/// One run of a variant.
#[derive(Debug, Serialize)]
struct Turn {
    variant: String,
    run_id: String,
    exit_code: u8,
    duration_ms: u64,
    tokens: u64,
    cost_usd: f64,
    /// Why it did not end well.
    why: Option<String>,
}

/// Each variant once, then each again: what changes over time (a busy provider, a warm cache) meets all of them.
fn in_turns(args: &ExperimentRunArgs, context: &mut Context) -> Result<Exit, Failure> {
    let project = trials::survey(&args.plan, context)?;
    if project.plan.variants.is_empty() {
        let message = format!("`{}` has no variants", args.plan.plan.display());
        return Err(Failure::new(Exit::Internal, message).hint(
            "`variants: { one: {}, other: { input: value } }` names sets of values for its inputs",
        ));
    }
    let variants = trials::variants(&project.plan, &args.variants)?;
    let trials = Trials::new(&project, args.seed, context)?;
    let mut turns = Vec::new();
    let mut exit = Exit::Ok;
    for _ in 0..args.times {
        for variant in &variants {
            let one = trials::with_inputs(&args.plan, variant, &[]);
            // Read anew for each: an input may name a file that a run before has written.
            let finished = trials.run(run::checked(&one, context)?, context)?;
            let end = &finished.outcome.end;
            // The first that did not end well, as a script of runs would stop at it; the others are done all the
            // same, or the variants would not have been run equally often.
            if exit == Exit::Ok {
                exit = end.exit;
            }
            if context.output.live && !context.output.json {
                let line = format!("{variant}: run {}\n", finished.run);
                context.output.message(&neutral(&line));
            }
            turns.push(Turn {
                variant: variant.clone(),
                run_id: finished.run.clone(),
                exit_code: end.exit.code(),
                duration_ms: finished.outcome.duration_ms,
                tokens: end.used.tokens,
                cost_usd: micro_usd_to_usd(end.used.micro_usd),
                why: end.failure.as_ref().map(|it| it.message.clone()),
            });
        }
    }
    trials.end();
    if context.output.json {
        context
            .output
            .document(&json!({ "plan": project.file, "runs": turns }));
        return Ok(exit);
    }
    let mut table = plain_table(&["variant", "run", "exit", "ms", "tokens", "USD", ""]);
    for turn in &turns {
        table.add_row([
            turn.variant.clone(),
            turn.run_id.clone(),
            turn.exit_code.to_string(),
            turn.duration_ms.to_string(),
            turn.tokens.to_string(),
            format!("{:.6}", turn.cost_usd),
            turn.why.clone().unwrap_or_default(),
        ]);
    }
    let text = format!("{}\n", table.trim_fmt());
    context.output.result(&neutral(&text));
    Ok(exit)
}

/// Every file of an evidence folder, by its path below it, and what its archives have of files that say something of runs:
/// the runs that are held beside each other are older than those that a plan keeps (`evidence.keep_runs`).
fn each_file(
    evidence: &Path,
    context: &Context,
    mut take: impl FnMut(&str, &[u8]),
) -> Result<(), Failure> {
    let ambient = &context.ambient;
    let evidence = &specs::root(evidence, context)?;
    let mut files = Vec::new();
    collect(ambient, evidence, 0, &mut files)?;
    let (archives, files): (Vec<PathBuf>, Vec<PathBuf>) = files
        .into_iter()
        .partition(|file| is_archive(&file.display().to_string()));
    let mut archived = Archives::anywhere(ambient);
    for file in files {
        let bytes = ambient.read(&file, FILE_BYTES_MAX)?;
        let below = file.strip_prefix(evidence).unwrap_or(&file);
        let name = below.display().to_string();
        // Before the archives: what is there counts, and what an archive has of it does not.
        archived.there(&name);
        take(&name, &bytes);
    }
    for archive in archives {
        for (name, bytes) in archived.fresh(&archive.display().to_string()) {
            take(&name, &bytes);
        }
    }
    archived.tell(&|text| context.output.message(&neutral(text)));
    Ok(())
}
