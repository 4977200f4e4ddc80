//! `flowhost run PLAN`.

use std::path::Path;
use std::sync::Arc;

use flowhost::ambient::Ambient;
use flowhost::config::{Durability as Configured, OnTelemetryFailure};
use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::host::host;
use flowhost::output::one_line;
use flowhost::plugin::lock;
use flowhost::project::{self, Loaded, Project, Request};
use flowhost::report::problems::{self, Texts};
use flowhost::report::progress::Progress;
use flowhost::report::run::text;
use flowhost::telemetry::{Telemetry, unreached};
use flowhost_engine::PoolConfig;
use flowhost_flow::budget::Currency;
use flowhost_flow::{Exit, FailureClass, Plan};
use flowhost_ledger::Durability;
use flowhost_run::{FactObserver, Finished, Preflight, Run, RunDocument, RunOptions};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{DurabilityArg, LogFormat, PlanArgs, RunArgs};
use crate::commands::{Context, logging};

pub(crate) fn perform(args: &RunArgs, context: &mut Context) -> Result<Exit, Failure> {
    if args.watch {
        return super::dev::watch(args, options(args, context), context);
    }
    let project = checked(&args.plan, context)?;
    note(&project, context);
    if args.dry_run {
        return super::dry_run::perform(&project, context);
    }
    if args.estimate {
        return super::estimate::perform(&project, context);
    }
    logging::start(context, args.log_format);
    let options = options(args, context);
    let plan = project.plan.clone();
    let runtime = runtime()?;
    let finished = runtime.block_on(observed(project, &options, args, context));
    // What telemetry left behind (a name that is looked up) must not hold the process up.
    runtime.shutdown_background();
    let finished = finished?;
    report(&finished, &plan, context);
    Ok(finished.outcome.end.exit)
}

fn options(args: &RunArgs, context: &Context) -> RunOptions {
    RunOptions {
        seed: args.seed,
        durability: durability(args.durability, context.config.durability),
        allow_private_network: args.allow_private_network,
        witness: args
            .witness
            .as_deref()
            .map(|path| context.ambient.resolve(path)),
    }
}

/// Loads the plan that `args` name, remembering every text that was read.
pub(crate) fn load(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    let (project, findings) = read(args, context);
    match project {
        Some(project) if findings.is_empty() => {
            let drift = match args.locked {
                true => lock::drift(&context.ambient, &context.config, &project)?,
                false => Vec::new(),
            };
            match drift.is_empty() {
                true => Ok(project),
                false => Err(failure_of(args, drift, Preflight::default())),
            }
        }
        // What else a run would meet, before it meets it one by one.
        Some(project) => Err(failure_of(args, findings, asked(&project, context)?)),
        None => Err(failure_of(args, findings, Preflight::default())),
    }
}

/// Loads the plan, and refuses what a run of it would be refused: the one question of `validate`,
/// `run --dry-run` and `run`. Exit code 6 where rights are all that is missing.
pub(crate) fn checked(args: &PlanArgs, context: &mut Context) -> Result<Project, Failure> {
    let project = load(args, context)?;
    let found = asked(&project, context)?;
    if found.rights.is_empty() && found.others.is_empty() {
        return Ok(project);
    }
    let only_rights = found.others.is_empty();
    let mut failure = failure_of(args, Vec::new(), found);
    if only_rights {
        failure.exit = Exit::Denied;
        failure = failure.hint("`flowhost policy explain PLAN` shows where each right comes from");
    }
    Err(failure)
}

fn read(args: &PlanArgs, context: &mut Context) -> (Option<Project>, Vec<Finding>) {
    let Context {
        ambient,
        config,
        texts,
        ..
    } = context;
    let Loaded { project, findings } = project::load(ambient, config, &request(args), texts);
    (project, findings)
}

fn asked(project: &Project, context: &Context) -> Result<Preflight, Failure> {
    let home = context.ambient.var("HOME").map(Path::new);
    flowhost_run::preflight(project, home, &context.state)
}

