//! Runs a resolved plan: engine, ledger, bus, workers, driver, and the outcome.
//!
//! These are library calls; the command line and whatever controls runs later use the same ones.

mod driver;
mod guards;
mod journal;
mod mailbox;
mod order;
mod page;
mod purse;
mod registry;
mod router;
mod tally;
mod wiring;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use flowhost_flow::planner::Note;
use flowhost_flow::{Exit, RunSetup};
use flowhost_ledger::{
    Durability, Fact, HostKey, Kind, Ledger, LedgerOptions, RunIndex, Sealed, Value,
    seal_unfinished,
};
use tokio::sync::Notify;
use tracing::Instrument as _;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::estimate::Estimate;
use crate::failure::Failure;
use crate::project::Project;
use crate::report::html;
use crate::report::run::RunDocument;
use crate::state::State;
use crate::telemetry::lines;

use journal::Journal;

pub use driver::{Outcome, StepOutcome};
pub use journal::{Denial, FactObserver};
pub use page::rewrite as rewrite_page;
pub use wiring::{Missing, Rights, missing_folders, missing_rights, plan_hash};

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
    /// Where checkpoints are sent as well.
    pub witness: Option<PathBuf>,
}

/// Hears what happens while it happens; must not block.
pub trait Observer: Send + Sync {
    /// Everything is ready and the run has this id.
    fn started(&self, run: &str);
    /// A fact about a step, after it is in the ledger.
    fn note(&self, note: &Note);
}

/// Where a finished run left its evidence.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The ledger's folder.
    pub run_dir: PathBuf,
    /// The report's file.
    pub report: PathBuf,
    /// The report as a page for people.
    pub report_html: PathBuf,
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

/// What a run needs from its surroundings.
pub struct Surroundings<'a> {
    /// Ambient authority.
    pub ambient: &'a Ambient,
    /// The operator's configuration.
    pub config: &'a Config,
    /// Where state is kept.
    pub state: &'a State,
    /// Fires when the person wants the run to stop.
    pub stop: Arc<Notify>,
    /// Hears of progress.
    pub observer: Arc<dyn Observer>,
    /// Hears of every fact, for telemetry.
    pub facts: Option<Arc<dyn FactObserver>>,
}

/// Runs a project to its end.
///
/// # Errors
/// When the run could not start: a missing right (exit 6), a component that does not compile, a
/// state folder that cannot be used, an interrupt while components compile (exit 130). Once it has started, its end is an [`Outcome`], unless the ledger
/// itself fails.
pub async fn execute(
    project: Project,
    options: &RunOptions,
    around: &Surroundings<'_>,
) -> Result<Finished, Failure> {
    let key = signing_key(around.ambient, around.config, around.state)?;
    let started_ms = around.ambient.now_ms();
    let seed = match options.seed {
        Some(seed) => seed,
        // 53 bits, so that the seed can be read back from JSON by any reader.
        None => u64::from_be_bytes(entropy(around.ambient)?) >> 11,
    };
    let run = flowhost_flow::hash::run_id(started_ms, entropy(around.ambient)?);
    let hash = plan_hash(&project)?;
    let ready = wiring::Ready::new(&project, options, around)?;
    ready.preflight(&project)?;
    let components = unless_stopped(around, ready.load(&project)).await?;
    let estimate = ready.estimate(&project, around);

    sweep(around, key.clone());
    let index = RunIndex::new(around.state.root(), around.state.tenant(), key.clone());
    let opened = ledger_options(&run, options, around.state, key);
    let named = [
        ("plan", Value::from(project.plan.name.as_str())),
        ("plan_hash", Value::from(hash.as_str())),
    ];
    let begun = index.begin(&opened, &named);
    let ledger =
        begun.map_err(|error| ledger_failure("the run's ledger cannot be made", &error))?;
    let setup = RunSetup {
        run_id: run.clone(),
        plan_hash: hash.clone(),
        seed,
        inputs: project.inputs.clone(),
        estimates: wiring::estimates(&project),
    };
    let redact = crate::models::redaction(&project);
    let journal = Journal::new(
        Arc::new(ledger.clone()),
        around.state.tenant(),
        redact.payloads,
    );
    let journal = journal.observed(&run, around.facts.clone());
    journal.run_start(&project, &setup, options)?;
    journal.estimated(&estimate)?;
    let scope = wiring::run_scope(around.state.tenant(), &run, seed, started_ms, &journal);
    let installed = ready.install(&project, components, &scope, &journal).await;
    let registry = match installed {
        Ok(registry) => registry,
        Err(failure) => {
            journal.run_refused(&failure)?;
            seal(&ledger, &index, &run, journal::REFUSED).await?;
            return Err(failure);
        }
    };
    around.observer.started(&run);
    let context = lines::run_context(around.state.tenant(), &run, &hash);
    let drive = driver::Drive {
        plan: project.plan.clone(),
        setup,
        scope,
        journal: journal.clone(),
        registry,
    };
    let mut outcome = driver::drive(drive, around).instrument(context).await?;
    if redact.payloads {
        outcome.redact();
    }
    journal.varied(&estimate, &outcome)?;
    journal.run_end(&outcome)?;
    let run_dir = around.state.run_dir(&run);
    let mut finished = Finished {
        run,
        plan_hash: hash,
        seed,
        outcome,
        estimate,
        evidence: Evidence {
            report: run_dir.join(REPORT),
            report_html: run_dir.join(html::FILE),
            run_dir,
            sealed: None,
        },
    };
    write_report(&finished, &journal, around.ambient)?;
    // The page is read from the files, and names the checkpoint that covers what it was read from.
    let covered = ledger.checkpoint().await;
    covered.map_err(|error| ledger_failure("the ledger cannot be signed", &error))?;
    page::write(&ledger, around.state, &finished.run, around.ambient)?;
    let status = status_word(&finished.outcome);
    let sealed = seal(&ledger, &index, &finished.run, status).await?;
    finished.evidence.sealed = Some(sealed);
    Ok(finished)
}

