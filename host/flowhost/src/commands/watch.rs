//! `flowhost runs watch RUN`: what a run of another process does, from its ledger, until it ends.
//!
//! A line for each step of the plan, each failure, each gate; of items only a count, so that four hundred of
//! them are one line. `--json` prints every record, one object a line.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use flowhost::failure::Failure;
use flowhost::output::{neutral, one_line};
use flowhost::report::problems::unreadable_of;
use flowhost::state::is_its_own;
use flowhost_evidence::runs::RecordEntry;
use flowhost_evidence::text::escaped;
use flowhost_flow::Exit;
use flowhost_ledger::records::{Record, StepPart};
use flowhost_ledger::{Payloads, RealDisk, StoredRecord, Tail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use crate::cli::WatchArgs;
use crate::commands::{Context, cancel, resume};

/// How often is looked for records: a person sees no delay, and a look costs microseconds.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// How often is looked whether the process that has the run was killed: it writes nothing then.
const SWEEP_EVERY: Duration = Duration::from_secs(2);
/// Records that are held at once, of a run that has many already.
const TAKEN_MAX: usize = 4_096;
/// Steps at work that one line can show. The rest is told by its number.
const SHOWN_MAX: usize = 3;
/// Characters of a failure's message that a line shows: the screen is for the whole run.
const MESSAGE_MAX: usize = 200;

pub(super) fn perform(args: &WatchArgs, context: &Context) -> Result<Exit, Failure> {
    let run = resume::found(&args.run, context)?;
    is_its_own(&context.state, &run)?;
    let dir = context.ambient.resolve(&context.state.run_dir(&run));
    let mut tail = Tail::open(&dir).map_err(|error| unreadable_of(&run)(error.into()))?;
    let mut view = View::new(context, dir);
    let mut swept = Instant::now();
    // Looked at before the records are read: what was written before the end was entered is read then.
    let mut ended = cancel::ended(&run, context)?;
    loop {
        let records = tail.more(TAKEN_MAX);
        let records = records.map_err(|error| unreadable_of(&run)(error.into()))?;
        let all = records.len() < TAKEN_MAX;
        for record in records {
            view.hear(record);
        }
        // More are there already: a pause for each part would show an old run slowly.
        if !all {
            continue;
        }
        if let Some(status) = ended {
            return Ok(view.end(&run, &status));
        }
        thread::sleep(LOOK_EVERY);
        if swept.elapsed() > SWEEP_EVERY {
            super::settle(context);
            swept = Instant::now();
        }
        ended = cancel::ended(&run, context)?;
    }
}

/// What is shown.
struct View<'a> {
    context: &'a Context,
    dir: PathBuf,
    bar: ProgressBar,
    steps: BTreeMap<String, Items>,
    /// Steps at work, items not counted.
    working: Vec<String>,
    denials: u64,
    exit: Exit,
}

/// What became of a step's items so far.
#[derive(Default)]
struct Items {
    begun: u64,
    ended: u64,
    failed: u64,
}

