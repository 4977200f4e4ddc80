//! `flowhost run PLAN`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flowhost::config::Durability as Configured;
use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::kept::Kept;
use flowhost::offers::{self, Asked};
use flowhost::output::one_line;
use flowhost::plugin::lock;
use flowhost::preflight::{Asking, findings_of};
use flowhost::project::{self, Loaded, Project, Request, SecondKeys, without_key};
use flowhost::state::{gone, is_gone};
use flowhost::worktree;
use flowhost_evidence::runs;
use flowhost_flow::Exit;
use flowhost_ledger::Durability;
use flowhost_run::RunOptions;
use serde_json::json;

use crate::cli::{DurabilityArg, KeyArgs, LogFormat, PlanArgs, RunArgs, RunningArgs};
use crate::commands::Context;
use crate::commands::resume::Newest;
use crate::commands::runs_list::listed;

pub(crate) fn perform(args: &RunArgs, context: &mut Context) -> Result<Exit, Failure> {
    if args.watch {
        return super::dev::watch(args, options(args, context), context);
    }
    let keys = args.running.keys;
    let project = match args.dry_run {
        true => looked_at(&args.plan, keys, context)?.0,
        false => noted(checked(&args.plan, context)?, keys),
    };
    // The document of `--dry-run` has them.
    if !(context.output.json && args.dry_run) {
        note(&project.notes, args.running.log_format, context);
    }
    if args.dry_run {
        return super::dry_run::perform(&project, context);
    }
    if args.estimate {
        return super::estimate::perform(&project, context);
    }
    let running = &args.running;
    let offered = match super::resume::newest(&project, args.resume, context)? {
        Newest::GoesOn(run) => return super::resume::go_on(&run, &[], running, false, context),
        Newest::Stays { offered } => offered,
    };
    let mut options = options(args, context);
    let begun = project.clone();
    let earlier = match args.reuse.as_deref() {
        Some(wanted) => earlier(wanted, &project, context)?,
        None => None,
    };
    let Context {
        ambient,
        config,
        state,
        ..
    } = &*context;
    let kept = Arc::new(Kept::new(ambient, config, state, BTreeMap::new()));
    let stretch = super::stages::stretch(&args.stages, &project, &kept, context)?;
    options.only = stretch.only;
    // After all that may refuse: git is asked once, as near to the run as can be.
    options.work_tree = worktree::look(&context.ambient, &project, args.stages.allow_dirty)?;
    let finished = super::running::told(&project, running, offered, context, |host| {
        if let Some(run) = &earlier {
            options.reuse = Some(Arc::new(host.earlier(run, &*kept)?));
        }
        match stretch.past {
            Some((run, at)) => host.fork(begun, &run, &at, kept, options),
            None => host.start(begun, options),
        }
    })?;
    if let Some(run) = earlier.filter(|_| finished.outcome.reused.is_empty()) {
        untaken(&run, context);
    }
    Ok(finished.outcome.end.exit)
}

/// Says why nothing of the run that a person named is in this one.
fn untaken(run: &str, context: &Context) {
    if !context.output.json {
        let text = format!(
            "note: no call of run {run} was taken: a result is taken where all that it depends on is as it was, and its step \
             or its tool says `effects: idempotent`\n"
        );
        context.output.message(&text);
    }
}

/// The run that a person wants to take results from; `latest` is the newest of this plan's name that does
/// not go on, and without one everything is done.
fn earlier(wanted: &str, project: &Project, context: &Context) -> Result<Option<String>, Failure> {
    if wanted != "latest" {
        return super::resume::found(wanted, context).map(Some);
    }
    super::settle(context);
    let all = listed(context)?;
    let mut same = all.into_iter().rev();
    let newest = same.find(|run| {
        // One that goes on is another process's, and its last results are still to come.
        let is_there = run.removed.is_none() && run.status != runs::UNFINISHED;
        run.plan == project.plan.name && is_there
    });
    if newest.is_none() && !context.output.json {
        let text = "note: no earlier run of this plan is in the state folder; everything is done\n";
        context.output.message(text);
    }
    match newest.map(|run| run.run_id) {
        // Nothing is taken from an older one in its place.
        Some(run) if is_gone(&context.state, &run) => Err(gone(&context.state, &run)),
        newest => Ok(newest),
    }
}

