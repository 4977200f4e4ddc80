//! Runs of one plan in one host, one after the other, for commands that learn something from many of them.
//!
//! Each is a run like any other: it has its ledger, can be looked at and verified. What is learned of them is the command's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::host::host;
use flowhost::project::{self, Given, Project, Request};
use flowhost_flow::plan::{NO_VARIANT, VARIANT};
use flowhost_flow::{Exit, Plan};
use flowhost_run::{Finished, Host, RunOptions};
use flowhost_words::nearest;
use tokio::runtime::Runtime;

use crate::cli::{LogFormat, PlanArgs};
use crate::commands::replay::sound;
use crate::commands::{Context, logging, run, running};

/// A host for runs of one plan.
pub(super) struct Trials {
    runtime: Runtime,
    host: Host,
    seed: Option<u64>,
    /// A signal between two runs must not be lost: no run hears it.
    stopped: Arc<AtomicBool>,
}

impl Trials {
    /// With room for the guests of this project.
    ///
    /// # Errors
    /// When the engine or a key of the host's cannot be used.
    pub(super) fn new(
        project: &Project,
        seed: Option<u64>,
        context: &Context,
    ) -> Result<Self, Failure> {
        logging::start(context, LogFormat::Text);
        let runtime = running::runtime()?;
        let (ambient, config, state) = (&context.ambient, &context.config, &context.state);
        let room = running::pool(project);
        let host = runtime.block_on(async { host(ambient, config, state, room, None) })?;
        let stopped = Arc::new(AtomicBool::new(false));
        let told = stopped.clone();
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                // A flag, and nothing else to be seen with it.
                told.store(true, Ordering::Relaxed);
            }
        });
        Ok(Self {
            runtime,
            host,
            seed,
            stopped,
        })
    }

    /// Runs the project to its end, whatever that is.
    ///
    /// # Errors
    /// When it cannot begin, or somebody interrupted it.
    pub(super) fn run(&self, project: Project, context: &Context) -> Result<Finished, Failure> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(interrupted(Exit::Interrupted));
        }
        let options = RunOptions {
            seed: self.seed,
            // As any run: what is learned of them stands on their ledgers.
            durability: run::durability(None, context.config.durability),
            ..RunOptions::default()
        };
        let finished = self.runtime.block_on(async {
            let signals = running::Signals::heard(&context.ambient);
            let run = self.host.start(project, options)?;
            let ambient = context.ambient.clone();
            let signals = tokio::spawn(running::interrupts(run.clone(), signals, ambient));
            let finished = run.outcome().await;
            // They belong to this run: the next one has its own, and two would both take the second signal.
            signals.abort();
            finished
        })?;
        match finished.outcome.end.exit {
            exit @ (Exit::Interrupted | Exit::Terminated | Exit::HungUp) => Err(interrupted(exit)),
            _ => Ok(finished),
        }
    }

    /// Lets go of the host without waiting for what it left behind.
    pub(super) fn end(self) {
        drop(self.host);
        self.runtime.shutdown_background();
    }
}

fn interrupted(exit: Exit) -> Failure {
    Failure::new(exit, "the command was interrupted")
        .hint("`flowhost runs list` shows the runs that had ended")
}

/// The plan with what its files say, before each run gives it the inputs that are missing.
///
/// # Errors
/// When something else is wrong with it.
pub(super) fn survey(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    let request = Request {
        given: Given::Later,
        ..run::request(args)
    };
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let loaded = project::load(ambient, config, &request, texts);
    sound(loaded, &format!("`{}`", args.plan.display()))
}

/// The plan's arguments for one run.
pub(super) fn with_inputs(args: &PlanArgs, variant: &str, more: &[(String, String)]) -> PlanArgs {
    let mut inputs = args.inputs.clone();
    inputs.extend_from_slice(more);
    if variant != NO_VARIANT {
        inputs.push((VARIANT.to_owned(), variant.to_owned()));
    }
    PlanArgs {
        plan: args.plan.clone(),
        inputs,
        policies: args.policies.clone(),
        locked: args.locked,
    }
}

/// The variants that are meant: those that were named, else all of the plan's, else the plan as it is.
///
/// # Errors
/// When one that was named is not the plan's.
pub(super) fn variants(plan: &Plan, named: &[String]) -> Result<Vec<String>, Failure> {
    let known = || plan.variants.keys().map(String::as_str).chain([NO_VARIANT]);
    let mut findings = Vec::new();
    for name in named {
        if !known().any(|it| it == name) {
            let near = nearest(name, known()).map(|it| format!("did you mean `{it}`?"));
            let all: Vec<&str> = known().collect();
            let cure = near.unwrap_or_else(|| format!("its variants: {}", all.join(", ")));
            let message = format!("the plan has no variant `{name}`");
            findings.push(Finding::new(&plan.file, message).cure(cure));
        }
    }
    if !findings.is_empty() {
        return Err(Failure::findings("`--variant`", findings));
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    Ok(match plan.variants.is_empty() {
        true => vec![NO_VARIANT.to_owned()],
        false => plan.variants.keys().cloned().collect(),
    })
}