/// What is worth knowing and stops nothing.
fn note(project: &Project, context: &Context) {
    for note in project.notes.iter().filter(|_| !context.output.json) {
        context
            .output
            .message(&format!("note: {}\n", one_line(note)));
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

fn failure_of(args: &PlanArgs, mut findings: Vec<Finding>, found: Preflight) -> Failure {
    findings.extend(found.findings());
    Failure::findings(&format!("`{}`", args.plan.display()), findings)
}

pub(crate) fn durability(typed: Option<DurabilityArg>, configured: Configured) -> Durability {
    match (typed, configured) {
        (Some(DurabilityArg::Durable), _) | (None, Configured::Durable) => Durability::Durable,
        (Some(DurabilityArg::Relaxed), _) | (None, Configured::Relaxed) => Durability::Relaxed,
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
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
    let on_failure = context.config.on_telemetry_failure;
    let halts = on_failure == OnTelemetryFailure::Halt;
    let telemetry = Telemetry::start(args.metrics_listen, &context.ambient, on_failure).await?;
    let address = telemetry.as_ref().and_then(Telemetry::metrics_address);
    if let Some(address) = address {
        let url = format!("http://{address}/metrics");
        context.output.message(&match args.log_format {
            LogFormat::Text => format!("metrics: {url}\n"),
            LogFormat::Json => format!("{}\n", json!({ "message": "metrics", "url": url })),
        });
    }
    let facts = telemetry.as_ref().map(Telemetry::observer);
    let fails = telemetry.as_ref().filter(|_| halts).map(Telemetry::fails);
    let finished = execute(project, options, facts, fails, context).await;
    let trouble = match telemetry {
        Some(telemetry) => telemetry.finish().await,
        None => None,
    };
    match (finished, trouble) {
        // What was left to send when the run had ended well did not arrive: the run's record stands, and
        // the command says that its telemetry does not.
        (Ok(finished), Some(why)) if halts && finished.outcome.end.exit == Exit::Ok => {
            let run = &finished.run;
            let ended = format!("the run itself ended well: flowhost runs show {run}");
            Err(unreached(&why).hint(ended))
        }
        (finished, _) => finished,
    }
}

async fn execute(
    project: Project,
    options: &RunOptions,
    facts: Option<Arc<dyn FactObserver>>,
    fails: Option<impl Future<Output = String> + Send + 'static>,
    context: &Context,
) -> Result<Finished, Failure> {
    let Context {
        ambient,
        config,
        state,
        ..
    } = context;
    let stated = Currency::ALL.iter().zip(project.plan.budget.limits);
    let fuel = stated.filter(|(currency, _)| **currency == Currency::Fuel);
    let budget = fuel.filter_map(|(_, limit)| limit).next().unwrap_or(0);
    let live = context.output.live && !context.output.json;
    let progress = Progress::new(live, project.plan.steps().len(), budget);
    let host = host(ambient, config, state, pool(&project), facts)?;
    let run = host.start(project, options.clone())?;
    tokio::spawn(interrupts(run.clone(), ambient.clone()));
    if let Some(fails) = fails {
        let run = run.clone();
        tokio::spawn(async move {
            let why = fails.await;
            run.halt(&format!("telemetry does not reach the collector: {why}"));
        });
    }
    progress.follow(run.events()).await;
    progress.clear();
    run.outcome().await
}

/// Room for as many guests as this plan can have alive, and no more: each place costs the start of the
/// process a guard page and a stack, used or not. A plugin has at most its limit of instances; two
/// memories each is what most need (a script's engine has its own), and one that needs more takes more
/// places and waits for them. Eight are for those that are called by others.
fn pool(project: &Project) -> PoolConfig {
    let most = PoolConfig::default();
    let alive = project.members.values().map(|member| {
        let instances = member.effective.limits.instances;
        u32::try_from(instances).unwrap_or(u32::MAX)
    });
    let alive = alive.fold(0_u32, u32::saturating_add);
    PoolConfig {
        slots: alive.saturating_mul(2).saturating_add(8).min(most.slots),
        ..most
    }
}

/// The first interrupt asks the run to stop; the second ends the process at once.
async fn interrupts(run: Run, ambient: Ambient) {
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
        run.cancel("interrupted");
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
        C::Conflict => "met a world that is not as it needs it",
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
