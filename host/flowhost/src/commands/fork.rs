//! `flowhost runs fork RUN --at STEP`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use flowhost::failure::Failure;
use flowhost::kept::Kept;
use flowhost::project::{self, Given, Loaded, Request};
use flowhost::worktree;
use flowhost_flow::plan::InputType;
use flowhost_flow::{Exit, Plan};
use flowhost_run::{Kept as _, RunOptions, WorkTree};
use flowhost_words::shell_word;
use serde_json::{Map, Value};

use crate::cli::ForkArgs;
use crate::commands::replay::{component, replaced, sound};
use crate::commands::{Context, resume, run, running};

pub(crate) fn perform(args: &ForkArgs, context: &mut Context) -> Result<Exit, Failure> {
    let parent = resume::found(&args.run, context)?;
    let cannot = |failure: Failure| Failure {
        message: format!("run {parent} cannot be forked"),
        ..failure.named("RUN", &parent)
    };
    let kept = Kept::new(
        &context.ambient,
        &context.config,
        &context.state,
        BTreeMap::new(),
    );
    let dir = context.state.run_dir(&parent);
    let inputs = kept.setup(&dir).map_err(cannot)?.inputs;
    let before = kept.project(&dir, &inputs).map_err(cannot)?;
    let typed = typed(&args.inputs, &before.plan, context);
    let loaded = match &args.plan {
        None => kept.forked(&dir, inputs, &typed).map_err(cannot)?,
        Some(plan) => other(plan, inputs, typed, context),
    };
    let mut project = sound(loaded, "the plan")?;
    for (name, path) in &args.plugins {
        let path = context.ambient.resolve(Path::new(path));
        let component = component(name, &path, context)?;
        let member = replaced(&project, name, &path, component)?;
        project.members.insert(name.clone(), member);
    }
    let work_tree = match args.plan {
        // The plan is the kept one: what git says of this folder says nothing of it.
        None => WorkTree::Apart,
        Some(_) => worktree::look(&context.ambient, &project, false)?,
    };
    let options = RunOptions {
        durability: run::durability(None, context.config.durability),
        allow_private_network: args.running.keys.allow_private_network,
        allow_process: args.running.keys.allow_process,
        witness: run::witness(&args.running, context),
        work_tree,
        command: Some(context.state.told(&command(&parent, args))),
        ..RunOptions::default()
    };
    let (begun, kept) = (project.clone(), Arc::new(kept));
    running::perform(&project, &args.running, context, |host| {
        host.fork(begun, &parent, &args.at, kept, options)
    })
}

/// What was typed, without second keys and how it goes on.
fn command(parent: &str, args: &ForkArgs) -> String {
    let mut words = vec![format!("flowhost runs fork {parent} --at")];
    words.push(shell_word(&args.at));
    if let Some(plan) = &args.plan {
        words.push("--plan".to_owned());
        words.push(shell_word(&plan.display().to_string()));
    }
    let plugins = args.plugins.iter().map(|it| ("--plugin", it));
    let inputs = args.inputs.iter().map(|it| ("--input", it));
    for (option, (name, value)) in plugins.chain(inputs) {
        words.push(option.to_owned());
        words.push(shell_word(&format!("{name}={value}")));
    }
    words.join(" ")
}

/// The inputs that a person gives. A path is theirs, from where they are, and the run's plan may lie elsewhere.
fn typed(inputs: &[(String, String)], plan: &Plan, context: &Context) -> Vec<(String, String)> {
    let typed = inputs.iter().map(|(name, value)| {
        let decl = plan.inputs.get(name);
        let is_path = decl.is_some_and(|it| matches!(it.ty, InputType::File | InputType::Dir));
        let value = match is_path {
            true => context
                .ambient
                .resolve(Path::new(value))
                .display()
                .to_string(),
            false => value.clone(),
        };
        (name.clone(), value)
    });
    typed.collect()
}

fn other(
    plan: &Path,
    inputs: Map<String, Value>,
    typed: Vec<(String, String)>,
    context: &mut Context,
) -> Loaded {
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let request = Request {
        plan: plan.to_owned(),
        inputs: typed,
        given: Given::Forked(inputs),
        ..Request::default()
    };
    project::load(ambient, config, &request, texts)
}
