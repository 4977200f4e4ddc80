//! A run while it goes on in this process, whether it begins or is resumed: telemetry beside it, progress
//! before it, signals behind it, and the report of how it ended.

use std::sync::Arc;
use std::time::Duration;

use flowhost::ambient::Ambient;
use flowhost::config::OnTelemetryFailure;
use flowhost::failure::Failure;
use flowhost::host::host;
use flowhost::project::Project;
use flowhost::report::problems::{self, Texts};
use flowhost::report::progress::Progress;
use flowhost::report::run::{own_first, text};
use flowhost::telemetry::{self, Telemetry, unreached};
use flowhost_engine::PoolConfig;
use flowhost_flow::budget::Currency;
use flowhost_flow::plan::Work;
use flowhost_flow::{Exit, FailureClass, Plan, RunStatus};
use flowhost_run::{FactObserver, Finished, Host, Run, RunDocument};
use serde_json::json;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{LogFormat, RunningArgs};
use crate::commands::{Context, logging};
use crate::give_back::give_back;

/// Performs a run of `project` that `start` begins or goes on with, and reports how it ended.
pub(crate) fn perform(
    project: &Project,
    args: &RunningArgs,
    context: &Context,
    start: impl FnOnce(&Host) -> Result<Run, Failure>,
) -> Result<Exit, Failure> {
    let finished = told(project, args, None, context, start)?;
    Ok(finished.outcome.end.exit)
}

/// As [`perform`], with a warning that is none of the run's own; gives what was told of the run, for who has more to tell.
pub(super) fn told(
    project: &Project,
    args: &RunningArgs,
    warning: Option<String>,
    context: &Context,
    start: impl FnOnce(&Host) -> Result<Run, Failure>,
) -> Result<Finished, Failure> {
    logging::start(context, args.log_format);
    // Exporters work beside the run, and would take its only thread away.
    let watched = telemetry::is_wanted(args.metrics_listen, &context.ambient);
    let runtime = match project.plan.goes_one_by_one() {
        true => runtime_of_one()?,
        false => runtime()?,
    };
    let beside = match watched {
        true => Some(runtime_of_one()?),
        false => None,
    };
    let own = beside.as_ref().map(Runtime::handle);
    let finished = runtime.block_on(observed(project, args, own, context, start));
    // What telemetry left behind (a name that is looked up) must not hold the process up.
    for runtime in beside.into_iter().chain([runtime]) {
        runtime.shutdown_background();
    }
    let mut finished = finished?;
    // After the run's own report was written: it is of this command, and stands in no record.
    finished.outcome.warnings.extend(warning);
    if finished.outcome.end.exit == Exit::Ok {
        flowhost::firsts::green(&context.ambient);
    }
    report(&finished, &project.plan, context);
    Ok(finished)
}

/// Threads for a plan whose steps go one by one, and for its telemetry. Two would hand each step over to one another, or each
/// span, and waking a processor that sleeps takes as long as the step.
const ONE: usize = 1;

/// How long a thread that waits for the disk stays when there is nothing to wait for. One is made within a fraction of a
/// millisecond, and each keeps memory until it ends; the burst that needed them all may never come again.
const IDLE: Duration = Duration::from_secs(2);

pub(super) fn runtime() -> Result<Runtime, Failure> {
    runtime_of(None)
}

/// A runtime of one thread.
pub(super) fn runtime_of_one() -> Result<Runtime, Failure> {
    runtime_of(Some(ONE))
}

fn runtime_of(threads: Option<usize>) -> Result<Runtime, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(threads);
    }
    builder.on_thread_park(give_back).thread_keep_alive(IDLE);
    builder.enable_all().build().map_err(|error| {
        Failure::new(Exit::Internal, "the runtime cannot be started").because(error.to_string())
    })
}

/// Runs the project with telemetry beside it, on a runtime of its own where somebody wants to be told of the run.
async fn observed(
    project: &Project,
    args: &RunningArgs,
    beside: Option<&Handle>,
    context: &Context,
    start: impl FnOnce(&Host) -> Result<Run, Failure>,
) -> Result<Finished, Failure> {
    let on_failure = context.config.on_telemetry_failure;
    let halts = on_failure == OnTelemetryFailure::Halt;
    let (listen, ambient) = (args.metrics_listen, &context.ambient);
    let telemetry = match beside {
        Some(beside) => Telemetry::start(listen, ambient, on_failure, beside).await?,
        None => None,
    };
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
    let finished = execute(project, facts, fails, context, start).await;
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
    project: &Project,
    facts: Option<Arc<dyn FactObserver>>,
    fails: Option<impl Future<Output = String> + Send + 'static>,
    context: &Context,
    start: impl FnOnce(&Host) -> Result<Run, Failure>,
) -> Result<Finished, Failure> {
    let Context {
        ambient,
        config,
        state,
        ..
    } = context;
    let fuel = Currency::ALL
        .iter()
        .zip(project.plan.budget.limits)
        .filter(|(currency, _)| **currency == Currency::Fuel);
    let budget = fuel.filter_map(|(_, limit)| limit).next().unwrap_or(0);
    let live = context.output.live && !context.output.json;
    let host = host(ambient, config, state, pool(project), facts)?;
    // Before anything begins: a signal that comes first would end the process as it does by default.
    let signals = Signals::heard(ambient);
    let run = start(&host)?;
    tokio::spawn(interrupts(run.clone(), signals, ambient.clone()));
    if let Some(fails) = fails {
        let run = run.clone();
        // Told once, and then the run's: it ends as a failed run does, with its record.
        tokio::spawn(async move {
            let why = fails.await;
            run.halt(&format!("telemetry does not reach the collector: {why}"));
        });
    }
    let events = run.events();
    if live {
        let progress = Progress::new(project.plan.steps().len(), budget);
        progress.follow(events).await;
        progress.clear();
    } else {
        // Nobody reads them: they are not made, and this thread is not woken for each.
        drop(events);
    }
    run.outcome().await
}

