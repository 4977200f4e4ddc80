//! `flowhost runs settle RUN 'STEP!compensate' --as done` of a run that has ended: a person says that what the run could
//! not take back is gone by hand. Recorded and signed behind the run's end, as an erasure is; the index of runs, which
//! says how long the ledger was at the end, stays as it is.

use std::path::Path;
use std::sync::Arc;

use flowhost::failure::Failure;
use flowhost::keys::in_use;
use flowhost::report::page;
use flowhost_flow::{Exit, StepStatus};
use flowhost_ledger::records::{Record, RecordKind as _, RunSettle, StepPart};
use flowhost_ledger::{Fact, Kind, Ledger, LedgerError, LedgerOptions, Recorder as _, read_run};
use serde_json::json;

use crate::cli::{SettleArgs, VerdictArg};
use crate::commands::Context;

/// The end of a compensation's path, behind that of its step.
const COMPENSATION: &str = "!compensate";

/// A run that has ended, and what it took back or tried to.
pub(super) struct Ended {
    status: String,
    back: Vec<Back>,
}

/// A compensation that was begun.
struct Back {
    step: String,
    path: String,
    /// Its last call; 0 for none.
    call: u64,
    /// How it ended; none where no record says.
    how: Option<String>,
    /// Who settled it, and when.
    said: Option<(String, String)>,
}

impl Ended {
    /// The run in `dir`; none where it has not ended, or cannot be read: then whoever opens its ledger says why.
    pub(super) fn read(dir: &Path) -> Option<Self> {
        let mut status = None;
        let mut back: Vec<Back> = Vec::new();
        for record in read_run(dir).ok()? {
            let record = record.ok()?;
            let wanted = matches!(
                record.kind(),
                Some(
                    Kind::StepStart
                        | Kind::StepEnd
                        | Kind::ToolCall
                        | Kind::RunSettle
                        | Kind::RunEnd
                )
            );
            if !wanted {
                continue;
            }
            match record.read().ok()? {
                Some(Record::RunEnd(end)) => status = Some(end.status),
                Some(Record::StepStart(start)) => begun(&mut back, start.at),
                Some(Record::StepEnd(end)) => {
                    if let Some(it) = back.iter_mut().find(|it| it.path == end.at.path) {
                        it.how = Some(end.status);
                    }
                }
                Some(Record::ToolCall(call)) => {
                    // What it called in turn has a dot in its number.
                    let number = call.call_of.call.as_deref();
                    let number = number.and_then(|it| it.parse::<u64>().ok());
                    let of = back.iter_mut().find(|it| it.step == call.call_of.step);
                    if let (Some(of), Some(number)) = (of, number) {
                        of.call = number;
                    }
                }
                // Before the end a word is about a call that the run goes on with.
                Some(Record::RunSettle(word)) if status.is_some() => {
                    if let Some(it) = back.iter_mut().find(|it| it.path == word.path) {
                        it.said = Some((word.by.unwrap_or_default(), record.ts));
                    }
                }
                _ => {}
            }
        }
        Some(Self {
            status: status?,
            back,
        })
    }

    /// What was not taken back, or of which nobody knows whether it was.
    fn failed(&self) -> impl Iterator<Item = &Back> {
        let back = self.back.iter();
        back.filter(|it| it.how.as_deref() != Some(StepStatus::Ok.word()))
    }
}

fn begun(back: &mut Vec<Back>, at: StepPart) {
    // One that a kill cut off was begun again.
    if at.path.ends_with(COMPENSATION) && !back.iter().any(|it| it.path == at.path) {
        back.push(Back {
            step: at.step,
            path: at.path,
            call: 0,
            how: None,
            said: None,
        });
    }
}

fn unsettled(exit: Exit, why: impl Into<String>) -> Failure {
    Failure::new(exit, "nothing was settled").because(why)
}

