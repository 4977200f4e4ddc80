//! One run from its first fact to its seal: ledger, plugins, driver, views, index.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{LoadedComponent, RunScope};
use flowhost_flow::{Exit, Planner, RunSetup};
use flowhost_ledger::records::RunStart;
use flowhost_ledger::{
    DataKey, Durability, Fact, Ledger, LedgerOptions, RunIndex, SEALED_KEY, Sealed, seal_unfinished,
};
use tracing::Instrument as _;

use crate::base::failure::Failure;
use crate::base::finding::Finding;
use crate::base::lines;
use crate::before::estimate::{self, Estimate};
use crate::calls::desk::{Desk, Greeting};
use crate::calls::driver::{self, Outcome};
use crate::earlier::fork::{self, Branch, Of};
use crate::earlier::resume::Resumed;
use crate::earlier::reuse::{Earlier, Reuse};
use crate::given::bundle;
use crate::given::project::Project;
use crate::given::redaction::{redaction, seals};
use crate::host::Inner;
use crate::host::handle::Run;
use crate::kept::books::Books;
use crate::kept::document::RunDocument;
use crate::kept::journal::{Begun, Journal};
use crate::kept::revealed::Revealed;
use crate::kept::stages::{self, Locked};
use crate::meters::purse::Purse;
use crate::plugins::registry::Registry;
use crate::plugins::swap::Swaps;
use crate::plugins::wiring::{self, Ready, Seat};

/// The report's name in a run's folder.
const REPORT: &str = "report.json";

/// How to run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// The run's seed; a random one is taken and recorded without it.
    pub seed: Option<u64>,
    /// When records must be on disk.
    pub durability: Durability,
    /// The second key to private addresses.
    pub allow_private_network: bool,
    /// The second key to native processes.
    pub allow_process: bool,
    /// Where checkpoints are sent as well.
    pub witness: Option<PathBuf>,
    /// What the run takes from an earlier one; without a seed of its own, that one's seed, too.
    pub reuse: Option<Arc<Earlier>>,
    /// The only step of the plan that is wanted, with what it needs ([`RunSetup::only`]).
    pub only: Option<String>,
    /// What the person wants to be read beside the run. It stands in the chained record, from which
    /// nothing can be erased.
    pub note: Option<String>,
    /// How the files stand that the plan was read from.
    pub work_tree: WorkTree,
}

/// How the files stand that a plan was read from, beside what was committed of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum WorkTree {
    /// Nobody has looked: a plan that requires a clean one does not run.
    #[default]
    Unknown,
    /// The plan comes from no work tree: it is what another run was made of.
    Apart,
    /// As they were committed.
    Clean {
        /// The commit.
        commit: String,
    },
    /// Some are not, and the person allows it.
    Dirty {
        /// The last commit, where there is one.
        commit: Option<String>,
        /// The files that are not as in it, by their names below the plan's folder.
        files: Vec<String>,
    },
}

impl WorkTree {
    fn suffices(&self, project: &Project) -> Result<(), Failure> {
        let evidence = project.plan.evidence.as_ref();
        match self {
            Self::Unknown if evidence.is_some_and(|it| it.require_clean) => {
                let what = "the plan requires a clean work tree (`evidence.require_clean`)";
                Err(Failure::new(Exit::Internal, what)
                    .because("this command does not look at the work tree")
                    .hint("run the plan with `flowhost run`"))
            }
            _ => Ok(()),
        }
    }

    /// The commit, and the files that are not as in it, for the record.
    pub(crate) fn told(&self) -> (Option<String>, Option<Vec<String>>) {
        match self {
            Self::Unknown | Self::Apart => (None, None),
            Self::Clean { commit } => (Some(commit.clone()), None),
            Self::Dirty { commit, files } => (commit.clone(), Some(files.clone())),
        }
    }
}