/// Where checkpoints are sent as well.
pub(crate) fn witness(args: &RunningArgs, context: &Context) -> Option<PathBuf> {
    let witness = args.witness.as_deref();
    witness.map(|path| context.ambient.resolve(path))
}

fn options(args: &RunArgs, context: &Context) -> RunOptions {
    RunOptions {
        seed: args.seed,
        durability: durability(args.durability, context.config.durability),
        allow_private_network: args.running.keys.allow_private_network,
        allow_process: args.running.keys.allow_process,
        witness: witness(&args.running, context),
        note: args.stages.note.clone(),
        ..RunOptions::default()
    }
}

/// Loads the plan that `args` name, remembering every text that was read.
pub(crate) fn load(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    load_as(args, request(args), context)
}

/// The same with what remote plugins are now, where the plan does not pin them.
pub(crate) fn load_newest(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    let request = Request {
        newest: true,
        ..request(args)
    };
    load_as(args, request, context)
}

fn load_as(args: &PlanArgs, request: Request, context: &mut Context) -> Result<Project, Failure> {
    let (project, mut findings) = read(&request, context);
    // Of a plan that is not whole a difference to the lock would only follow from what is missing.
    if let Some(project) = project.as_ref().filter(|it| args.locked && it.is_whole()) {
        match lock::drift(&context.ambient, &context.config, project) {
            Ok(drift) => findings.extend(drift),
            Err(failure) if findings.is_empty() => return Err(failure),
            Err(failure) => findings.extend(findings_of(failure)),
        }
    }
    match project {
        Some(project) if findings.is_empty() => Ok(project),
        project => Err(asking(context).unsound(&args.plan, project.as_ref(), findings)),
    }
}

/// Loads the plan, and refuses what a run of it would be refused: the one question of `validate`,
/// `run --dry-run` and `run`. Exit code 6 where rights are all that is missing.
pub(crate) fn checked(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    let project = load(args, context)?;
    asking(context).refused_run(&args.plan, &project)?;
    Ok(project)
}

/// As [`checked`], for who runs nothing: components without a manifest are asked which tools they have. A run asks them
/// itself, before its first record.
pub(crate) fn looked_at(
    args: &PlanArgs,
    keys: KeyArgs,
    context: &mut Context,
) -> Result<(Project, Asked), Failure> {
    let project = load(args, context)?;
    let asked = offers::of_project(&context.ambient, &context.state, &project);
    asking(context).refused(&args.plan, &project, &asked.offers)?;
    Ok((noted(project, keys), asked))
}

pub(super) fn asking(context: &Context) -> Asking<'_> {
    Asking {
        ambient: &context.ambient,
        config: &context.config,
        state: &context.state,
    }
}

/// The project with what is worth knowing of keys that are not given.
pub(super) fn noted(mut project: Project, keys: KeyArgs) -> Project {
    let notes = without_keys(&project, keys);
    project.notes.extend(notes);
    project
}

/// What is worth knowing of keys that are not given.
pub(super) fn without_keys(project: &Project, keys: KeyArgs) -> Vec<String> {
    let keys = SecondKeys {
        private_network: keys.allow_private_network,
        process: keys.allow_process,
    };
    without_key(project, keys)
}

fn read(request: &Request, context: &mut Context) -> (Option<Project>, Vec<Finding>) {
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let Loaded { project, findings } = project::load(ambient, config, request, texts);
    (project, findings)
}

/// What is worth knowing and stops nothing.
pub(super) fn note(notes: &[String], form: LogFormat, context: &Context) {
    for note in notes {
        context.output.message(&match form {
            LogFormat::Text => format!("note: {}\n", one_line(note)),
            LogFormat::Json => format!("{}\n", json!({ "message": "note", "note": note })),
        });
    }
}

pub(crate) fn request(args: &PlanArgs) -> Request {
    Request {
        plan: args.plan.clone(),
        inputs: args.inputs.clone(),
        policies: args.policies.clone(),
        ..Request::default()
    }
}

pub(crate) fn durability(typed: Option<DurabilityArg>, configured: Configured) -> Durability {
    match (typed, configured) {
        (Some(DurabilityArg::Durable), _) | (None, Configured::Durable) => Durability::Durable,
        (Some(DurabilityArg::Relaxed), _) | (None, Configured::Relaxed) => Durability::Relaxed,
    }
}
