//! One run from its first fact to its seal: what is made for it, in which order, and what is undone when it ends.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{LoadedComponent, RunScope};
use flowhost_flow::{Exit, Planner, RunSetup, RunStatus, Time};
use flowhost_ledger::Ledger;
use tracing::Instrument as _;

use crate::base::failure::Failure;
use crate::base::lines;
use crate::base::tasks::blocking;
use crate::before::estimate::{self, Estimate};
use crate::before::offers;
use crate::before::preflight::Preflight;
use crate::before::reached;
use crate::calls::afresh::afresh;
use crate::calls::channel::Channel;
use crate::calls::desk::{Desk, Greeting};
use crate::calls::driver::{self, bus_failure, status_word};
use crate::earlier::fork::{self, Branch, Of, Parent};
use crate::earlier::resume::Resumed;
use crate::earlier::reuse::{Earlier, Reuse};
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::given::redaction::{redaction, seals};
use crate::host::handle::Run;
use crate::host::ledgers::seal;
use crate::host::opening::Opening;
use crate::kept::books::Books;
use crate::kept::finished::{Evidence, Finished, First, write_report, write_views};
use crate::kept::journal::Journal;
use crate::kept::page::{Follower, plan_of};
use crate::kept::revealed::Revealed;
use crate::kept::stages::{self, Locked};
use crate::meters::purse::Purse;
use crate::plugins::registry::Registry;
use crate::plugins::swap::Swaps;
use crate::plugins::wiring::{self, Ready, Seat};

/// Runs a project to its end.
pub(crate) async fn execute(
    host: &Arc<Process>,
    project: Project,
    options: &RunOptions,
    fork: Option<Of>,
    started_ms: u64,
    run: &Run,
) -> Result<Finished, Failure> {
    options.suit(&project, fork.is_some())?;
    let forked = match fork {
        Some(of) => {
            let host = host.clone();
            Some(blocking(move || Ok((fork::read(&host, &of)?, of))).await?)
        }
        None => None,
    };
    if let Some((parent, of)) = &forked {
        parent.has_keys(&project, options, of)?;
    }
    let parent = forked.as_ref().map(|(parent, _)| parent);
    let seed = chosen_seed(host, options, parent)?;
    // Whom the operator does not believe is not even compiled.
    for member in project.members.values() {
        host.config.operator.admits(member)?;
    }
    let channel = Channel::named((host.config.state.tenant(), run.id()), started_ms, 0);
    let only = options.only.as_deref();
    // Neither needs the other, and of a long plan each is milliseconds of work.
    let (hash, prepared) = tokio::join!(
        blocking(wiring::plan_hash_later(&project)),
        prepare(host, &project, options, only, run, &channel)
    );
    let (hash, prepared) = (hash?, prepared?);
    // A run that goes on is not asked: what it has done it may have to take back.
    let (ready, components) = (&prepared.ready, &prepared.components);
    unless_stopped(run, offered(host, &project, ready, components, run)).await?;
    if let Some(failure) = prepared.estimate.exceeds() {
        return Err(failure.named("PLAN", &project.file));
    }
    let setup = RunSetup {
        run_id: run.id().to_owned(),
        plan_hash: hash.clone(),
        seed,
        inputs: project.inputs.clone(),
        estimates: wiring::estimates(&project),
        components: wiring::components(&project),
        only: options.only.clone(),
        on_request: options.on_request,
    };
    let branch = match forked {
        Some(forked) => Some(branched(host, &project, &setup, started_ms, forked).await?),
        None => None,
    };
    let opening = Opening::of(&project)?;
    let labels = opening.labels().clone();
    let parent = branch.as_ref().map(|branch| branch.point.run.clone());
    let ledger = opening.ledger(host, &project, &setup, options, parent);
    let ledger = ledger.await?;
    let listener = host.config.views.listener();
    let run_dir = host.config.state.run_dir(run.id());
    let follower = listener.map(|it| Follower::of_new(it, run_dir, plan_of(&project)));
    let journal = journal_of(host, &ledger, &project, run.id(), &prepared.revealed);
    let journal = journal.followed(follower.clone());
    let point = branch.as_ref().map(|branch| &branch.point);
    opening.record(&journal, &project, &setup, options, &prepared, point)?;
    let warnings = branch.as_ref().map(Branch::warnings).unwrap_or_default();
    let resumed = match branch {
        Some(branch) => {
            let before = branch.write(&journal, host.config.state.tenant())?;
            Some(branch.resumed(before))
        }
        None => None,
    };
    let reuse = match options.reuse.as_deref() {
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
        labels,
        warnings,
        follower,
    };
    conduct(host, work, run).await
}