/// Where a finished run left its evidence.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The ledger's folder.
    pub run_dir: PathBuf,
    /// The report's file.
    pub report: PathBuf,
    /// The report as a page for people, where the run has left one.
    pub report_html: Option<PathBuf>,
    /// What the last checkpoint covers; none in the report that the checkpoint itself covers.
    pub sealed: Option<Sealed>,
}

/// A run that has ended, in whatever way.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The run's ULID.
    pub run: String,
    /// The plan's hash.
    pub plan_hash: String,
    /// The seed that was used.
    pub seed: u64,
    /// What happened.
    pub outcome: Outcome,
    /// What its model calls were expected to cost.
    pub estimate: Estimate,
    /// Where that can be checked.
    pub evidence: Evidence,
}

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
    let gateway = config.operator.gateway(&project)?;
    let revealed = Arc::new(Revealed::default());
    let purse = Arc::new(Purse::new(wiring::ceiling(&project.plan)));
    let seat = Seat {
        bus: (config.bus)(),
        funds: purse.clone(),
        revealed: revealed.clone(),
        driver: None,
    };
    let ready = Ready::new(&project, options, host, &gateway, run, seat)?;
    Ready::preflight(&project)?;
    let locked = stages::lock(host, &project, run.id())?;
    let components = unless_stopped(run, Ready::load(host, &project)).await?;
    let mut estimate = estimate::estimate(&project, &gateway, state, &*config.past);
    estimate.of_only(&project.plan, options.only.as_deref());
    if let Some(failure) = estimate.exceeds(&project.plan) {
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
    let journal = journal_of(host, &ledger, &project, run.id(), &revealed);
    let point = branch.as_ref().map(|branch| &branch.point);
    let begun = Begun {
        labels,
        documents: &project.documents,
        options,
        fork: point,
    };
    journal.run_start(&project.plan, &setup, begun)?;
    journal.view(bundle::BUNDLE, &bundle)?;
    journal.estimated(&estimate)?;
    if let Some(locked) = &locked {
        locked.told(&journal)?;
    }
    if let Some(branch) = &branch {
        branch.write(&journal, state.tenant())?;
    }
    let reuse = match reused {
        Some(earlier) => Some(Arc::new(Reuse::new(host, earlier, &project, seed)?)),
        None => None,
    };
    let work = Conduct {
        project,
        setup,
        hash,
        estimate,
        ledger,
        journal,
        ready,
        components,
        purse,
        revealed,
        started_ms,
        allow_private_network: options.allow_private_network,
        locked,
        resumed: branch.map(Branch::resumed),
        reuse,
    };
    conduct(host, work, run).await
}

