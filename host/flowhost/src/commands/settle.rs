//! `flowhost runs settle RUN STEP --as done|failed|retry`: what became of a step of a run that goes on. What is said of one
//! that has ended is in `by_hand`.

use flowhost::failure::Failure;
use flowhost_flow::Exit;
use flowhost_run::{Settlement, Verdict};
use serde_json::{Value, json};

use crate::cli::{SettleArgs, VerdictArg};
use crate::commands::standing::resume_command;
use crate::commands::{Context, by_hand, resume};

pub(crate) fn perform(args: &SettleArgs, context: &Context) -> Result<Exit, Failure> {
    if args.output.is_some() && args.verdict != VerdictArg::Done {
        return Err(Failure::new(Exit::Usage, "nothing was settled")
            .because("`--output` is what a step that is done handed on")
            .hint("say `--as done` with it"));
    }
    let run = resume::found(&args.run, context)?;
    if let Some(ended) = by_hand::Ended::read(&context.state.run_dir(&run)) {
        return by_hand::perform(args, &run, &ended, context);
    }
    let verdict = match args.verdict {
        VerdictArg::Done => Verdict::Done(args.output.clone().unwrap_or(Value::Null)),
        VerdictArg::Failed => {
            let why = args.note.as_deref().unwrap_or("settled as failed");
            Verdict::Failed(why.to_owned())
        }
        VerdictArg::Retry => Verdict::Retry,
    };
    let said = Settlement {
        step: args.step.clone(),
        verdict,
        by: args.by.clone().unwrap_or_default(),
    };
    let (host, kept) = resume::at_rest(context)?;
    let (call, waiting) = host.settle(&run, &kept, &said)?;
    if context.output.json {
        context.output.document(&json!({
            "run_id": run, "step": said.step, "call": call, "still_waiting": waiting,
        }));
    } else {
        let next = match waiting {
            0 => context.state.told(&format!(
                "`{}` goes on",
                resume_command(&run, &context.state)
            )),
            1 => "1 more step waits for a word".to_owned(),
            more => format!("{more} more steps wait for a word"),
        };
        context
            .output
            .message(&format!("settled `{}`; {next}\n", said.step));
    }
    Ok(Exit::Ok)
}