impl<'a> View<'a> {
    fn new(context: &'a Context, dir: PathBuf) -> Self {
        let live = context.output.live && !context.output.json;
        let target = match live {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        if live {
            // So often that it looks alive.
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self {
            context,
            dir,
            bar,
            steps: BTreeMap::new(),
            working: Vec::new(),
            denials: 0,
            // What a run ends with that writes no end.
            exit: Exit::Internal,
        }
    }

    fn hear(&mut self, record: StoredRecord) {
        // A record of a newer version says nothing to this one; with `--json` it is passed on as it is.
        if let Ok(Some(said)) = record.read() {
            self.denials += u64::from(said.is_denial());
            self.note(&record, &said);
        }
        if self.context.output.json {
            let entry = RecordEntry::from(record);
            self.print(&json!({ "event": "record", "record": entry }).to_string());
        }
        self.bar.set_message(self.message());
    }

    /// What the record is to whoever looks on.
    fn note(&mut self, record: &StoredRecord, said: &Record) {
        match said {
            Record::RunStart(_) => self.line(record, "the run began"),
            Record::RunResume(_) => self.line(record, "the run goes on"),
            Record::StepStart(start) => self.step_began(&start.at),
            Record::AttemptEnd(end) => {
                let (path, number) = (&end.at.path, end.attempt);
                let why = self.why(record, end.class.as_deref());
                self.line(record, &format!("{path}: attempt {number} failed{why}"));
            }
            Record::StepEnd(end) => {
                let took = end.duration_ms.unwrap_or(0);
                let why = self.why(record, end.class.as_deref());
                let what = format!("{}, {took} ms{why}", end.status);
                self.step_ended(record, &end.at.path, &end.status, &what);
            }
            Record::Gate(gate) => {
                let by = gate
                    .by
                    .as_ref()
                    .map_or(String::new(), |by| format!(" by {by}"));
                let text = format!("{}: the gate was {}{by}", gate.at.path, gate.event);
                self.line(record, &text);
            }
            Record::RunEnd(end) => self.exit = exit_of(end.exit_code),
            Record::RunPause(pause) => self.exit = exit_of(pause.exit_code),
            _ => {}
        }
    }

    fn step_began(&mut self, at: &StepPart) {
        match item_of(&at.path) {
            Some(step) => self.steps.entry(step.to_owned()).or_default().begun += 1,
            None => self.working.push(at.path.clone()),
        }
    }

    fn step_ended(&mut self, record: &StoredRecord, path: &str, status: &str, what: &str) {
        if let Some(step) = item_of(path) {
            let items = self.steps.entry(step.to_owned()).or_default();
            items.ended += 1;
            if status == "failed" {
                items.failed += 1;
                self.line(record, &format!("{path}: {what}"));
            }
            return;
        }
        self.working.retain(|at_work| at_work != path);
        let items = match self.steps.get(path) {
            Some(items) => format!(" ({} items, {} failed)", items.ended, items.failed),
            None => String::new(),
        };
        self.line(record, &format!("{path}: {what}{items}"));
    }

    /// The line of a terminal that is written over and over.
    fn message(&self) -> String {
        let items = self.steps.iter().filter(|(_, it)| it.begun > it.ended);
        let items = items.map(|(path, it)| format!("{path} {}/{}", it.ended, it.begun));
        let mut parts: Vec<String> = items.chain(self.working.iter().cloned()).collect();
        if parts.len() > SHOWN_MAX {
            let more = parts.len() - SHOWN_MAX;
            parts.truncate(SHOWN_MAX);
            parts.push(format!("+{more}"));
        }
        if self.denials > 0 {
            parts.push(format!("{} denied", self.denials));
        }
        one_line(&parts.join(" · "))
    }

    /// The class of a failure and its message; empty for none.
    fn why(&self, record: &StoredRecord, class: Option<&str>) -> String {
        let Some(class) = class else {
            return String::new();
        };
        let message = self.payload(record);
        match message.as_str() {
            "" => format!(" ({class})"),
            message => format!(" ({class}): {message}"),
        }
    }

    /// The message of a failure, which is the record's payload; read when there is one, since a failure
    /// is rare.
    fn payload(&self, record: &StoredRecord) -> String {
        // Opened anew: the run goes on writing. A payload that cannot be read leaves the class of the failure, and
        // `runs show` says why.
        let payloads = Payloads::open(&RealDisk, &self.dir).ok();
        let commit = record.commit.as_deref();
        let text = payloads
            .zip(commit)
            .and_then(|(payloads, commit)| payloads.get(record.seq, commit).ok().flatten())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let text = text.unwrap_or_default();
        let said = serde_json::from_str::<serde_json::Value>(&text).ok();
        said.as_ref()
            .and_then(|it| it["message"].as_str())
            .unwrap_or(&text)
            .chars()
            .take(MESSAGE_MAX)
            .collect()
    }

    fn line(&self, record: &StoredRecord, text: &str) {
        if self.context.output.json {
            return;
        }
        let time = record.ts.split('T').nth(1).and_then(|it| it.get(..8));
        let text = one_line(&neutral(text));
        self.print(&format!("{} {text}", time.unwrap_or_default()));
    }

    fn print(&self, line: &str) {
        let text = match self.context.output.json {
            true => format!("{}\n", escaped(line)),
            false => format!("{line}\n"),
        };
        self.bar.suspend(|| self.context.output.result(&text));
    }

    fn end(&self, run: &str, status: &str) -> Exit {
        self.bar.finish_and_clear();
        let exit = match status {
            // Whatever a pause said before: nobody is at work on it any more.
            flowhost_ledger::KILLED => Exit::Internal,
            _ => self.exit,
        };
        if self.context.output.json {
            let ended = json!({
                "event": "ended", "run_id": run, "status": status, "exit_code": exit.code(),
            });
            self.print(&ended.to_string());
        } else {
            let denied = match self.denials {
                0 => String::new(),
                1 => ", 1 denial".to_owned(),
                n => format!(", {n} denials"),
            };
            let text = one_line(&format!("the run {run} ended: {status}{denied}"));
            self.print(&text);
        }
        exit
    }
}

/// The step of the plan whose item this is: `audit[3]` is of `audit`, and so is all below it.
fn item_of(path: &str) -> Option<&str> {
    path.split_once('[').map(|(step, _)| step)
}

fn exit_of(code: Option<u64>) -> Exit {
    let all = Exit::ALL.iter().copied();
    let mut found = all.filter(|exit| Some(u64::from(exit.code())) == code);
    found.next().unwrap_or(Exit::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_counted_with_its_step_and_a_step_stands_for_itself() {
        assert_eq!(item_of("audit[12]"), Some("audit"));
        assert_eq!(item_of("audit[12]/inner[0]"), Some("audit"));
        assert_eq!(item_of("audit"), None);
        assert_eq!(item_of("nested/audit"), None);
    }

    #[test]
    fn a_code_of_a_newer_host_is_a_failure() {
        assert_eq!(exit_of(Some(9)), Exit::Waiting);
        assert_eq!(exit_of(Some(77)), Exit::Internal);
        assert_eq!(exit_of(None), Exit::Internal);
    }
}
