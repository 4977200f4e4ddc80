//! `flowhost runs restore RUN…`: runs come back out of their archives, and the index of runs says so.

use flowhost::failure::Failure;
use flowhost::host::signing_key;
use flowhost::output::{counted, neutral};
use flowhost::state::FindRuns as _;
use flowhost_flow::Exit;
use flowhost_ledger::{RemoveError, RunIndex};
use serde_json::{Value, json};

use crate::cli::RestoreArgs;
use crate::commands::Context;

pub(super) fn perform(args: &RestoreArgs, context: &Context) -> Result<Exit, Failure> {
    let (ambient, state) = (&context.ambient, &context.state);
    // All of them are looked for before the first comes back.
    let mut meant: Vec<String> = Vec::new();
    for wanted in &args.runs {
        let run = match state.removed_run(wanted) {
            Some(removed) => removed.run_id,
            None => {
                let run = state.resolve_run(ambient, wanted)?;
                return Err(refused(&RemoveError::IsThere(run)));
            }
        };
        if !meant.contains(&run) {
            meant.push(run);
        }
    }
    let key = signing_key(ambient, &context.config, state)?;
    let index = RunIndex::new(state.root(), state.tenant(), key);
    let mut removal = index.removal().map_err(|error| refused(&error))?;
    for (before, run) in meant.iter().enumerate() {
        removal.restore(run).map_err(|error| {
            refused(&error).because(match before {
                0 => "nothing was brought back".to_owned(),
                n => format!("{} before it came back", counted(n, "run")),
            })
        })?;
        if !context.output.json {
            let line = format!("{run} is there again, out of its archive\n");
            context.output.result(&neutral(&line));
        }
    }
    if context.output.json {
        let restored: Vec<Value> = meant.iter().map(|run| json!({ "run_id": run })).collect();
        context.output.document(&json!({ "restored": restored }));
    }
    Ok(Exit::Ok)
}

fn refused(error: &RemoveError) -> Failure {
    let failure = Failure::new(Exit::Internal, "a run cannot be brought back").caused_by(error);
    match error {
        RemoveError::IsThere(run) => failure.hint(format!("`flowhost runs show {run}` shows it")),
        RemoveError::NoArchive(_) => {
            failure.hint("nothing of it was kept but its lines in the index of runs")
        }
        RemoveError::Archive { .. } => failure.hint(
            "bring the file back to where it was; `flowhost verify FILE` checks it where it is",
        ),
        _ => failure.hint("`flowhost verify DIR` of the state folder says what is wrong with it"),
    }
}