/// What a run is conducted with, whether it begins or goes on.
pub(crate) struct Conduct {
    pub(crate) project: Project,
    pub(crate) setup: RunSetup,
    pub(crate) hash: String,
    pub(crate) estimate: Estimate,
    pub(crate) ledger: Ledger,
    pub(crate) journal: Journal,
    pub(crate) ready: Ready,
    pub(crate) components: BTreeMap<String, LoadedComponent>,
    pub(crate) purse: Arc<Purse>,
    pub(crate) revealed: Arc<Revealed>,
    /// When the run began, in milliseconds since the Unix epoch.
    pub(crate) started_ms: u64,
    pub(crate) allow_private_network: bool,
    /// The lock of the spec whose evidence its stages leave.
    pub(crate) locked: Option<Locked>,
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
        setup,
        hash,
        estimate,
        ledger,
        journal,
        ready,
        components,
        purse,
        revealed,
        started_ms,
        allow_private_network,
        locked,
        resumed,
        reuse,
    } = work;
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
        greeting: Greeting {
            plan_hash: hash.clone(),
            seed: hex::encode(seeded),
            started_ms,
            allow_private_network,
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
    let durability = ledger.durability();
    write_report(host, &finished, &journal, durability)?;
    // Views are read from the files, and name the checkpoint that covers what they were read from.
    let covered = ledger.checkpoint().await;
    covered.map_err(|error| ledger_failure("the ledger cannot be signed", &error))?;
    write_views(host, &finished, &journal, durability).await?;
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

/// Writes what `run --json` prints beside the ledger, and its hash into it.
fn write_report(
    host: &Inner,
    finished: &Finished,
    journal: &Journal,
    durability: Durability,
) -> Result<(), Failure> {
    // One line: half of the document that is laid out for people is spaces, and there is one for every run.
    let document = serde_json::to_vec(&RunDocument::from(finished));
    let mut bytes = document.map_err(|error| {
        Failure::new(Exit::Internal, "the report cannot be written").caused_by(&error)
    })?;
    bytes.push(b'\n');
    write_view(host, finished, journal, (REPORT, &bytes), durability)
}

/// Writes what people read. Made on a thread that may take its time: a page of ten thousand steps must
/// not keep other runs waiting.
async fn write_views(
    host: &Arc<Inner>,
    finished: &Finished,
    journal: &Journal,
    durability: Durability,
) -> Result<(), Failure> {
    let (made_by, run_dir) = (host.clone(), finished.evidence.run_dir.clone());
    let made = blocking(move || made_by.config.views.of(&run_dir)).await?;
    for (name, bytes) in made {
        write_view(host, finished, journal, (&name, &bytes), durability)?;
    }
    Ok(())
}

fn write_view(
    host: &Inner,
    finished: &Finished,
    journal: &Journal,
    (name, bytes): (&str, &[u8]),
    durability: Durability,
) -> Result<(), Failure> {
    let path = finished.evidence.run_dir.join(name);
    let written = host.config.world.write(&path, bytes, durability);
    written.map_err(|error| {
        let message = format!("cannot write `{}`", path.display());
        Failure::new(Exit::Internal, message).because(error.to_string())
    })?;
    journal.view(name, bytes)
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

/// What is kept of a project.
struct Kept {
    bundle: Arc<Vec<u8>>,
    components: Vec<bundle::KeptComponent>,
    /// Whether payloads are sealed.
    seals: bool,
}

/// Enters the run into the index, opens its ledger, and keeps what it is made of. All of it waits for
/// the disk, so a thread does it that may.
async fn enter(
    host: &Arc<Inner>,
    run: &str,
    entry: RunStart,
    kept: Kept,
    options: &RunOptions,
) -> Result<Ledger, Failure> {
    let (host, run) = (host.clone(), run.to_owned());
    let (durability, witness) = (options.durability, options.witness.clone());
    blocking(move || {
        host.swept.get_or_init(|| sweep(&host));
        let (state, key) = (&host.config.state, host.config.key.clone());
        let mut opened = LedgerOptions::new(&state.run_dir(&run), state.tenant(), &run, key);
        opened.durability = durability;
        opened.witness = witness;
        let wrapped = match kept.seals {
            true => Some(data_key(&host, &run, &mut opened)?),
            false => None,
        };
        let begun = host.index.begin(&opened, entry);
        let ledger =
            begun.map_err(|error| ledger_failure("the run's ledger cannot be made", &error))?;
        let run_dir = state.run_dir(&run);
        keep(&host, &run_dir, &kept, wrapped.as_deref(), durability)?;
        Ok(ledger)
    })
    .await
}

/// Gives the ledger a key to seal with, and the text that keeps it.
fn data_key(host: &Inner, run: &str, opened: &mut LedgerOptions) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(Exit::Internal, "the run has no key to seal payloads with")
            .because(error.to_string())
    };
    let key = DataKey::generate().map_err(failed)?;
    let wrapped = key.wrapped(&host.config.seal_key, run).map_err(failed)?;
    opened.seal = Some(key);
    Ok(wrapped)
}

