//! One run from its first fact to its seal: what is made for it, in which order, and what is undone when it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{LoadedComponent, RunScope};
use flowhost_flow::{Exit, Planner, RunSetup};
use flowhost_ledger::Ledger;
use flowhost_ledger::records::RunStart;
use tracing::Instrument as _;

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::base::lines;
use crate::base::tasks::blocking;
use crate::before::estimate::{self, Estimate};
use crate::calls::channel::Channel;
use crate::calls::desk::{Desk, Greeting};
use crate::calls::driver::{self, status_word};
use crate::earlier::fork::{self, Of};
use crate::earlier::resume::Resumed;
use crate::earlier::reuse::{Earlier, Reuse};
use crate::given::bundle;
use crate::given::options::RunOptions;
use crate::given::project::Project;
use crate::given::redaction::{redaction, seals};
use crate::host::Inner;
use crate::host::handle::Run;
use crate::host::ledgers::{Kept, enter, seal};
use crate::kept::books::Books;
use crate::kept::finished::{Evidence, Finished, First, REPORT, write_report, write_views};
use crate::kept::journal::{Begun, Journal};
use crate::kept::revealed::Revealed;
use crate::kept::stages::{self, Locked};
use crate::meters::purse::Purse;
use crate::plugins::registry::Registry;
use crate::plugins::swap::Swaps;
use crate::plugins::wiring::{self, Ready, Seat};

/// Runs a project to its end.
pub(crate) async fn execute(
    host: &Arc<Inner>,
    project: Project,
    options: &RunOptions,
    fork: Option<Of>,
    started_ms: u64,
    run: &Run,
) -> Result<Finished, Failure> {
    options.work_tree.suffices(&project)?;
    let config = &host.config;
    let state = &config.state;
    let reused = options.reuse.as_deref();
    let forked = match fork {
        Some(of) => {
            let host = host.clone();
            Some(blocking(move || Ok((fork::read(&host, &of)?, of))).await?)
        }
        None => None,
    };
    let parents = forked.as_ref().map(|(parent, _)| parent.fed.setup.seed);
    let seed = match options.seed.or(parents).or(reused.map(Earlier::seed)) {
        Some(seed) => seed,
        None => fresh_seed(host)?,
    };
    for member in project.members.values() {
        config.operator.admits(member)?;
    }
    let hash = wiring::plan_hash(&project)?;
    let prepared = prepare(host, &project, options, options.only.as_deref(), run).await?;
    if let Some(failure) = prepared.estimate.exceeds(&project.plan) {
        return Err(failure);
    }

    let setup = RunSetup {
        run_id: run.id().to_owned(),
        plan_hash: hash.clone(),
        seed,
        inputs: project.inputs.clone(),
        estimates: wiring::estimates(&project),
        components: wiring::components(&project),
        only: options.only.clone(),
    };
    let branch = match forked {
        Some((parent, of)) => {
            let (plan, setup) = (project.plan.clone(), setup.clone());
            let started = flowhost_flow::Time(started_ms);
            let (tenant, agents) = (state.tenant().to_owned(), fork::agents(&project));
            let work = move || fork::branch(&of, parent, plan, setup, started, (&tenant, &agents));
            Some(blocking(work).await?)
        }
        None => None,
    };
    let bundle = bundle::document(&project).map_err(|error| {
        Failure::new(Exit::Internal, "the plan cannot be kept").caused_by(&error)
    })?;
    let bundle = Arc::new(bundle);
    let labels = labels(&project)?;
    let entry = RunStart {
        plan: Some(project.plan.name.clone()),
        plan_hash: Some(hash.clone()),
        labels: Some(labels.clone()),
        spec: project.plan.evidence.as_ref().map(|it| it.spec_id.clone()),
        ..RunStart::default()
    };
    let seals = seals(&project);
    let kept = Kept {
        bundle: bundle.clone(),
        components: bundle::components(&project, state),
        seals,
    };
    let ledger = enter(host, run.id(), entry, kept, options).await?;
    let journal = journal_of(host, &ledger, &project, run.id(), &prepared.revealed);
    let point = branch.as_ref().map(|branch| &branch.point);
    let begun = Begun {
        labels,
        documents: &project.documents,
        options,
        fork: point,
    };
    journal.run_start(&project.plan, &setup, begun)?;
    journal.view(bundle::BUNDLE, &bundle)?;
    journal.estimated(&prepared.estimate)?;
    if let Some(locked) = &prepared.locked {
        locked.told(&journal)?;
    }
    let resumed = match branch {
        Some(branch) => {
            let before = branch.write(&journal, state.tenant())?;
            Some(branch.resumed(before))
        }
        None => None,
    };
    let reuse = match reused {
        Some(earlier) => Some(Arc::new(Reuse::new(host, earlier, &project, seed)?)),
        None => None,
    };
    let work = Conduct {
        project,
        prepared,
        setup,
        hash,
        ledger,
        journal,
        started_ms,
        allow_private_network: options.allow_private_network,
        resumed,
        reuse,
    };
    conduct(host, work, run).await
}

