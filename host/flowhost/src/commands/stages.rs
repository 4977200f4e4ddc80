//! `run --from STAGE` and `run --only STAGE`: which step is meant, and which run has what comes before it.
//!
//! What an earlier stage gave is the recorded run's, taken as a fork takes it (ADR 0027): by reference, in
//! full, and checked by `verify`. Must never take anything of another spec's run, whatever its plan is called, nor what a step
//! gave that was another one then.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost::failure::Failure;
use flowhost::kept::Kept;
use flowhost::output::one_line;
use flowhost::project::Project;
use flowhost_evidence::runs;
use flowhost_flow::hash::work_hash;
use flowhost_flow::plan::{Body, Step};
use flowhost_flow::{Exit, Plan, RunSetup};
use flowhost_run::{Kept as _, plan_hash};

use crate::cli::StageArgs;
use crate::commands::Context;
use crate::commands::runs_list::listed;

/// Where the run begins, and how far it goes.
#[derive(Debug)]
pub(super) struct Stretch {
    /// The only step that is wanted, with what it needs.
    pub(super) only: Option<String>,
    /// The run whose past it begins with, and the step before which that ends.
    pub(super) past: Option<(String, String)>,
}

/// The part of the plan that the person wants; all of it without a word.
pub(super) fn stretch(
    args: &StageArgs,
    project: &Project,
    kept: &Kept,
    context: &Context,
) -> Result<Stretch, Failure> {
    let Some(wanted) = args.from.as_ref().or(args.only.as_ref()) else {
        return Ok(Stretch {
            only: None,
            past: None,
        });
    };
    let step = step(&project.plan, wanted)?;
    let past = match comes_after_a_stage(&project.plan, step) {
        false => None,
        true => {
            let run = earlier(project, &step.id, kept, context)?;
            let before = kept.setup(&context.state.run_dir(&run))?;
            let alone = args.only.is_some();
            same_steps(&run, &before, project, step, alone, kept, context)?;
            // Told and not refused: to do a later stage anew with another input is what this is for.
            note_other_inputs(&run, &before, project, context);
            Some((run, step.id.clone()))
        }
    };
    Ok(Stretch {
        only: args.only.is_some().then(|| step.id.clone()),
        past,
    })
}

/// The step that has the stage, or else the name.
fn step<'p>(plan: &'p Plan, wanted: &str) -> Result<&'p Step, Failure> {
    let refused = |why: String| {
        Failure::new(
            Exit::Internal,
            format!("the plan cannot begin at `{wanted}`"),
        )
        .because(why)
    };
    // A composite's steps hear each other, and the states of a machine follow each other: neither has a part that
    // stands by itself.
    if !matches!(plan.body, Body::Workflow { .. }) {
        let why = "only a workflow has steps that can be run apart from each other";
        return Err(refused(why.to_owned()));
    }
    let steps = plan.steps();
    let staged: Vec<&Step> = steps
        .iter()
        .filter(|step| step.stage.as_deref() == Some(wanted))
        .copied()
        .collect();
    if let [first, second, ..] = staged.as_slice() {
        let why = format!("`{}` and `{}` both have that stage", first.id, second.id);
        return Err(refused(why).hint("name the step instead of the stage"));
    }
    let named = steps.iter().find(|step| step.id == wanted).copied();
    staged.first().copied().or(named).ok_or_else(|| {
        let stages: Vec<String> = steps
            .iter()
            .filter_map(|step| Some(format!("`{}`", step.stage.as_ref()?)))
            .collect();
        let names: Vec<String> = steps.iter().map(|step| format!("`{}`", step.id)).collect();
        let failure = refused("it has no such stage and no such step".to_owned());
        match stages.is_empty() {
            true => failure.hint(format!("its steps: {}", names.join(", "))),
            false => failure.hint(format!("its stages: {}", stages.join(", "))),
        }
    })
}

/// Whether the step needs a stage, directly or not. What is no stage is done again: it prepares something, as a
/// scan of the prompts does, and may come out otherwise now. In a plan without stages every step counts as one.
fn comes_after_a_stage(plan: &Plan, step: &Step) -> bool {
    let steps = plan.steps();
    let staged = steps.iter().any(|it| it.stage.is_some());
    let needed = plan.with_needs(&step.id);
    steps.iter().any(|it| {
        let before = it.id != step.id && needed.contains(&it.id);
        before && (it.stage.is_some() || !staged)
    })
}