/// What comes before the run exists, given up at once when the person wants to stop: whatever is being
/// compiled ends with it. An interrupt that comes later finds a ledger and is a fact of the run.
async fn unless_stopped<T>(
    around: &Surroundings<'_>,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = around.stop.notified() => Err(Failure::new(
            Exit::Interrupted,
            "interrupted before the run began",
        )
        .because("its components were being compiled")
        .hint("nothing has run and nothing was recorded; run the plan again")),
        done = work => done,
    }
}

/// Writes what `run --json` prints beside the ledger, and its hash into it.
fn write_report(finished: &Finished, journal: &Journal, ambient: &Ambient) -> Result<(), Failure> {
    let document = serde_json::to_vec_pretty(&RunDocument::from(finished));
    let bytes = document.map_err(|error| {
        Failure::new(Exit::Internal, "the report cannot be written").caused_by(&error)
    })?;
    ambient.write(&finished.evidence.report, &bytes)?;
    journal.view(REPORT, &bytes)
}

fn entropy<const N: usize>(ambient: &Ambient) -> Result<[u8; N], Failure> {
    ambient.entropy().map_err(|error| {
        Failure::new(Exit::Internal, "the system gives no randomness").because(error.to_string())
    })
}

/// The host's signing key: `FLOWHOST_SIGNING_KEY`, else the key file, made on first use.
///
/// # Errors
/// When it is malformed, or others may read the file.
pub fn signing_key(
    ambient: &Ambient,
    config: &Config,
    state: &State,
) -> Result<Arc<HostKey>, Failure> {
    let key = match ambient.var("FLOWHOST_SIGNING_KEY") {
        Some(text) => HostKey::parse(text),
        None => HostKey::load_or_create(&state.signing_key(), config.host.as_deref()),
    };
    key.map(Arc::new).map_err(|error| {
        Failure::new(Exit::Internal, "the host's signing key cannot be used").caused_by(&error)
    })
}

fn ledger_options(
    run: &str,
    options: &RunOptions,
    state: &State,
    key: Arc<HostKey>,
) -> LedgerOptions {
    let mut opened = LedgerOptions::new(&state.run_dir(run), state.tenant(), run, key);
    opened.durability = options.durability;
    opened.witness = options.witness.clone();
    opened
}

/// Signs what runs that were killed left behind. A problem with an old run is its own: it is logged,
/// and the new run goes on.
fn sweep(around: &Surroundings<'_>, key: Arc<HostKey>) {
    let state = around.state;
    if !around
        .ambient
        .is_dir(&RunIndex::dir(state.root(), state.tenant()))
    {
        return;
    }
    match seal_unfinished(state.root(), state.tenant(), key) {
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
    ledger: &Ledger,
    index: &RunIndex,
    run: &str,
    status: &str,
) -> Result<Sealed, Failure> {
    let sealed = ledger.close().await;
    let sealed = sealed.map_err(|error| ledger_failure("the ledger cannot be closed", &error))?;
    let ended = index.ended(run, status, &sealed);
    ended.map_err(|error| ledger_failure("the index of runs cannot be written", &error))?;
    Ok(sealed)
}

/// The run's status as a word.
#[must_use]
pub fn status_word(outcome: &Outcome) -> &'static str {
    use flowhost_flow::RunStatus as S;
    match outcome.end.status {
        S::Ok => "ok",
        S::Failed => "failed",
        S::Conflict => "conflict",
        S::Degraded => "degraded",
        S::Halted => "halted",
        S::Denied => "denied",
        S::Limit => "limit",
        S::Waiting => "waiting",
        S::Cancelled => "cancelled",
    }
}

fn ledger_failure(message: &str, error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, message)
        .caused_by(error)
        .hint("nothing was acknowledged that is not on the disk; check free space and the disk")
}

/// A fact by the host itself.
fn host_fact(kind: Kind, tenant: &str) -> Fact {
    Fact::new(kind, format!("{tenant}/host"))
}

/// Appends and forgets the number.
fn append(ledger: &dyn flowhost_ledger::Recorder, fact: Fact) -> Result<(), Failure> {
    let appended = ledger.append(fact);
    appended
        .map(drop)
        .map_err(|error| ledger_failure("the ledger takes no more", &error))
}
