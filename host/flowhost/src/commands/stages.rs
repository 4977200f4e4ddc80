//! `run --from STAGE` and `run --only STAGE`: which step is meant, and which run has what comes before it.
//!
//! What an earlier stage gave is the recorded run's, taken as a fork takes it (ADR 0027): by reference, in
//! full, and checked by `verify`. Must never take anything of another spec's run, whatever its plan is called.

use flowhost::failure::Failure;
use flowhost::kept::Kept;
use flowhost::output::one_line;
use flowhost::project::Project;
use flowhost::report::problems::unreadable;
use flowhost_evidence::runs;
use flowhost_flow::plan::{Body, Step};
use flowhost_flow::{Exit, Plan};

use crate::cli::StageArgs;
use crate::commands::Context;

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
            let run = earlier(project, &step.id, context)?;
            note_other_inputs(&run, project, kept, context)?;
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

/// The newest run of the plan that is not at work.
fn earlier(project: &Project, step: &str, context: &Context) -> Result<String, Failure> {
    super::settle(context);
    let spec = project.plan.evidence.as_ref().map(|it| &it.spec_id);
    let all = runs::list(context.state.root(), context.state.tenant()).map_err(unreadable)?;
    let newest = all.into_iter().rev().find(|run| {
        let same = run.plan == project.plan.name && run.spec.as_ref() == spec;
        same && run.removed.is_none() && run.status != runs::UNFINISHED
    });
    newest.map(|run| run.run_id).ok_or_else(|| {
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

/// Says which inputs are others than those that the results come from: nothing is done again for that.
fn note_other_inputs(
    run: &str,
    project: &Project,
    kept: &Kept,
    context: &Context,
) -> Result<(), Failure> {
    let before = kept.setup(&context.state.run_dir(run))?.inputs;
    let now = project.inputs.iter();
    for (name, _) in now.filter(|(name, value)| before.get(*name) != Some(*value)) {
        if !context.output.json {
            let text =
                format!("the input `{name}` is another than in run {run}, whose results are taken");
            context
                .output
                .message(&format!("note: {}\n", one_line(&text)));
        }
    }
    Ok(())
}