/// The newest run of the plan that is not at work and leads to the step: one that was to do another step only has not all
/// that comes before it. Where none does, the newest, of which it is said how far it came.
fn earlier(
    project: &Project,
    step: &str,
    kept: &Kept,
    context: &Context,
) -> Result<String, Failure> {
    // What a kill left as if it were at work is over, and may be the newest.
    super::settle(context);
    let spec = project.plan.evidence.as_ref().map(|it| &it.spec_id);
    let all = listed(context)?;
    let mut newest = all.into_iter().rev().filter(|run| {
        let same = run.plan == project.plan.name && run.spec.as_ref() == spec;
        same && run.removed.is_none() && run.status != runs::UNFINISHED
    });
    let first = newest.next().map(|run| run.run_id);
    let has_past = |run: &String| leads(&context.state.run_dir(run), project, step, kept);
    let mut others = newest.map(|run| run.run_id);
    let found = match &first {
        Some(run) if !has_past(run) => others.find(&has_past),
        _ => None,
    };
    if let (Some(taken), Some(newest), false) = (&found, &first, context.output.json) {
        let text = format!(
            "what comes before `{step}` is taken from run {taken}: the newest, {newest}, did not do all of it"
        );
        let text = format!("note: {}\n", one_line(&text));
        context.output.message(&text);
    }
    found.or(first).ok_or_else(|| {
        let of = spec.map_or_else(String::new, |spec| format!(" for {spec}"));
        let name = &project.plan.name;
        Failure::new(
            Exit::Internal,
            format!("the plan cannot begin at `{step}`"),
        )
        .because(format!(
            "what comes before it is taken from an earlier run, and the state folder has no run of \
             `{name}`{of} that is over"
        ))
        .hint("run the plan whole once, or its stages one by one from the first")
    })
}

/// Whether a run was to do all that comes before the step. What cannot be read of it is told when it is taken.
fn leads(dir: &Path, project: &Project, step: &str, kept: &Kept) -> bool {
    let only = kept.setup(dir).ok().and_then(|setup| setup.only);
    only.is_none_or(|only| {
        let mut done = project.plan.with_needs(&only);
        done.insert(step.to_owned());
        project.plan.with_needs(step).is_subset(&done)
    })
}

/// Refuses a run in which a step that is to be taken was another one: its result would pass for that of a step
/// that never ran.
fn same_steps(
    run: &str,
    before: &RunSetup,
    project: &Project,
    at: &Step,
    alone: bool,
    kept: &Kept,
    context: &Context,
) -> Result<(), Failure> {
    // The plan's hash covers all its steps: nothing has to be compared.
    if before.plan_hash == plan_hash(project)? {
        return Ok(());
    }
    let then = kept
        .project(&context.state.run_dir(run), &before.inputs)?
        .plan;
    let now = &project.plan;
    let ran = before.only.as_ref().map(|only| then.with_needs(only));
    let ran = |id: &str| ran.as_ref().is_none_or(|ran| ran.contains(id));
    let needed = now.with_needs(&at.id);
    let after = dependents(now, &at.id);
    let mut others = Vec::new();
    for step in now.steps() {
        let id = step.id.as_str();
        // A run that goes on to the end also takes what lay beside the step and was done before it.
        let beside = !alone && !after.contains(id) && ran(id);
        let is_taken = id != at.id && (needed.contains(id) || beside);
        if is_taken && is_another(&then, now, step)? {
            others.push(id);
        }
    }
    // What comes first: whoever begins there does the rest anew as well.
    let is_first = |id: &&&str| {
        let before = now.with_needs(id);
        let mut more = others.iter().filter(|other| *other != *id);
        !more.any(|other| before.contains(*other))
    };
    let Some(first) = others.iter().find(is_first) else {
        debug_assert!(others.is_empty(), "the needs of steps have no circle");
        return Ok(());
    };
    Err(Failure::new(
        Exit::Internal,
        format!("the plan cannot begin at `{}`", at.id),
    )
    .because(format!(
        "what comes before it is taken from run {run}, and there the step `{first}` was another: its input, \
         prompt, agents, schema, checks or guardrails differ from this plan's"
    ))
    .hint(format!(
        "do that step anew (`--only {first}`, or `--from {first}`), or run the plan whole"
    )))
}

fn is_another(then: &Plan, now: &Plan, step: &Step) -> Result<bool, Failure> {
    let Some(was) = then.step(&step.id) else {
        return Ok(true);
    };
    let hash = |plan: &Plan, step: &Step| {
        work_hash(plan, step).map_err(|error| {
            Failure::new(Exit::Internal, "the step cannot be hashed").because(error.to_string())
        })
    };
    Ok(hash(then, was)? != hash(now, step)?)
}

/// A step and all that needs it, directly or not.
fn dependents(plan: &Plan, id: &str) -> BTreeSet<String> {
    let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in plan.steps() {
        for need in &step.needs {
            needed_by.entry(need).or_default().push(&step.id);
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![id];
    while let Some(id) = open.pop() {
        if found.insert(id.to_owned()) {
            open.extend(needed_by.get(id).into_iter().flatten());
        }
    }
    found
}

/// Says which inputs are others than those that the results come from: nothing is done again for that.
fn note_other_inputs(run: &str, before: &RunSetup, project: &Project, context: &Context) {
    let now = project.inputs.iter();
    for (name, _) in now.filter(|(name, value)| before.inputs.get(*name) != Some(*value)) {
        if !context.output.json {
            let text =
                format!("the input `{name}` is another than in run {run}, whose results are taken");
            context
                .output
                .message(&format!("note: {}\n", one_line(&text)));
        }
    }
}
