//! `flowhost run PLAN`.

use std::sync::Arc;

use flowhost::ambient::Ambient;
use flowhost::config::Durability as Configured;
use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::project::{self, Loaded, Project, Request};
use flowhost::report::problems::{self, Texts};
use flowhost::report::progress::Progress;
use flowhost::report::run::{RunDocument, text};
use flowhost::run::{self, FactObserver, Finished, RunOptions, Surroundings};
use flowhost::telemetry::Telemetry;
use flowhost_flow::budget::Currency;
use flowhost_flow::{Exit, FailureClass, Plan};
use flowhost_ledger::Durability;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

use crate::cli::{DurabilityArg, LogFormat, PlanArgs, RunArgs};
use crate::commands::{Context, logging};

pub(crate) fn perform(args: &RunArgs, context: &mut Context) -> Result<Exit, Failure> {
    let project = load(&args.plan, context)?;
    if args.dry_run {
        return super::dry_run::perform(&project, context);
    }
    if args.estimate {
        return super::estimate::perform(&project, context);
    }
    logging::start(context, args.log_format);
    let options = RunOptions {
        seed: args.seed,
        durability: durability(args.durability, context.config.durability),
        allow_private_network: args.allow_private_network,
        witness: args
            .witness
            .as_deref()
            .map(|path| context.ambient.resolve(path)),
    };
    let plan = project.plan.clone();
    let runtime = runtime()?;
    let finished = runtime.block_on(observed(project, &options, args, context));
    // What telemetry left behind (a name that is looked up) must not hold the process up.
    runtime.shutdown_background();
    let finished = finished?;
    report(&finished, &plan, context);
    Ok(finished.outcome.end.exit)
}

/// Loads the plan that `args` name, remembering every text that was read.
pub(crate) fn load(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    let request = request(args);
    let Context {
        ambient,
        config,
        texts,
        state,
        ..
    } = context;
    let Loaded {
        project,
        mut findings,
    } = project::load(ambient, config, &request, texts);
    match project {
        Some(project) if findings.is_empty() => return Ok(project),
        // What else a run would meet, before it meets it one by one.
        Some(project) => {
            findings.extend(run::missing_rights(&project).findings(&project));
            findings.extend(run::missing_folders(&project, ambient, state)?);
        }
        None => {}
    }
    Err(failure_of(&request, findings))
}

pub(crate) fn request(args: &PlanArgs) -> Request {
    Request {
        plan: args.plan.clone(),
        inputs: args.inputs.clone(),
        policies: args.policies.clone(),
    }
}

fn failure_of(request: &Request, found: Vec<Finding>) -> Failure {
    Failure::findings(&format!("`{}`", request.plan.display()), found)
}

fn durability(typed: Option<DurabilityArg>, configured: Configured) -> Durability {
    match (typed, configured) {
        (Some(DurabilityArg::Durable), _) | (None, Configured::Durable) => Durability::Durable,
        (Some(DurabilityArg::Relaxed), _) | (None, Configured::Relaxed) => Durability::Relaxed,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(Exit::Internal, "the runtime cannot be started").because(error.to_string())
        })
}

/// Runs the project with telemetry beside it.
async fn observed(
    project: Project,
    options: &RunOptions,
    args: &RunArgs,
    context: &Context,
) -> Result<Finished, Failure> {
    let telemetry = Telemetry::start(args.metrics_listen, &context.ambient).await?;
    let address = telemetry.as_ref().and_then(Telemetry::metrics_address);
    if let Some(address) = address {
        let url = format!("http://{address}/metrics");
        context.output.message(&match args.log_format {
            LogFormat::Text => format!("metrics: {url}\n"),
            LogFormat::Json => format!("{}\n", json!({ "message": "metrics", "url": url })),
        });
    }
    let facts = telemetry.as_ref().map(Telemetry::observer);
    let finished = execute(project, options, facts, context).await;
    if let Some(telemetry) = telemetry {
        telemetry.finish().await;
    }
    finished
}

async fn execute(
    project: Project,
    options: &RunOptions,
    facts: Option<Arc<dyn FactObserver>>,
    context: &Context,
) -> Result<Finished, Failure> {
    let stop = Arc::new(Notify::new());
    tokio::spawn(interrupts(stop.clone(), context.ambient.clone()));
    let stated = Currency::ALL.iter().zip(project.plan.budget.limits);
    let fuel = stated.filter(|(currency, _)| **currency == Currency::Fuel);
    let budget = fuel.filter_map(|(_, limit)| limit).next().unwrap_or(0);
    let live = context.output.live && !context.output.json;
    let progress = Arc::new(Progress::new(live, project.plan.steps.len(), budget));
    let around = Surroundings {
        ambient: &context.ambient,
        config: &context.config,
        state: &context.state,
        stop,
        observer: progress.clone(),
        facts,
    };
    let finished = run::execute(project, options, &around).await;
    progress.clear();
    finished
}

/// The first interrupt asks the run to stop; the second ends the process at once.
async fn interrupts(stop: Arc<Notify>, ambient: Ambient) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    // `nohup` ignores hang-ups for us, and a handler would undo that.
    let mut hangup = match ambient.hangup_is_ignored() {
        true => None,
        false => signal(SignalKind::hangup()).ok(),
    };
    let mut asked = false;
    loop {
        let hung_up = async {
            match &mut hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            // A terminal that closes may say so twice, from the shell and from the kernel; nobody is
            // there who asks for haste.
            _ = hung_up => {
                hangup = None;
                if asked {
                    continue;
                }
            }
        }
        if asked {
            ambient.exit(Exit::Interrupted.code());
        }
        asked = true;
        stop.notify_one();
    }
}

/// What failed and how, in a sentence: `step `a` was denied`.
fn headline(failure: &flowhost_flow::Failure) -> String {
    use FailureClass as C;
    let what = match failure.class {
        C::Denied => "was denied",
        C::Timeout => "took too long",
        C::Limit => "reached a limit",
        C::Budget => "went over the budget",
        C::Guardrail => "was stopped by a guardrail",
        C::Check => "did not hold what its checks ask",
        C::Cancelled => "was cancelled",
        C::Invalid => "was given what it does not take",
        C::Output => "answered what its schema does not allow",
        _ => "failed",
    };
    if failure.step.is_empty() {
        format!("the run {what}")
    } else {
        format!("step `{}` {what}", failure.step)
    }
}

fn report(finished: &Finished, plan: &Plan, context: &Context) {
    let output = &context.output;
    if output.json {
        return output.document(&RunDocument::from(finished));
    }
    output.result(&text(output, finished, plan));
    let Some(failure) = &finished.outcome.end.failure else {
        return;
    };
    let shown = Failure::new(finished.outcome.end.exit, headline(failure))
        .because(failure.message.clone())
        .hint(failure.hint.clone());
    problems::print(output, &shown, &Texts::default());
}
