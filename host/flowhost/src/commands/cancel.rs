//! `flowhost runs cancel RUN`: asks the process that has the run to end it, and waits until it has; a run
//! that waits for a person has no process, and is ended here.

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use flowhost::failure::Failure;
use flowhost::host::host;
use flowhost::kept::Kept;
use flowhost::output::one_line;
use flowhost_engine::PoolConfig;
use flowhost_evidence::runs::{self, INTERRUPTED, RunEntry, UNFINISHED, WAITING};
use flowhost_flow::Exit;
use flowhost_ledger::{KILLED, Payloads, RealDisk, read_run};
use flowhost_run::asks::{self, Ask};
use flowhost_run::{NOT_RESUMED, ResumeOptions, status_word};
use serde_json::json;

use crate::cli::CancelArgs;
use crate::commands::runs_list::listed;
use crate::commands::standing::resume_command;
use crate::commands::{Context, resume, running};

/// How often is looked whether the run has ended. A person waits for it, and a look is one small file.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often is looked whether its process was killed meanwhile. It tries the lock of the run's ledger, which is
/// rarely free before the end.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// What a run may take to end after its grace: agents are told (a minute), stopped calls are awaited, steps
/// are compensated, pages are written.
const END_MAX: Duration = Duration::from_secs(120);

/// What a run says that is refused when it is to go on only to be cancelled.
const NOT_CANCELLED: &str = "the run cannot be cancelled";

pub(super) fn perform(args: &CancelArgs, context: &Context) -> Result<Exit, Failure> {
    let run = resume::found(&args.run, context)?;
    let entries = listed(context)?;
    let entry = entries.iter().find(|it| it.run_id == run);
    let status = entry.map_or("", |it| it.status.as_str());
    let reason = reason(args);
    let ended = match status {
        UNFINISHED => ask(&run, &reason, args.grace, context)?,
        WAITING => end_here(&run, reason, args, context)?,
        status => {
            let failure = Failure::new(Exit::Internal, not_cancelled_text(&run));
            return Err(match status {
                "" => failure
                    .because("the index of runs does not know it")
                    .hint("`flowhost verify DIR` of the state folder says more"),
                KILLED | INTERRUPTED => failure
                    .because(format!("nobody is at work on it: it was {status}"))
                    .hint(format!(
                        "`{}` goes on with it, `flowhost runs rm {run}` removes it",
                        resume_command(&run, &context.state)
                    )),
                status => failure.because(format!("it has ended: {status}")),
            });
        }
    };
    let warnings = doubts(&run, context);
    if context.output.json {
        context
            .output
            .document(&json!({ "run_id": run, "status": ended, "warnings": warnings }));
    } else {
        for warning in &warnings {
            let text = format!("warning: {}\n", one_line(warning));
            context.output.message(&text);
        }
        let text = match ended.as_str() {
            "cancelled" => format!("the run {run} was cancelled\n"),
            other => format!("the run {run} had come to its end before it heard: {other}\n"),
        };
        context.output.message(&text);
    }
    Ok(Exit::Ok)
}

/// What the run's record says of calls that were stopped at work, a sentence each: nobody knows whether they had their
/// effect. Whoever cancels a run of another process sees no other report of it.
fn doubts(run: &str, context: &Context) -> Vec<String> {
    let dir = context.state.run_dir(run);
    let (Ok(records), Ok(payloads)) = (read_run(&dir), Payloads::open(&RealDisk, &dir)) else {
        // That it cannot be read says who looks at the run, which has ended all the same.
        return Vec::new();
    };
    let records = records.map_while(Result::ok);
    let said = records.filter_map(|record| {
        let warns = record.text("warning") == Some("call");
        let commit = record.commit.as_deref().filter(|_| warns)?;
        let said = payloads.get(record.seq, commit).ok().flatten()?;
        let step = record.text("path").unwrap_or_default();
        Some(format!("{step}: {}", String::from_utf8_lossy(&said)))
    });
    said.collect()
}

fn reason(args: &CancelArgs) -> String {
    let by = match &args.by {
        None => "cancelled by `flowhost runs cancel`".to_owned(),
        Some(by) => format!("cancelled by {by}"),
    };
    match args.note.as_str() {
        "" => by,
        note => format!("{by}: {note}"),
    }
}