fn keep(
    host: &Inner,
    run_dir: &Path,
    kept: &Kept,
    wrapped: Option<&str>,
    durability: Durability,
) -> Result<(), Failure> {
    let world = &host.config.world;
    let written = |path: &Path, bytes: &[u8], durability| {
        world.write(path, bytes, durability).map_err(|error| {
            let message = format!("cannot write `{}`", path.display());
            Failure::new(Exit::Internal, message).because(error.to_string())
        })
    };
    written(&run_dir.join(bundle::BUNDLE), &kept.bundle, durability)?;
    if let Some(wrapped) = wrapped {
        written(&run_dir.join(SEALED_KEY), wrapped.as_bytes(), durability)?;
    }
    for component in &kept.components {
        keep_component(host, &component.path, &component.bytes)?;
        // Each time: another may vouch for it today.
        if let Some((beside, signature)) = &component.signature {
            written(beside, signature.as_bytes(), Durability::Durable)?;
        }
    }
    Ok(())
}

/// Keeps a component below its digest; every run that comes later relies on it.
pub(crate) fn keep_component(host: &Inner, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let world = &host.config.world;
    if world.is_file(path) {
        return Ok(()); // its name is its digest, and it was written whole or not at all
    }
    let cannot = |what: String, error: std::io::Error| {
        Failure::new(Exit::Internal, what).because(error.to_string())
    };
    let folder = path.parent().unwrap_or(path);
    world
        .folder(folder)
        .map_err(|error| cannot(format!("cannot create `{}`", folder.display()), error))?;
    world
        .write(path, bytes, Durability::Durable)
        .map_err(|error| cannot(format!("cannot write `{}`", path.display()), error))
}

/// Does what waits for the disk on a thread that may wait.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Failure::new(
            Exit::Internal,
            "the host failed while it waited for the disk",
        )
        .because(error.to_string())
        .hint("this is a bug; report it"))
    })
}

/// Signs what runs that were killed left behind, once in a process. A problem with an old run is its own: it is logged,
/// and the new run goes on.
fn sweep(host: &Inner) {
    let state = &host.config.state;
    if !RunIndex::dir(state.root(), state.tenant()).is_dir() {
        return; // the first run of this state folder
    }
    match seal_unfinished(state.root(), state.tenant(), host.config.key.clone()) {
        Ok(swept) => {
            for run in &swept.sealed {
                tracing::info!(%run, "signed what a killed run left");
            }
            for problem in &swept.problems {
                tracing::warn!(%problem, "a killed run cannot be sealed");
            }
        }
        Err(error) => tracing::warn!(%error, "the index of runs cannot be read"),
    }
}

async fn seal(
    host: &Arc<Inner>,
    ledger: &Ledger,
    run: &str,
    status: &'static str,
) -> Result<Sealed, Failure> {
    let sealed = ledger.close().await;
    let sealed = sealed.map_err(|error| ledger_failure("the ledger cannot be closed", &error))?;
    let (host, run) = (host.clone(), run.to_owned());
    blocking(move || {
        let ended = host.index.ended(&run, status, &sealed);
        ended.map_err(|error| ledger_failure("the index of runs cannot be written", &error))?;
        Ok(sealed)
    })
    .await
}

/// The run's status as a word.
#[must_use]
pub fn status_word(outcome: &Outcome) -> &'static str {
    status_of(outcome.end.status)
}

pub(crate) fn status_of(status: flowhost_flow::RunStatus) -> &'static str {
    use flowhost_flow::RunStatus as S;
    match status {
        S::Ok => "ok",
        S::Failed => "failed",
        S::Conflict => "conflict",
        S::Degraded => "degraded",
        S::Halted => "halted",
        S::Denied => "denied",
        S::Limit => "limit",
        S::Waiting => "waiting",
        S::Interrupted => "interrupted",
        S::Cancelled => "cancelled",
    }
}

pub(crate) fn ledger_failure(message: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, message)
        .caused_by(error)
        .hint("nothing was acknowledged that is not on the disk; check free space and the disk")
}

/// Appends and forgets the number.
pub(crate) fn append(ledger: &dyn flowhost_ledger::Recorder, fact: Fact) -> Result<(), Failure> {
    let appended = ledger.append(fact);
    appended
        .map(drop)
        .map_err(|error| ledger_failure("the ledger takes no more", &error))
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
