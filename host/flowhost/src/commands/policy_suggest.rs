//! `flowhost policy suggest RUN`: the profile lines that a run lacked, for a person to judge.
//!
//! Reads refusals from the ledger, so it says what happened, not what a component might want.

use flowhost::evidence::runs::{self, RecordEntry};
use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost_flow::Exit;
use flowhost_policy::suggest::{Refusal, Suggestion, suggest};

use crate::commands::Context;

pub(crate) fn perform(run: &str, context: &Context) -> Result<Exit, Failure> {
    let run = context.state.resolve_run(&context.ambient, run)?;
    let records = runs::show(&context.state, &run)?;
    let refusals: Vec<Refusal<'_>> = records.iter().filter_map(refusal).collect();
    let suggestion = suggest(&refusals);
    if context.output.json {
        let document = serde_json::json!({
            "run_id": run, "refusals": refusals.len(), "lines": suggestion.lines,
            "never": suggestion.never,
        });
        context.output.document(&document);
    } else {
        context
            .output
            .message(&remarks(refusals.len(), &suggestion));
        context.output.result(&neutral(&suggestion.lines));
    }
    Ok(Exit::Ok)
}

fn refusal(record: &RecordEntry) -> Option<Refusal<'_>> {
    let text = |name: &str| record.fields.get(name)?.as_str();
    (text("decision")? == "deny").then_some(())?;
    Some(Refusal {
        right: text("right")?,
        wanted: text("wanted")?,
        rule: text("rule")?,
    })
}

fn remarks(refusals: usize, suggestion: &Suggestion) -> String {
    let mut remarks = match refusals {
        0 => "nothing was refused in this run\n".to_owned(),
        1 => "1 refusal; judge each line before you add it to the profile\n".to_owned(),
        n => format!("{n} refusals; judge each line before you add it to the profile\n"),
    };
    for never in &suggestion.never {
        remarks.push_str(&format!("no profile allows: {}\n", neutral(never)));
    }
    remarks
}