/// Room for as many guests as this plan can have alive, and no more: each place costs the start of the
/// process a guard page and a stack, used or not. A plugin has at most its limit of instances; two
/// memories each is what most need (a script's engine has its own), and one that needs more takes more
/// places and waits for them. Eight are for those that are called by others.
pub(super) fn pool(project: &Project) -> PoolConfig {
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

/// The signals that end a command, heard from when this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `nohup` ignores hang-ups for us, and a handler would undo that.
    hangup: Option<Signal>,
}

impl Signals {
    /// None where the system gives no handlers: a signal ends the process then, as it does by default.
    pub(super) fn heard(ambient: &Ambient) -> Option<Self> {
        Some(Self {
            interrupt: signal(SignalKind::interrupt()).ok()?,
            terminate: signal(SignalKind::terminate()).ok()?,
            hangup: match ambient.hangup_is_ignored() {
                true => None,
                false => signal(SignalKind::hangup()).ok(),
            },
        })
    }

    /// Waits for the next one, and gives the exit that says which it was.
    pub(super) async fn next(&mut self) -> Exit {
        let Self {
            interrupt,
            terminate,
            hangup,
        } = self;
        let hung_up = async move {
            match hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = interrupt.recv() => Exit::Interrupted,
            _ = terminate.recv() => Exit::Terminated,
            _ = hung_up => Exit::HungUp,
        }
    }

    /// Ends the process at once at the next one, for who has asked before.
    pub(super) async fn insisted(mut self, ambient: Ambient) {
        loop {
            match self.next().await {
                // A terminal that closes may say so twice, from the shell and from the kernel; nobody is there who asks
                // for haste.
                Exit::HungUp => {}
                exit => ambient.exit(exit.code()),
            }
        }
    }
}

/// What the first signal asks of the run: an interrupt to end, the others to let go of this process, so that
/// another can go on with it. The second signal ends the process at once.
pub(super) async fn interrupts(run: Run, signals: Option<Signals>, ambient: Ambient) {
    // Without handlers a signal ends the process, and nobody has to hear of it.
    let Some(mut signals) = signals else {
        return;
    };
    match signals.next().await {
        Exit::Interrupted => run.cancel("interrupted"),
        exit => run.pause(exit),
    }
    signals.insisted(ambient).await;
}

/// What failed and how, in a sentence: `step `a` was denied`.
fn headline(failure: &flowhost_flow::Failure, status: RunStatus) -> String {
    use FailureClass as C;
    let what = match failure.class {
        _ if status == RunStatus::Interrupted => "was interrupted, and can go on",
        // A person's, or another program's: for which, the reason says.
        _ if status == RunStatus::Waiting => "waits for a word",
        C::Denied => "was denied",
        C::Timeout => "took too long",
        C::Limit => "reached a limit",
        C::Budget => "went over the budget",
        C::Guardrail => "was stopped by a guardrail",
        C::Rejected => "was rejected",
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

/// Where the plan says what a step is given: the component that refused it is seldom what is wrong. None for a step
/// that calls no plugin.
fn where_given(path: &str, plan: &Plan) -> Option<String> {
    let mut plan = plan;
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let (id, rest) = part.split_once(['[', '#']).unwrap_or((part, ""));
        let step = plan.step(id)?;
        match &step.work {
            Work::Plan { reference } if parts.peek().is_some() => {
                plan = plan.sub_plan(reference)?.as_ref();
            }
            Work::Call { .. } => {
                let place = |part: &str| {
                    let at = step.place(part);
                    format!("{}:{}:{}", plan.file, at.line, at.column)
                };
                let with = place("/with");
                let item = rest.trim_end_matches(']').parse::<usize>().ok();
                let item = item.filter(|_| step.foreach.is_some());
                return Some(match item {
                    None => format!("what it is given stands in its `with` ({with})"),
                    Some(index) => format!(
                        "what does not fit comes from item {} of its `items` ({}), of which `with` ({with}) makes the \
                         input",
                        index + 1,
                        place(&format!("/foreach/items/{index}"))
                    ),
                });
            }
            _ => return None,
        }
    }
    None
}

fn report(finished: &Finished, plan: &Plan, context: &Context) {
    let output = &context.output;
    if output.json {
        return output.document(&RunDocument::from(finished).told(&context.state));
    }
    output.result(&text(output, finished, plan, &context.state));
    // The run succeeded: what it gave stands above.
    let Some(failure) = &finished.outcome.end.failure else {
        return;
    };
    let mut shown = Failure::new(
        finished.outcome.end.exit,
        headline(failure, finished.outcome.end.status),
    )
    .because(failure.message.clone())
    .hint(failure.hint.clone());
    // Where nobody who was nearer knows better.
    if failure.class == FailureClass::Invalid && failure.hint.is_empty() {
        shown = shown.hint(where_given(&failure.step, plan).unwrap_or_default());
    }
    if failure.class == FailureClass::Denied {
        let denials = finished.outcome.denials.iter();
        let own = denials.filter_map(|denial| own_first(denial, plan, &finished.run));
        shown = own.fold(shown, Failure::hint);
    }
    // The planner that wrote its hint knows neither.
    let mut shown = shown
        .named("RUN", &finished.run)
        .named("STEP", &failure.step);
    for hint in &mut shown.hints {
        *hint = context.state.told(hint);
    }
    problems::print(output, &shown, &Texts::default());
}
