//! `flowhost runs resume RUN` and `flowhost run PLAN --resume`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost::failure::Failure;
use flowhost::host::host;
use flowhost::kept::Kept;
use flowhost::project::Project;
use flowhost::state::{FindRuns as _, gone, is_gone};
use flowhost_engine::PoolConfig;
use flowhost_evidence::runs::{self, INTERRUPTED, RunEntry, WAITING};
use flowhost_flow::Exit;
use flowhost_ledger::KILLED;
use flowhost_run::{Host, Kept as _, ResumeOptions, at_work};

use crate::cli::{ResumeArgs, RunningArgs};
use crate::commands::run::without_keys;
use crate::commands::runs_list::listed;
use crate::commands::standing::resume_command;
use crate::commands::{Context, running};

/// How a run stands that can go on.
const OPEN: &[&str] = &[KILLED, INTERRUPTED, WAITING];

/// How one stands that was cut off in the middle of its work.
const CUT_OFF: &[&str] = &[KILLED, INTERRUPTED];

pub(crate) fn perform(args: &ResumeArgs, context: &Context) -> Result<Exit, Failure> {
    let run = found(&args.run, context)?;
    go_on(&run, &args.plugins, &args.running, true, context)
}

/// The run that a person means.
pub(crate) fn found(wanted: &str, context: &Context) -> Result<String, Failure> {
    context.state.resolve_run(&context.ambient, wanted)
}

/// A host for a word about a run that rests, and what that run is made of. Nothing is called for it, so one place for a
/// guest is room enough.
pub(crate) fn at_rest(context: &Context) -> Result<(Host, Kept), Failure> {
    let (ambient, config, state) = (&context.ambient, &context.config, &context.state);
    let pool = PoolConfig {
        slots: 1,
        ..PoolConfig::default()
    };
    let host = host(ambient, config, state, pool, None)?;
    Ok((host, Kept::new(ambient, config, state, BTreeMap::new())))
}

/// The components that a person names in the place of plugins' own, by plugin: a path is theirs, from where they are.
pub(super) fn stand_ins(
    named: &[(String, String)],
    context: &Context,
) -> BTreeMap<String, PathBuf> {
    let named = named.iter();
    named
        .map(|(key, path)| (key.clone(), context.ambient.resolve(Path::new(path))))
        .collect()
}

/// Goes on with a run in this process; `notes` where nobody has said yet what its profiles open only with a second key.
pub(crate) fn go_on(
    run: &str,
    plugins: &[(String, String)],
    args: &RunningArgs,
    notes: bool,
    context: &Context,
) -> Result<Exit, Failure> {
    let replaced = stand_ins(plugins, context);
    let options = ResumeOptions {
        allow_private_network: args.keys.allow_private_network,
        allow_process: args.keys.allow_process,
        witness: super::run::witness(args, context),
        replaced: replaced.keys().cloned().collect(),
        cancel: None,
    };
    let Context {
        ambient,
        config,
        state,
        ..
    } = context;
    let kept = Arc::new(Kept::new(ambient, config, state, replaced));
    // For the size of the host; what goes on is read under the run's lock.
    let run_dir = state.run_dir(run);
    let setup = kept.setup(&run_dir);
    let project = setup.and_then(|setup| kept.project(&run_dir, &setup.inputs));
    // What cannot be read may not be there yet.
    let project = project.map_err(|failure| match ambient.lock_holder(&run_dir) {
        Some(process) => at_work(Some(process)),
        None => failure,
    });
    let project = project.map_err(|failure| failure.named("RUN", run))?;
    if notes {
        super::run::note(&without_keys(&project, args.keys), args.log_format, context);
    }
    // As it can be typed from here: the run may have been started elsewhere.
    let plan = match project.cwd == ambient.cwd() {
        true => PathBuf::from(&project.file),
        false => project.cwd.join(&project.file),
    };
    let ended = running::perform(&project, args, context, |host| {
        Ok(host.resume(run, kept, options))
    });
    ended.map_err(|failure| failure.named("PLAN", &plan.display().to_string()))
}

/// What becomes of the newest run of a plan that is to be run.
pub(crate) enum Newest {
    /// The person wants to go on with it.
    GoesOn(String),
    /// It stays as it is, and the plan begins anew.
    Stays {
        /// What the document says of it, where it could go on and a program asks: a person has read it.
        offered: Option<String>,
    },
}

/// The newest run of this plan, if the person wants to go on with it; without that, one that was killed or
/// interrupted is only told of.
pub(crate) fn newest(
    project: &Project,
    wanted: bool,
    context: &Context,
) -> Result<Newest, Failure> {
    super::settle(context);
    if !wanted {
        let offered = offer(project, context)?;
        if !context.output.json
            && let Some(text) = &offered
        {
            context.output.message(&format!("note: {text}\n"));
            return Ok(Newest::Stays { offered: None });
        }
        return Ok(Newest::Stays { offered });
    }
    let hash = flowhost_run::plan_hash(project)?;
    let all = listed(context)?;
    let mut same = all
        .iter()
        .rev()
        .filter(|run| run.plan_hash == hash && run.removed.is_none());
    let is_open = |run: &&RunEntry| OPEN.contains(&run.status.as_str());
    match same.next() {
        Some(run) if is_open(&run) && is_gone(&context.state, &run.run_id) => {
            Err(gone(&context.state, &run.run_id))
        }
        Some(run) if is_open(&run) => Ok(Newest::GoesOn(run.run_id.clone())),
        Some(run) => {
            let failure = nothing().because(format!(
                "the newest run of this plan, {}, has ended: {}",
                run.run_id, run.status
            ));
            Err(match same.find(is_open) {
                Some(older) => failure.hint(format!(
                    "an older one is on record as `{}`: `{}` goes on with it",
                    older.status,
                    resume_command(&older.run_id, &context.state)
                )),
                None => failure,
            })
        }
        None => Err(nothing().because("no run of this plan as it is now is in the state folder")),
    }
}

/// That the newest run of this plan could go on, whoever found it killed. Read from the end of the index, at the same
/// cost however many runs there are.
fn offer(project: &Project, context: &Context) -> Result<Option<String>, Failure> {
    // What cannot be read is told where it matters: the run that begins now is entered there.
    let newest = runs::newest(context.state.root(), context.state.tenant()).unwrap_or_default();
    let Some(run) = newest
        .iter()
        .rev()
        .find(|run| run.plan == project.plan.name)
        .filter(|run| CUT_OFF.contains(&run.status.as_str()))
    else {
        return Ok(None);
    };
    let is_there = run.removed.is_none() && !is_gone(&context.state, &run.run_id);
    if !is_there || run.plan_hash != flowhost_run::plan_hash(project)? {
        return Ok(None);
    }
    let text = format!(
        "the last run of this plan, {}, was {}; `{}` goes on with it",
        run.run_id,
        run.status,
        resume_command(&run.run_id, &context.state)
    );
    Ok(Some(context.state.told(&text)))
}

fn nothing() -> Failure {
    Failure::new(Exit::Internal, "the state folder has nothing to resume")
        .hint("`flowhost runs list` shows what there is; without `--resume` the plan starts anew")
}
