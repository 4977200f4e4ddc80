//! A person says what became of a call that nobody knows the end of: recorded in the run's ledger and
//! signed, and believed when the run is resumed.

use std::path::Path;
use std::sync::OnceLock;

use flowhost_flow::plan::{Step, Work};
use flowhost_flow::planner::Part;
use flowhost_flow::{Call, Exit, OutputSchema, Plan, RunSetup};
use flowhost_ledger::records::{RecordKind as _, RunSettle};
use flowhost_ledger::{Fact, LedgerError, LedgerOptions, Recorder as _};
use serde_json::Value;

use crate::base::failure::{Failure, ledger_failure};
use crate::earlier::resume::feeding::FedBeside;
use crate::earlier::resume::past::{self, Beside};
use crate::earlier::resume::rebuild::rebuild;
use crate::earlier::resume::{Kept, Resumed, foreign, open};
use crate::given::process::Process;
use crate::given::project::Project;

/// What a person says of a call.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It had its effect, and this is what it would have handed on.
    Done(Value),
    /// It had none, and it is not to be made again.
    Failed(String),
    /// It had none, and it is to be made again.
    Retry,
}

/// Which call, and who says so.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The step's path.
    pub step: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Who says so; empty when nobody gave a name.
    pub by: String,
}

/// Records it. Gives the number of the call that was settled, and how many still wait for a word.
pub(crate) fn settle(
    host: &Process,
    kept: &dyn Kept,
    run: &str,
    said: &Settlement,
) -> Result<(u64, usize), Failure> {
    speak(host, kept, run, |resumed, project, actor| {
        let doubtful = resumed.doubtful();
        let open = resumed.rebuilt.open.values().map(|call| &**call);
        let mut taking = open.filter(|call| resumed.takes_a_word(call));
        let Some(call) = taking.find(|call| call.path == said.step) else {
            let waiting: Vec<String> = doubtful.iter().map(|it| format!("`{}`", it.path)).collect();
            let why = match waiting.is_empty() {
                true => "no step of it waits for a word".to_owned(),
                false => {
                    format!(
                        "{} waits for a word, and `{}` does not",
                        waiting.join(", "),
                        said.step
                    )
                }
            };
            return Err(unsettled(why));
        };
        if let Verdict::Done(output) = &said.verdict {
            fits(project, call, output)?;
        }
        let (word, payload) = match &said.verdict {
            Verdict::Done(output) => ("done", Some(output.to_string())),
            Verdict::Failed(why) => ("failed", Some(why.clone())),
            Verdict::Retry => ("retry", None),
        };
        let record = RunSettle {
            call: call.id.0,
            step: call.step_id.clone(),
            path: call.path.clone(),
            r#as: word.to_owned(),
            by: (!said.by.is_empty()).then(|| said.by.clone()),
        };
        let fact = record.by(actor);
        let fact = match payload {
            Some(payload) => fact.payload(payload.into_bytes()),
            None => fact,
        };
        let others = doubtful.iter().filter(|it| it.id != call.id);
        Ok((fact, (call.id.0, others.count())))
    })
}

fn unsettled(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Internal, "nothing was settled").because(why)
}

/// That what a call is said to have handed on is what its tool would have given, and has what the plan reads of it: the
/// run would else fail by the word, and could not be gone on with.
fn fits(project: &Project, call: &Call, output: &Value) -> Result<(), Failure> {
    // Of a consensus one agent is meant, and nobody reads what a handler or a compensation gives.
    let Some((plan, prefix, step)) = (call.part == Part::Work)
        .then(|| placed(&project.plan, &call.path))
        .flatten()
    else {
        return Ok(());
    };
    let misfit = |why: String| {
        let said = match output.is_null() {
            true => "it says nothing of what it handed on".to_owned(),
            false => format!("`{output}` is not what it would have handed on"),
        };
        let cure = "say with `--output JSON` what the step would have handed on, or `--as failed`";
        Err(unsettled(format!("{said}: {why}")).hint(cure))
    };
    let stated = plan.schema_of(step);
    if let Some(what) = stated.and_then(|schema| schema.violations(output)) {
        return misfit(format!("by the step's `output`, {what}"));
    }
    if let Some((plugin, tool)) = project.tool_of(&prefix, step)
        && let Some(schema) = &tool.output
        // One that cannot be used is told by who calls the tool.
        && let Ok(schema) = OutputSchema::compile(schema.clone())
        && let Some(what) = schema.violations(output)
    {
        return misfit(format!("by the schema of `{plugin}/{}`, {what}", tool.name));
    }
    // A guardrail may hand on something else.
    let of_it = plan
        .reads()
        .iter()
        .filter(|read| read.step == step.id && step.after.is_empty());
    for read in of_it {
        let mut at = Some(output);
        for name in &read.path {
            at = at.and_then(|it| it.get(name));
        }
        if at.is_none() {
            let path = read.path.join(".");
            let place = format!("{}:{}", plan.file, read.at.line);
            return misfit(format!("{place} reads `{path}` of it"));
        }
    }
    Ok(())
}

