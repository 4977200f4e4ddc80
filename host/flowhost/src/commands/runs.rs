//! `flowhost runs list`, `flowhost runs show RUN` and `flowhost runs report RUN`; `replay` has a file of its
//! own.

use std::path::Path;

use comfy_table::{ContentArrangement, Table, presets};
use flowhost::failure::Failure;
use flowhost::output::one_line;
use flowhost::report::problems::unreadable;
use flowhost::state::FindRuns as _;
use flowhost_evidence::runs::{self, RecordEntry, RunEntry, StepEntry, steps};
use flowhost_evidence::{html, story};
use flowhost_flow::Exit;
use flowhost_flow::units::micro_usd_to_usd;

use crate::cli::RunsCommand;
use crate::commands::{Context, replay};

pub(crate) fn perform(command: &RunsCommand, context: &mut Context) -> Result<Exit, Failure> {
    super::settle(context);
    match command {
        RunsCommand::List => list(context),
        RunsCommand::Show { run } => show(run, context),
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

fn show(run: &str, context: &Context) -> Result<Exit, Failure> {
    let run = context.state.resolve_run(&context.ambient, run)?;
    let records = runs::show(&context.state.run_dir(&run)).map_err(unreadable)?;
    let steps = steps(&records);
    if context.output.json {
        let document = serde_json::json!({ "run_id": run, "steps": steps, "records": records });
        context.output.document(&document);
    } else {
        let table = match steps.is_empty() {
            true => String::new(),
            false => format!("{}\n", steps_table(&steps)),
        };
        context.output.result(&(table + &show_table(&records)));
    }
    Ok(Exit::Ok)
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

/// Spaces where nothing was used, so that what was used stands out.
fn steps_table(steps: &[StepEntry]) -> String {
    let heads = ["step", "outcome", "attempts", "ms", "fuel", "tokens", "usd"];
    let mut table = plain_table(&heads);
    let some = |number: u64| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    for step in steps {
        let usd = match step.micro_usd {
            0 => String::new(),
            micro_usd => format!("{:.6}", micro_usd_to_usd(micro_usd)),
        };
        table.add_row([
            one_line(&step.path),
            one_line(&step.status),
            step.attempts.to_string(),
            step.duration_ms.map_or(String::new(), |ms| ms.to_string()),
            some(step.fuel),
            some(step.tokens),
            usd,
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

fn show_table(records: &[RecordEntry]) -> String {
    let mut table = plain_table(&["seq", "time", "actor", "kind", ""]);
    for record in records {
        table.add_row([
            record.seq.to_string(),
            time_of_day(&record.ts),
            one_line(&record.actor),
            one_line(&record.kind),
            one_line(&record.summary()),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}

/// Columns by spaces alone, so that a pipe gets what a terminal shows.
fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    table
}

/// `2026-11-21T04:00:00.000000Z` without its fraction.
fn seconds(ts: &str) -> String {
    ts.split('.').next().unwrap_or(ts).replace('T', " ")
}

/// The time of day to the millisecond: all records of a run are close together.
fn time_of_day(ts: &str) -> String {
    let time = ts.split('T').nth(1).unwrap_or(ts);
    time.get(..12).unwrap_or(time).to_owned()
}
