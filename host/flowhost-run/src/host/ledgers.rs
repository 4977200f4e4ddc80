//! A run's ledger, from its folder to its seal, with what the run is made of beside it.
//!
//! The order matters: the index knows the run before there is a ledger, so that one that is killed at once is found and
//! signed by a later process; what it is made of is on the disk before its first fact, so that it can be resumed.

use std::path::Path;
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_ledger::records::RunStart;
use flowhost_ledger::{
    DataKey, Durability, FactListener, Ledger, LedgerOptions, RunIndex, SEALED_KEY, Sealed,
    seal_unfinished,
};

use crate::base::failure::{Failure, ledger_failure};
use crate::base::tasks::blocking;
use crate::given::bundle;
use crate::given::options::RunOptions;
use crate::given::process::Process;

/// What is kept of a project.
pub(crate) struct Kept {
    pub(crate) bundle: Arc<Vec<u8>>,
    pub(crate) components: Vec<bundle::KeptComponent>,
    /// Whether payloads are sealed.
    pub(crate) seals: bool,
}

/// Enters the run into the index, opens its ledger, and keeps what it is made of. All of it waits for
/// the disk, so a thread does it that may.
pub(crate) async fn enter(
    host: &Arc<Process>,
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
        opened.listener = listener(&host);
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

/// Who hears of the facts of runs.
pub(crate) fn listener(host: &Process) -> Option<Arc<dyn FactListener>> {
    let facts = host.config.facts.clone();
    facts.map(|facts| facts as Arc<dyn FactListener>)
}

/// Gives the ledger a key to seal with, and the text that keeps it.
fn data_key(host: &Process, run: &str, opened: &mut LedgerOptions) -> Result<String, Failure> {
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
    host: &Process,
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
        bundle::keep_component(&**world, &component.path, &component.bytes)?;
        // Each time: another may vouch for it today.
        if let Some((beside, signature)) = &component.signature {
            written(beside, signature.as_bytes(), Durability::Durable)?;
        }
    }
    Ok(())
}

/// Signs what runs that were killed left behind, once in a process. A problem with an old run is its own: it is logged,
/// and the new run goes on.
fn sweep(host: &Process) {
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

/// Closes the ledger, signed, and says in the index of runs how it ended.
pub(crate) async fn seal(
    host: &Arc<Process>,
    ledger: &Ledger,
    run: &str,
    status: &'static str,
) -> Result<Sealed, Failure> {
    let sealed = ledger.close().await;
    let sealed = sealed.map_err(|error| ledger_failure("the ledger cannot be closed", &error))?;
    let (host, run) = (host.clone(), run.to_owned());
    blocking(move || {
        host.index
            .ended(&run, status, &sealed)
            .map_err(|error| ledger_failure("the index of runs cannot be written", &error))?;
        Ok(sealed)
    })
    .await
}