/// What stands before the first record of a run, or of its resumption.
pub(crate) struct Prepared {
    pub(crate) revealed: Arc<Revealed>,
    pub(crate) purse: Arc<Purse>,
    pub(crate) ready: Ready,
    /// The lock of the spec whose evidence its stages leave.
    pub(crate) locked: Option<Locked>,
    pub(crate) components: BTreeMap<String, LoadedComponent>,
    pub(crate) estimate: Estimate,
}

/// Looks at everything that could refuse the run, and compiles. Nothing is on record yet, so that what is refused here
/// leaves nothing behind. `only` is the step that is wanted alone.
pub(crate) async fn prepare(
    host: &Arc<Inner>,
    project: &Project,
    options: &RunOptions,
    only: Option<&str>,
    run: &Run,
) -> Result<Prepared, Failure> {
    let config = &host.config;
    let gateway = config.operator.gateway(project)?;
    let revealed = Arc::new(Revealed::default());
    let purse = Arc::new(Purse::new(wiring::ceiling(&project.plan)));
    let seat = Seat {
        bus: (config.bus)(),
        funds: purse.clone(),
        revealed: revealed.clone(),
        driver: None,
    };
    let ready = Ready::new(project, options, host, &gateway, run, seat)?;
    Ready::preflight(project)?;
    let locked = stages::lock(host, project, run.id())?;
    let components = unless_stopped(run, Ready::load(host, project)).await?;
    let mut estimate = estimate::estimate(project, &gateway, &config.state, &*config.past);
    estimate.of_only(&project.plan, only);
    Ok(Prepared {
        revealed,
        purse,
        ready,
        locked,
        components,
        estimate,
    })
}

/// What a run is conducted with, whether it begins or goes on.
pub(crate) struct Conduct {
    pub(crate) project: Project,
    pub(crate) prepared: Prepared,
    pub(crate) setup: RunSetup,
    pub(crate) hash: String,
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    /// When the run began, in milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
    pub(crate) allow_private_network: bool,
    /// What another process left of it, if it goes on: its planner, and what was open.
    pub(crate) resumed: Option<(Box<dyn Planner>, Resumed)>,
    /// What it takes from an earlier run.
    pub(crate) reuse: Option<Arc<Reuse>>,
}

/// The journal of a run over its ledger.
pub(crate) fn journal_of(
    host: &Inner,
    ledger: &Ledger,
    project: &Project,
    run: &str,
    revealed: &Arc<Revealed>,
) -> Journal {
    let config = &host.config;
    let redacts = redaction(project).payloads;
    let journal = Journal::new(Arc::new(ledger.clone()), config.state.tenant(), redacts);
    let journal = journal
        .keeping_out(revealed.clone())
        .sealing(seals(project));
    journal.observed(run, config.facts.clone())
}