/// The step of this path, with its plan and the beginning of the keys of its plugins.
fn placed<'p>(root: &'p Plan, path: &str) -> Option<(&'p Plan, String, &'p Step)> {
    let (mut plan, mut prefix) = (root, String::new());
    let mut parts = path.split('/').peekable();
    loop {
        // Without the item of a `foreach`, and how often a state was visited.
        let id = parts.next()?.split(['[', '#']).next()?;
        let step = plan.step(id)?;
        if parts.peek().is_none() {
            return Some((plan, prefix, step));
        }
        let Work::Plan { reference } = &step.work else {
            return None;
        };
        prefix = format!("{prefix}{reference}::");
        plan = plan.sub_plan(reference)?;
    }
}

/// Lets somebody say something of a run that nobody works on: `say` gives the fact, which is recorded and
/// signed before this returns.
pub(super) fn speak<T>(
    host: &Process,
    kept: &dyn Kept,
    run: &str,
    say: impl FnOnce(&Resumed, &Project, String) -> Result<(Fact, T), Failure>,
) -> Result<T, Failure> {
    let state = &host.config.state;
    let dir = state.run_dir(run);
    let mut options = LedgerOptions::new(&dir, state.tenant(), run, host.config.key.clone());
    options.durability = past::durability(&dir);
    // Whoever speaks wants to hear of the word, and not of a resumption.
    let unsaid = |failure: Failure| Failure {
        message: "nothing was recorded".to_owned(),
        ..failure
    };
    let ledger = open(host, &options).map_err(unsaid)?;
    let (resumed, project) = read(kept, &dir).map_err(unsaid)?;
    if let Some(status) = &resumed.past.ended {
        return Err(Failure::new(Exit::Internal, "nothing was recorded")
            .because(format!("the run has ended: {status}")));
    }
    let (fact, told) = say(&resumed, &project, format!("{}/host", state.tenant()))?;
    let may_stand = |error: LedgerError| match error {
        // A record that is no record as it should be is written nowhere.
        LedgerError::Refused(_) => ledger_failure("what was said cannot be recorded", &error),
        error => {
            let what =
                "the ledger takes no more, and what was said may stand on record all the same";
            spoken_in_doubt(run, what, &error)
        }
    };
    ledger.append(fact).map_err(may_stand)?;
    let sealed = ledger.close_blocking().map_err(may_stand)?;
    let status = flowhost_flow::RunStatus::Waiting.word();
    host.index.ended(run, status, &sealed).map_err(|error| {
        let what = "what was said is on record, and the index of runs cannot be written";
        spoken_in_doubt(run, what, &error)
    })?;
    Ok(told)
}

/// A disk that failed while somebody spoke. A record can have reached it before what comes after failed, so that nobody is
/// told that nothing was said: who says it once more could hear that it was said before.
fn spoken_in_doubt(run: &str, what: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, what)
        .caused_by(error)
        .hint(format!(
            "check free space and the disk; `flowhost runs show {run}` then lists what is on record: where it is there, \
             `flowhost runs resume {run}` goes on with it, and where it is not, say it again"
        ))
}

/// The run as it stands, and what it is made of.
fn read(kept: &dyn Kept, dir: &Path) -> Result<(Resumed, Project), Failure> {
    let key = kept.key(dir)?;
    let loaded = OnceLock::new();
    let plan = |setup: &RunSetup| {
        let project = loaded.get_or_init(|| kept.project(dir, &setup.inputs));
        project.as_ref().ok().map(|project| project.plan.clone())
    };
    let Beside { past, fed, .. } = past::read_beside(dir, key.as_ref(), None, &plan)?;
    let FedBeside { fed, rebuilt } = fed;
    let fed = fed?;
    let project = match loaded.into_inner() {
        Some(project) => project?,
        None => kept.project(dir, &fed.setup.inputs)?,
    };
    let rebuilt = rebuilt.unwrap_or_else(|| rebuild(project.plan.clone(), &fed));
    let (_planner, rebuilt) = rebuilt.map_err(|error| foreign(&error))?;
    Ok((Resumed { past, rebuilt, fed }, project))
}