/// Asks whoever has the run, and waits. Gives the status that it ended with.
fn ask(run: &str, reason: &str, grace_ms: u64, context: &Context) -> Result<String, Failure> {
    let (ambient, state) = (&context.ambient, &context.state);
    let path = asks::path(state, run);
    let asked = Ask::Cancel {
        reason: reason.to_owned(),
        grace_ms,
    };
    let asked = serde_json::to_vec(&asked).map_err(|error| {
        Failure::new(Exit::Internal, "the run cannot be asked").because(error.to_string())
    })?;
    // A file that the run's process looks for: it has no socket, and the one who asks may be another user's process
    // of the same state folder.
    ambient.create_dir(path.parent().unwrap_or(Path::new(".")))?;
    ambient.write(&path, &asked)?;
    let since = Instant::now();
    let longest = Duration::from_millis(grace_ms).saturating_add(END_MAX);
    let mut swept = since;
    let ended = loop {
        // First: nobody can have taken it yet.
        thread::sleep(LOOK_EVERY);
        if swept.elapsed() > SWEEP_EVERY {
            super::settle(context);
            swept = Instant::now();
        }
        match self::ended(run, context)? {
            Some(status) => break Some(status),
            None if since.elapsed() > longest => break None,
            None => {}
        }
    };
    // Whoever has the run takes it as a rule.
    let _taken = ambient.remove(&path);
    ended.ok_or_else(|| {
        let failure = Failure::new(Exit::Internal, format!("the run {run} has not ended"))
            .because("it was asked to, and its time for that is over");
        match ambient.lock_holder(&state.run_dir(run)) {
            Some(process) => failure.hint(format!(
                "process {process} has it: `kill {process}` ends the process, and the run can be resumed"
            )),
            None => failure.hint("end the process that has it; the run can be resumed after that"),
        }
    })
}

/// The status of a run that has ended.
pub(super) fn ended(run: &str, context: &Context) -> Result<Option<String>, Failure> {
    let state = &context.state;
    let is_it = |it: &&RunEntry| it.run_id == run;
    // A look that fails is made again by the whole list, which tells why.
    let newest = runs::newest(state.root(), state.tenant()).unwrap_or_default();
    let status = match newest.iter().find(is_it) {
        Some(entry) => entry.status.clone(),
        // It began long before the newest runs.
        None => {
            let all = listed(context)?;
            all.iter()
                .find(is_it)
                .map(|it| it.status.clone())
                .unwrap_or_default()
        }
    };
    // A run that the index does not know has nobody who would enter its end: it is not waited for.
    Ok((status != UNFINISHED).then_some(status))
}

/// Goes on with a run that waits, to cancel it.
fn end_here(
    run: &str,
    reason: String,
    args: &CancelArgs,
    context: &Context,
) -> Result<String, Failure> {
    let Context {
        ambient,
        config,
        state,
        ..
    } = context;
    let replaced = resume::stand_ins(&args.plugins, context);
    let options = ResumeOptions {
        allow_private_network: args.keys.allow_private_network,
        allow_process: args.keys.allow_process,
        replaced: replaced.keys().cloned().collect(),
        cancel: Some(reason),
        ..ResumeOptions::default()
    };
    let kept = Arc::new(Kept::new(ambient, config, state, replaced));
    let runtime = running::runtime()?;
    let finished = runtime.block_on(async {
        let host = host(ambient, config, state, PoolConfig::default(), None)?;
        host.resume(run, kept, options).outcome().await
    });
    // A name that is looked up for a plugin must not hold the process up: its run has ended.
    runtime.shutdown_background();
    let outcome = finished
        .map_err(|failure| not_cancelled(run, failure))?
        .outcome;
    if outcome.end.exit == Exit::Waiting {
        let failure = outcome.end.failure.as_ref();
        let (why, step) = failure
            .map(|it| (it.message.clone(), it.step.clone()))
            .unwrap_or_default();
        return Err(
            Failure::new(Exit::Waiting, format!("the run {run} waits on"))
                .because(why)
                .hint(failure.map(|it| it.hint.clone()).unwrap_or_default())
                .named("STEP", &step),
        );
    }
    Ok(status_word(&outcome).to_owned())
}

fn not_cancelled_text(run: &str) -> String {
    format!("the run {run} cannot be cancelled")
}

/// A run that waits goes on to be cancelled. What keeps it from that is told as what was asked for.
fn not_cancelled(run: &str, mut failure: Failure) -> Failure {
    let what = not_cancelled_text(run);
    let instead = std::mem::replace(&mut failure.message, what);
    // The same without the run's name is no cause.
    if ![NOT_RESUMED, NOT_CANCELLED].contains(&instead.as_str()) {
        failure.causes.insert(0, instead);
    }
    failure
}