/// From plugins that can be called to the run's end, or to where it is interrupted.
pub(crate) async fn conduct(
    host: &Arc<Inner>,
    work: Conduct,
    run: &Run,
) -> Result<Finished, Failure> {
    let Conduct {
        project,
        prepared,
        setup,
        hash,
        ledger,
        journal,
        started_ms,
        allow_private_network,
        resumed,
        reuse,
    } = work;
    let Prepared {
        revealed,
        purse,
        ready,
        locked,
        components,
        estimate,
    } = prepared;
    let (state, tenant) = (&host.config.state, host.config.state.tenant());
    let (seed, goes_on) = (setup.seed, resumed.is_some());
    let past = resumed.as_ref().map(|(_, resumed)| &resumed.past);
    let books = Books::open(&journal, &project.plan, &purse, past);
    let recording = books.recording.clone();
    let seeded = wiring::seed_of(seed);
    let scope = ready.scope(
        tenant,
        run.id(),
        seeded,
        started_ms,
        recording.clone(),
        books.own_calls.clone(),
    );
    let desk = Arc::new(Desk {
        scope: scope.clone(),
        channel: Channel::of(&scope, books.before),
        greeting: Greeting {
            plan_hash: hash.clone(),
            seed: hex::encode(seeded),
            started_ms,
            allow_private_network,
            before: books.before,
            own_calls: books.counted,
            estimate: estimate.id(),
        },
        recording: recording.clone(),
        purse: purse.clone(),
        secrets: ready.secrets(),
        revealed: revealed.clone(),
    });
    let installed = ready.install(host, &project, components, &scope, Some(&journal));
    let registry = match installed.await {
        Ok(registry) => registry,
        Err(failure) => {
            end_all(&scope).await;
            // A run that went on is as it was before: whatever is wrong now may be put right.
            let status = match goes_on {
                true => journal.run_refused_again(&failure)?,
                false => journal.run_refused(&failure)?,
            };
            seal(host, &ledger, run.id(), status).await?;
            return Err(revealed.clean_failure(failure));
        }
    };
    registry.origins.set_estimate(&estimate.id());
    run.swappable(Swaps {
        host: host.clone(),
        journal: journal.clone(),
        scope: scope.clone(),
        plugins: registry.plugins.clone(),
        turn: tokio::sync::Mutex::default(),
    });
    run.started();
    let context = lines::run_context(tenant, run.id(), &hash);
    let (plugins, parting) = (registry.plugins.clone(), scope.clone());
    let drive = driver::Drive {
        plan: project.plan.clone(),
        setup,
        scope,
        journal: journal.clone(),
        registry,
        purse,
        recording,
        workers: host.config.workers,
        desk,
        world: host.config.world.clone(),
        stages: locked.map(|locked| locked.of(host, &ledger, run.id())),
        resumed,
        reuse,
    };
    let driven = driver::drive(drive, run).instrument(context).await;
    disconnect(&plugins, &parting).await;
    end_all(&parting).await;
    let mut outcome = driven.map_err(|failure| revealed.clean_failure(failure))?;
    outcome.keep_out(&revealed);
    if redaction(&project).payloads {
        outcome.redact();
    }
    books.close(&outcome, || journal.varied(&estimate, &outcome))?;
    let run_dir = state.run_dir(run.id());
    let mut finished = Finished {
        run: run.id().to_owned(),
        plan_hash: hash,
        seed,
        outcome,
        estimate,
        evidence: Evidence {
            report: run_dir.join(REPORT),
            report_html: host.config.views.page().map(|page| run_dir.join(page)),
            run_dir,
            sealed: None,
        },
    };
    let first = match goes_on {
        true => First::Record,
        false => First::View,
    };
    write_report(host, &finished, (&journal, &ledger), first).await?;
    write_views(host, &finished, (&journal, &ledger), first).await?;
    let status = status_word(&finished.outcome);
    let sealed = seal(host, &ledger, &finished.run, status).await?;
    finished.evidence.sealed = Some(sealed);
    Ok(finished)
}

/// Longest wait for MCP servers that are told that the run is over, all together: the run has its result,
/// and a server that does not answer must not keep it from being reported.
const PARTING_MAX: Duration = Duration::from_secs(10);

/// Ends what providers hold for the run: the ends of processes are on record before it is sealed.
pub(crate) async fn end_all(scope: &RunScope) {
    for provider in scope.providers.iter() {
        provider.end().await;
    }
}

/// Ends the conversations with MCP servers.
async fn disconnect(plugins: &Registry, scope: &RunScope) {
    let all = plugins.all();
    let told = futures::future::join_all(all.iter().map(|plugin| plugin.disconnect(scope)));
    if tokio::time::timeout(PARTING_MAX, told).await.is_err() {
        tracing::warn!("an MCP server did not answer at the end of the run");
    }
}

/// What comes before the run exists, given up at once when the person wants to stop: whatever is being
/// compiled ends with it. An interrupt that comes later finds a ledger and is a fact of the run.
pub(crate) async fn unless_stopped<T>(
    run: &Run,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let interrupted = async {
        tokio::select! {
            _reason = run.asked_to_stop() => Exit::Interrupted,
            exit = run.asked_to_pause() => exit,
        }
    };
    tokio::select! {
        biased;
        exit = interrupted => Err(Failure::new(exit, "interrupted before the run began")
        .because("its components were being compiled")
        .hint("nothing has run and nothing was recorded; run the plan again")),
        done = work => done,
    }
}

/// The plan's labels on these inputs.
fn labels(project: &Project) -> Result<BTreeMap<String, String>, Failure> {
    project
        .plan
        .render_labels(&project.inputs)
        .map_err(|problems| {
            let findings = problems.into_iter().map(Finding::from).collect();
            Failure::findings("the plan", findings)
        })
}

/// A seed that nobody chose: 53 bits, so that any reader of JSON can read it back, and none that a plan that redacts
/// would take for the number of a payment card (one in a hundred is): its run could not be gone on with.
fn fresh_seed(host: &Inner) -> Result<u64, Failure> {
    loop {
        let seed = u64::from_be_bytes(host.entropy()?) >> 11;
        if matches!(flowhost_detect::redact(&seed.to_string()), Cow::Borrowed(_)) {
            return Ok(seed);
        }
    }
}
