//! Puts runs in order that a killed host left behind: signs what they wrote, and enters their end
//! into the index of runs.
//!
//! Called at the start of another run, so it must never stand in that run's way: it is bounded, it
//! waits for nobody, and what goes wrong with one run is data. It must never make a folder that is
//! missing: a run that was deleted has to stay missing for `verify` to see.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk::{RealDisk, Source as _};
use crate::index::{IndexError, RunIndex};
use crate::keys::HostKey;
use crate::layout;
use crate::options::LedgerOptions;
use crate::reader::{ReadError, read_run};
use crate::recorder::LedgerError;
use crate::records::Kind;
use crate::writer::{Ledger, OpenError, run_dir};

/// How many of the newest runs are looked at. A host starts far fewer before one of them sweeps up
/// after the others; the bound keeps the start of a run short beside a damaged state folder.
pub const UNFINISHED_RUNS_MAX: usize = 100;

/// The status of a run that has no `run.end` record of its own.
const KILLED: &str = "killed";

/// What [`seal_unfinished`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// The runs whose end was entered now.
    pub sealed: Vec<String>,
    /// What kept other runs from it, one line each: a ledger that is corrupt, or was signed by a
    /// key that the host no longer has. `verify` says more.
    pub problems: Vec<String>,
}

/// Signs and enters as ended those of `tenant`'s newest [`UNFINISHED_RUNS_MAX`] runs that the index
/// knows as started and not as ended, and that nobody writes to. The status entered is that of the
/// ledger's own `run.end` record, or `killed` if it has none. Blocks on the disk.
///
/// # Errors
/// [`IndexError::Read`] when the index cannot be read; nothing was done then. A caller that is about
/// to start a run may go on.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use flowhost_ledger::{Fact, HostKey, Kind, Ledger, LedgerOptions, Recorder, RunIndex};
///
/// let state = tempfile::tempdir()?;
/// let key = Arc::new(HostKey::generate("host.example")?);
/// RunIndex::new(state.path(), "default", key.clone()).started("run-1", &[])?;
/// let dir = flowhost_ledger::run_dir(state.path(), "default", "run-1");
/// let ledger = Ledger::open(&LedgerOptions::new(&dir, "default", "run-1", key.clone()))?;
/// ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
/// // Somebody is still writing to it.
/// let swept = flowhost_ledger::seal_unfinished(state.path(), "default", key.clone())?;
/// assert!(swept.sealed.is_empty() && swept.problems.is_empty());
/// drop(ledger);
/// let swept = flowhost_ledger::seal_unfinished(state.path(), "default", key)?;
/// assert_eq!(swept.sealed, ["run-1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn seal_unfinished(state: &Path, tenant: &str, key: Arc<HostKey>) -> Result<Swept, IndexError> {
    let mut swept = Swept::default();
    let runs = unfinished(&RunIndex::dir(state, tenant))?;
    let index = RunIndex::new(state, tenant, key.clone());
    for run in runs {
        let dir = run_dir(state, tenant, &run);
        // Not yet made by a run that is just starting, or deleted: not ours to make.
        if RealDisk.len(&dir.join(layout::META)).is_err() {
            continue;
        }
        let options = LedgerOptions::new(&dir, tenant, &run, key.clone());
        match seal(&index, &options) {
            Ok(()) => swept.sealed.push(run),
            Err(SealError::Open(OpenError::Locked(_))) => {}
            Err(error) => swept.problems.push(format!("run {run}: {}", chain(&error))),
        }
    }
    Ok(swept)
}

/// Why one run could not be sealed.
#[derive(Debug, thiserror::Error)]
enum SealError {
    #[error("its ledger cannot be opened")]
    Open(#[from] OpenError),
    #[error("its ledger cannot be read")]
    Read(#[from] ReadError),
    #[error("its ledger cannot be signed")]
    Ledger(#[from] LedgerError),
    #[error("its end cannot be entered")]
    Index(#[from] IndexError),
}

/// An error with its sources, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// The newest runs without an end, oldest first.
fn unfinished(index: &Path) -> Result<Vec<String>, ReadError> {
    match RealDisk.list(index) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    let mut newest: VecDeque<(String, bool)> = VecDeque::new();
    for record in read_run(index)? {
        let record = record?;
        let Some(run) = record.text("run_id") else {
            continue;
        };
        match record.kind() {
            Some(Kind::RunStart) => {
                newest.push_back((run.to_owned(), false));
                if newest.len() > UNFINISHED_RUNS_MAX {
                    newest.pop_front();
                }
            }
            Some(Kind::RunEnd) => {
                for (_, ended) in newest.iter_mut().filter(|(name, _)| name == run) {
                    *ended = true;
                }
            }
            _ => {}
        }
    }
    let open = newest.into_iter().filter(|(_, ended)| !ended);
    Ok(open.map(|(run, _)| run).collect())
}

/// Opening puts away what a crash left and records it; closing signs.
fn seal(index: &RunIndex, options: &LedgerOptions) -> Result<(), SealError> {
    let ledger = Ledger::open(options)?;
    let status = status(&options.dir)?;
    let sealed = ledger.close_blocking()?;
    index.ended(&options.run, &status, &sealed)?;
    Ok(())
}

/// How the ledger says that its run ended. A host may be killed, or be at work just now, between
/// closing the ledger and entering the end; the status is then known, and is not `killed`.
fn status(dir: &Path) -> Result<String, ReadError> {
    let mut status = KILLED.to_owned();
    for record in read_run(dir)? {
        let record = record?;
        if record.kind() == Some(Kind::RunEnd)
            && let Some(text) = record.text("status")
        {
            text.clone_into(&mut status);
        }
    }
    Ok(status)
}
