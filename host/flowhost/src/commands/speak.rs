//! `flowhost runs approve|reject RUN GATE` and `flowhost runs signal RUN NAME`.

use flowhost::failure::Failure;
use flowhost_flow::Exit;
use flowhost_run::{Spoken, Word};
use serde_json::json;

use crate::cli::{SignalArgs, SpeakArgs};
use crate::commands::standing::resume_command;
use crate::commands::{Context, resume};

pub(crate) fn approve(args: &SpeakArgs, context: &Context) -> Result<Exit, Failure> {
    said(args, Word::Approve(args.note.clone()), "approved", context)
}

pub(crate) fn reject(args: &SpeakArgs, context: &Context) -> Result<Exit, Failure> {
    said(args, Word::Reject(args.note.clone()), "rejected", context)
}

fn said(args: &SpeakArgs, word: Word, done: &str, context: &Context) -> Result<Exit, Failure> {
    let spoken = Spoken {
        gate: args.gate.clone(),
        word,
        by: args.by.clone(),
    };
    speak(&args.run, &spoken, done, context)
}

pub(crate) fn signal(args: &SignalArgs, context: &Context) -> Result<Exit, Failure> {
    let spoken = Spoken {
        gate: args.gate.clone(),
        word: Word::Signal(args.payload.clone()),
        by: args.by.clone().unwrap_or_default(),
    };
    speak(&args.run, &spoken, "signalled", context)
}

fn speak(run: &str, spoken: &Spoken, done: &str, context: &Context) -> Result<Exit, Failure> {
    let run = resume::found(run, context)?;
    let (host, kept) = resume::at_rest(context)?;
    let gate = host.speak(&run, &kept, spoken)?;
    if context.output.json {
        context.output.document(&json!({
            "run_id": run, "gate": gate, "path": spoken.gate, "said": done, "by": spoken.by,
        }));
    } else {
        let path = &spoken.gate;
        let goes_on = resume_command(&run, &context.state);
        let next = match spoken.word {
            // A word is a record and no more: the run, which has no process, ends when it hears it.
            Word::Reject(_) => format!(
                "the run stands where it stood until `{goes_on}` does what the plan says of a no: in a workflow the step \
                 fails, and the run ends with exit code 4 where the plan says nothing else"
            ),
            Word::Approve(_) | Word::Signal(_) => format!("`{goes_on}` goes on"),
        };
        let text = format!("{done} `{path}`; {next}\n");
        context.output.message(&context.state.told(&text));
    }
    Ok(Exit::Ok)
}