/// The compensation that is meant, and who says so, where that can be said of it.
fn chosen<'e>(args: &'e SettleArgs, ended: &'e Ended) -> Result<(&'e Back, &'e str), Failure> {
    let Some(back) = ended.failed().find(|it| it.path == args.step) else {
        let named: Vec<String> = ended.failed().map(|it| format!("`{}`", it.path)).collect();
        let named = match named.is_empty() {
            true => "none of its compensations failed".to_owned(),
            false => format!("compensations of it that failed: {}", named.join(", ")),
        };
        let status = &ended.status;
        let why = format!(
            "the run has ended: {status}, and no compensation of it that failed is `{}`",
            args.step
        );
        return Err(unsettled(Exit::Internal, why).because(named));
    };
    let path = &back.path;
    if let Some((by, at)) = &back.said {
        let why = format!("`{path}` was settled by {by} before, at {at}");
        return Err(unsettled(Exit::Internal, why));
    }
    let refused = match args.verdict {
        VerdictArg::Done if args.output.is_some() => {
            "`--output` is for steps that come later, and the run has ended"
        }
        VerdictArg::Done => "",
        VerdictArg::Failed => "the run has ended, and that it failed is on record already",
        VerdictArg::Retry => "the run has ended, and nothing of it is tried again",
    };
    if !refused.is_empty() {
        return Err(unsettled(Exit::Usage, refused).hint(
            "take the effect back by hand; then say so with `--as done --by NAME`, and how with `--note TEXT`",
        ));
    }
    let Some(by) = args.by.as_deref() else {
        let why = "what was taken back by hand is somebody's word";
        return Err(unsettled(Exit::Usage, why).hint("say with `--by NAME` whose"));
    };
    Ok((back, by))
}

/// The record of the word, and the call that it is about.
fn word(args: &SettleArgs, ended: &Ended, tenant: &str) -> Result<(u64, Fact), Failure> {
    let (back, by) = chosen(args, ended)?;
    let record = RunSettle {
        call: back.call,
        step: back.step.clone(),
        path: back.path.clone(),
        r#as: "done".to_owned(),
        by: Some(by.to_owned()),
    };
    // JSON, as of every step that a person says is done: `null` without a note.
    let note = json!(args.note).to_string();
    let fact = record.by(format!("{tenant}/host"));
    Ok((back.call, fact.payload(note.into_bytes())))
}

/// Records the word behind the end of `run`, and makes its page anew.
pub(super) fn perform(
    args: &SettleArgs,
    run: &str,
    ended: &Ended,
    context: &Context,
) -> Result<Exit, Failure> {
    let (state, ambient) = (&context.state, &context.ambient);
    // Before anything is opened: most of what is wrong is wrong for anybody.
    chosen(args, ended)?;
    let unsaid = |error: &dyn std::error::Error| {
        Failure::new(Exit::Internal, "nothing was settled").caused_by(error)
    };
    let key = in_use(ambient, state).map_err(|error| unsaid(&error))?;
    let dir = state.run_dir(run);
    let options = LedgerOptions::new(&dir, state.tenant(), run, Arc::new(key));
    let ledger = Ledger::reopen(&options).map_err(|error| unsaid(&error))?;
    // Once more, now that nobody else can say it meanwhile.
    let now = Ended::read(&dir);
    let (call, fact) = word(args, now.as_ref().unwrap_or(ended), state.tenant())?;
    // A process that is killed behind this leaves the mark, and the next command signs the word and makes the page anew.
    let mark = page::Mark::set(state, run, ambient)?;
    let said = ledger.append(fact);
    let anew = match &said {
        Ok(_) => page::rewrite(&ledger, state, run, ambient),
        Err(_) => Ok(false),
    };
    // Closed whatever became of the word: one that stays open looks as if its process had been killed.
    let sealed = ledger.close_blocking();
    let in_doubt = |error: LedgerError| {
        let what = "the ledger takes no more, and what was said may stand on record all the same";
        Failure::new(Exit::Internal, what)
            .caused_by(&error)
            .hint(format!(
                "check free space and the disk; `flowhost runs show {run}` then says whether it is there"
            ))
    };
    match said {
        Ok(_) => {}
        // A record that is no record as it should be is written nowhere.
        Err(error @ LedgerError::Refused(_)) => {
            mark.clear();
            return Err(unsaid(&error));
        }
        Err(error) => return Err(in_doubt(error)),
    }
    let sealed = sealed.map_err(in_doubt)?;
    let anew = anew.map_err(|failure| {
        failure.hint("what was said is on record; the next command makes the page anew")
    })?;
    mark.clear();
    if context.output.json {
        context.output.document(&json!({
            "run_id": run, "step": args.step, "call": call, "by": args.by, "records": sealed.size, "root": sealed.root,
            "report_rewritten": anew,
        }));
    } else {
        let page = match anew {
            true => "; wrote report.html anew with it",
            false => "",
        };
        let text = format!("settled `{}` behind the end of the run{page}\n", args.step);
        context.output.message(&text);
    }
    Ok(Exit::Ok)
}