/// The seed that was asked for, else that of the run whose past or results are used: without it they would not be
/// what this run comes to.
fn chosen_seed(
    host: &Process,
    options: &RunOptions,
    forked: Option<&Parent>,
) -> Result<u64, Failure> {
    let parents = forked.map(|parent| parent.fed.setup.seed);
    let reused = options.reuse.as_deref().map(Earlier::seed);
    match options.seed.or(parents).or(reused) {
        Some(seed) => Ok(seed),
        None => fresh_seed(host),
    }
}

/// The past that a forked run begins with.
async fn branched(
    host: &Process,
    project: &Project,
    setup: &RunSetup,
    started_ms: u64,
    (parent, of): (Parent, Of),
) -> Result<Branch, Failure> {
    let (plan, setup) = (project.plan.clone(), setup.clone());
    let (tenant, agents) = (host.config.state.tenant().to_owned(), fork::agents(project));
    let started = Time(started_ms);
    let work = move || fork::branch(&of, parent, plan, setup, started, (&tenant, &agents));
    blocking(work).await
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
/// leaves nothing behind. `only` is the step that is wanted alone, `channel` the one of this process.
pub(crate) async fn prepare(
    host: &Arc<Process>,
    project: &Project,
    options: &RunOptions,
    only: Option<&str>,
    run: &Run,
    channel: &Channel,
) -> Result<Prepared, Failure> {
    run.turned(options.turned().of(project).unwrap_or_default());
    let config = &host.config;
    let gateway = config.operator.gateway(project)?;
    let revealed = Arc::new(Revealed::default());
    let purse = Arc::new(Purse::new(wiring::ceiling(&project.plan)));
    let seat = Seat {
        bus: afresh((config.bus)(), channel).map_err(bus_failure)?,
        funds: purse.clone(),
        revealed: revealed.clone(),
        driver: None,
    };
    let ready = Ready::new(project, options, host, &gateway, run, seat)?;
    Ready::preflight(project)?;
    // Before anything is compiled: of two runs of one spec the second hears of it at once.
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

/// Refuses a plan with components that do not say which tools they have, and one that asks of them what they do not
/// offer.
async fn offered(
    host: &Process,
    project: &Project,
    ready: &Ready,
    components: &BTreeMap<String, LoadedComponent>,
    run: &Run,
) -> Result<(), Failure> {
    let now = host.config.world.now_ms();
    let offers = ready.offers(host, project, components, run.id(), now);
    let offers = offers.await;
    if offers.is_empty() {
        return Ok(());
    }
    let mut found = Preflight {
        others: offers::findings(project, &offers),
        ..Preflight::default()
    };
    reached::look(project, &offers, &mut found);
    match found.is_empty() {
        true => Ok(()),
        false => Err(found.failure(&format!("`{}`", project.file), Vec::new())),
    }
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
    /// The plan's labels, as they are on record.
    pub(crate) labels: BTreeMap<String, String>,
    /// What the person should know of what it begins with.
    pub(crate) warnings: Vec<String>,
    /// Who reads its records beside it, for its page.
    pub(crate) follower: Option<Arc<Follower>>,
}

/// The journal of a run over its ledger.
pub(crate) fn journal_of(
    host: &Process,
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
    if let Some(facts) = &config.facts {
        facts.begin(config.state.tenant(), run);
    }
    journal
}

impl Conduct {
    /// The run's record and its money, for its driver and for workers elsewhere.
    fn desk(&self, tenant: &str, run: &str, books: &Books) -> Desk {
        let Prepared {
            ready,
            purse,
            revealed,
            estimate,
            ..
        } = &self.prepared;
        let seed = wiring::seed_of(self.setup.seed);
        let (recording, own_calls) = (books.recording.clone(), books.own_calls.clone());
        let scope = ready.scope(tenant, run, seed, self.started_ms, recording, own_calls);
        Desk {
            channel: Channel::of(&scope, books.before),
            scope,
            greeting: Greeting {
                plan_hash: self.hash.clone(),
                seed: hex::encode(seed),
                started_ms: self.started_ms,
                allow_private_network: self.allow_private_network,
                before: books.before,
                own_calls: books.counted,
                estimate: estimate.id(),
            },
            recording: books.recording.clone(),
            purse: purse.clone(),
            secrets: ready.secrets(),
            revealed: revealed.clone(),
        }
    }
}

/// From plugins that can be called to the run's end, or to where it is interrupted.
pub(crate) async fn conduct(
    host: &Arc<Process>,
    work: Conduct,
    run: &Run,
) -> Result<Finished, Failure> {
    let tenant = host.config.state.tenant();
    let past = work.resumed.as_ref().map(|(_, resumed)| &resumed.past);
    let books = Books::open(
        &work.journal,
        &work.project.plan,
        &work.prepared.purse,
        past,
    );
    let desk = Arc::new(work.desk(tenant, run.id(), &books));
    let resumed = work.resumed.as_ref().map(|(_, resumed)| resumed);
    let left = resumed.map(Resumed::stages).unwrap_or_default();
    let (project, prepared) = (Arc::new(work.project), work.prepared);
    let (journal, ledger) = (work.journal, work.ledger);
    let (revealed, estimate) = (prepared.revealed, prepared.estimate);
    let (seed, goes_on, scope) = (work.setup.seed, work.resumed.is_some(), desk.scope.clone());
    let (ready, components) = (prepared.ready, prepared.components);
    let locked = prepared.locked;
    let mut stages = locked.map(|locked| locked.of(host, &ledger, run.id()));
    let begins = async {
        // Before any plugin is started: without its evidence a stage has not happened, and nothing may follow from it.
        let warnings = match &mut stages {
            Some(stages) => stages.left(&journal, left).await?,
            None => Vec::new(),
        };
        let installed = ready.install(host, &project, components, &scope, Some(&journal));
        Ok::<_, Failure>((installed.await?, warnings))
    };
    let (registry, warnings) = match begins.await {
        Ok((registry, of_stages)) => (registry, [work.warnings, of_stages].concat()),
        Err(failure) => {
            let journal = (&journal, &ledger);
            let status = refused(host, &scope, journal, goes_on, &failure).await?;
            return Err(named(revealed.clean_failure(failure), run, status));
        }
    };
    registry.origins.set_estimate(&estimate.id());
    let plugins = registry.plugins.clone();
    run.swappable(Swaps {
        host: host.clone(),
        journal: journal.clone(),
        scope: scope.clone(),
        plugins: plugins.clone(),
        project: project.clone(),
        turn: tokio::sync::Mutex::default(),
        over: tokio::sync::Mutex::default(),
    });
    run.started();
    let context = lines::run_context(tenant, run.id(), &work.hash);
    let course = driver::Course {
        plan: project.plan.clone(),
        setup: work.setup,
        resumed: work.resumed,
    };
    let drive = driver::Drive {
        journal: journal.clone(),
        registry,
        workers: host.config.workers,
        desk,
        world: host.config.world.clone(),
        stages,
        warnings,
        reuse: work.reuse,
        ledger: Some(ledger.clone()),
    };
    let driven = driver::drive(course, drive, run).instrument(context).await;
    run.no_more_swaps().await;
    // Servers are told before their processes end, and both before the record does: each leaves records.
    disconnect(&plugins, &scope).await;
    end_all(&scope).await;
    let mut outcome = driven.map_err(|failure| revealed.clean_failure(failure))?;
    outcome.keep_out(&revealed);
    if redaction(&project).payloads {
        outcome.redact();
    }
    books.close(&outcome, || journal.varied(&estimate, &outcome))?;
    let finished = Finished {
        run: run.id().to_owned(),
        plan_hash: work.hash,
        seed,
        labels: work.labels,
        outcome,
        estimate,
        evidence: Evidence::unsealed(host, run.id()),
    };
    let first = match goes_on {
        true => First::Record,
        false => First::View,
    };
    leave(host, finished, (&journal, &ledger), first, work.follower).await
}

/// Records why the run ends before its first step, and signs that. Gives how it stands then.
async fn refused(
    host: &Arc<Process>,
    scope: &RunScope,
    (journal, ledger): (&Journal, &Ledger),
    goes_on: bool,
    why: &Failure,
) -> Result<&'static str, Failure> {
    end_all(scope).await;
    // A run that went on is as it was before: whatever is wrong now may be put right.
    let status = match goes_on {
        true => journal.run_refused_again(why)?,
        false => journal.run_refused(why)?,
    };
    seal(host, ledger, &scope.run, status).await?;
    Ok(status)
}

/// The failure with the run that has it on record: whoever looks at the list of runs finds one there.
fn named(failure: Failure, run: &Run, status: &'static str) -> Failure {
    let id = run.id();
    let told = match status == RunStatus::Interrupted.word() {
        true => format!(
            "run {id} stands as `{status}`; once that is put right, `{}` goes on with it",
            run.resume_command()
        ),
        false => format!(
            "run {id} ended as `{status}` before its first step; `flowhost runs show {id}` shows what is on record of it"
        ),
    };
    failure.of_run(id, status).hint(told)
}

/// Leaves what people and programs read of a run beside its ledger, and signs that last: the seal covers them.
async fn leave(
    host: &Arc<Process>,
    mut finished: Finished,
    (journal, ledger): (&Journal, &Ledger),
    first: First,
    follower: Option<Arc<Follower>>,
) -> Result<Finished, Failure> {
    write_report(host, &finished, (journal, ledger), first).await?;
    write_views(host, &finished, (journal, ledger), first, follower).await?;
    let status = status_word(&finished.outcome);
    let sealed = seal(host, ledger, &finished.run, status).await?;
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
    // The interrupt first: where both are there, nothing has begun yet.
    tokio::select! {
        biased;
        exit = interrupted => Err(Failure::new(exit, "interrupted before the run began")
        .because("its components were being compiled")
        .hint("nothing has run and nothing was recorded; run the plan again")),
        done = work => done,
    }
}

/// A seed that nobody chose: 53 bits, so that any reader of JSON can read it back, and none that a plan that redacts
/// would take for the number of a payment card (one in a hundred is): its run could not be gone on with.
fn fresh_seed(host: &Process) -> Result<u64, Failure> {
    loop {
        let seed = u64::from_be_bytes(host.entropy()?) >> 11;
        if matches!(flowhost_detect::redact(&seed.to_string()), Cow::Borrowed(_)) {
            return Ok(seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_cannot_go_on_now_is_named_with_the_whole_command_that_goes_on_with_it() {
        let run = Run::new("R");
        run.turned(vec!["--allow-process".to_owned()]);
        let failure = |status| named(Failure::new(Exit::Internal, "no"), &run, status).hints;
        let hints = failure(RunStatus::Interrupted.word());
        let whole = "`flowhost runs resume R --allow-process` goes on with it";
        assert!(hints.iter().any(|hint| hint.contains(whole)), "{hints:?}");
        let hints = failure(RunStatus::Denied.word());
        assert!(!hints.iter().any(|hint| hint.contains(whole)), "{hints:?}");
    }
}
