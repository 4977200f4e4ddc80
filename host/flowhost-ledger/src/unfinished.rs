//! Ends as signed facts what a killed host left open: runs in the middle, runs that were just being
//! made, the index of runs itself.
//!
//! Called before another command of the host does its work, so it must never stand in that command's
//! way: it is bounded, it waits for nobody who writes a run, and what goes wrong with one run is data.
//! It must never make a folder that is missing: a run that was deleted has to stay missing for `verify`
//! to see.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::disk;
use crate::index::{IndexError, RunIndex};
use crate::keys::HostKey;
use crate::layout;
use crate::options::LedgerOptions;
use crate::reader::{ReadError, read_run_in};
use crate::recorder::LedgerError;
use crate::writer::{Ledger, OpenError};

/// How many runs without an end are looked at, the newest. A host starts far fewer before one of them
/// sweeps up after the others; the bound keeps the start of a run short beside a damaged state
/// folder.
pub const UNFINISHED_RUNS_MAX: usize = 100;

/// The status of a run that has no `run.end` record of its own.
pub const KILLED: &str = "killed";

/// What a sweep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// The runs whose end was entered now.
    pub sealed: Vec<String>,
    /// What kept other runs from it, one line each: a ledger that is corrupt, or was signed by a
    /// key that the host no longer has. `verify` says more.
    pub problems: Vec<String>,
}

/// [`RunIndex::sweep`] of `tenant`'s index below `state`.
///
/// # Errors
/// As [`RunIndex::sweep`].
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use flowhost_ledger::records::RunStart;
/// use flowhost_ledger::{Fact, HostKey, Kind, LedgerOptions, Recorder, RunIndex};
///
/// let state = tempfile::tempdir()?;
/// let key = Arc::new(HostKey::generate("host.example")?);
/// let dir = flowhost_ledger::run_dir(state.path(), "default", "run-1");
/// let index = RunIndex::new(state.path(), "default", key.clone());
/// let options = LedgerOptions::new(&dir, "default", "run-1", key.clone());
/// let ledger = index.begin(&options, RunStart::default())?;
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
    RunIndex::new(state, tenant, key).sweep()
}

impl RunIndex {
    /// Puts in order whatever a kill left: the index itself, runs that were just being made, and the
    /// newest [`UNFINISHED_RUNS_MAX`] runs that started, did not end, and that nobody writes to. Their
    /// ledgers are signed and their ends entered, with the status of the ledger's own `run.end` or
    /// `run.pause` record, or
    /// `killed` if it has none. When there is nothing to do, three small files are read, whatever the
    /// number of runs. Blocks on the disk.
    ///
    /// # Errors
    /// [`IndexError`] when the index cannot be read or put in order. A caller that is about to start a
    /// run may go on, and will hear of it again.
    pub fn sweep(&self) -> Result<Swept, IndexError> {
        let mut swept = Swept::default();
        let disk = self.options().disk.as_ref();
        self.end_removals(&mut swept.problems)?;
        let staged = self.staged()?;
        if staged.is_empty() && !disk::is_dir(disk, &self.options().dir).map_err(OpenError::Io)? {
            return Ok(swept);
        }
        for run in staged {
            if let Err(error) = self.end_staging(&run) {
                swept.problems.push(format!("run {run}: {}", chain(&error)));
            }
        }
        let mut open = match self.peek()? {
            Some(open) => open,
            None => self.put_in_order()?,
        };
        let newest = open.split_off(open.len().saturating_sub(UNFINISHED_RUNS_MAX));
        for run in newest {
            let mut options = self.options().clone();
            options.dir = self.run_dir(&run);
            options.run.clone_from(&run);
            options.index = false;
            options.lock_wait = std::time::Duration::ZERO;
            // Deleted: not ours to make.
            if !disk::is_dir(disk, &options.dir).map_err(OpenError::Io)? {
                continue;
            }
            match seal(self, &options) {
                Ok(()) => swept.sealed.push(run),
                Err(SealError::Open(OpenError::Locked(_))) => {}
                Err(error) => swept.problems.push(format!("run {run}: {}", chain(&error))),
            }
        }
        Ok(swept)
    }

    /// The runs that wait for the index to know them: none, but for moments and after a kill.
    fn staged(&self) -> Result<Vec<String>, IndexError> {
        match self.options().disk.list(&self.staging()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(OpenError::Io(error).into()),
            Ok(entries) => Ok(entries
                .into_iter()
                .filter(|entry| entry.is_dir && layout::segment_is_valid(&entry.name))
                .map(|entry| entry.name)
                .collect()),
        }
    }

    /// Moves a run that was being made to its place if the index knows it, and removes it otherwise.
    fn end_staging(&self, run: &str) -> Result<(), SealError> {
        let disk = self.options().disk.as_ref();
        let staged = self.staging().join(run);
        // Whoever holds the folder of all may be about to hold this one, which it has just made.
        let held = match disk.lock(&self.staging()) {
            Ok(_guard) => disk.lock(&staged),
            Err(error) => Err(error),
        };
        let _lock = match held {
            Ok(lock) => lock,
            // Its maker is at work, or has just moved it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(OpenError::Io(error).into()),
        };
        // Only now that nobody can enter it any more.
        if self.knows(run)? {
            disk.create_dir(&self.run_dir("")).map_err(OpenError::Io)?;
            disk.rename(&staged, &self.run_dir(run))
                .map_err(OpenError::Io)?;
            return Ok(());
        }
        for entry in disk.list(&staged).map_err(OpenError::Io)? {
            // It holds no record; whatever else lies there was not put there by us.
            if entry.name != layout::META && !entry.name.ends_with(".tmp") {
                return Err(SealError::Foreign(entry.name));
            }
            disk.remove(&staged.join(&entry.name))
                .map_err(OpenError::Io)?;
        }
        disk.remove_dir(&staged).map_err(OpenError::Io)?;
        Ok(())
    }

    fn knows(&self, run: &str) -> Result<bool, SealError> {
        let disk = self.options().disk.as_ref();
        if !disk::is_dir(disk, &self.options().dir).map_err(OpenError::Io)? {
            return Ok(false);
        }
        // A record that is half there is cut by this, so that the answer stays what it is.
        self.put_in_order()?;
        for record in read_run_in(disk, &self.options().dir)? {
            if record?.text("run_id") == Some(run) {
                return Ok(true);
            }
        }
        Ok(false)
    }
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
    #[error(
        "it never started, and its folder in runs.new holds `{0}`, which flowhost did not put there"
    )]
    Foreign(String),
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

/// Opening puts away what a crash left and records it; closing signs. A host may be killed, or be at work just now,
/// between closing the ledger and entering the end; the status is then known, and is not `killed`.
fn seal(index: &RunIndex, options: &LedgerOptions) -> Result<(), SealError> {
    // A lock makes no folder, so a run that somebody deletes meanwhile stays deleted.
    let lock = match options.disk.lock(&options.dir) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(OpenError::Locked(options.dir.clone()).into());
        }
        other => other.map_err(OpenError::Io)?,
    };
    let ledger = Ledger::open_held(options, lock)?;
    let sealed = ledger.close_blocking()?;
    let status = ledger.status().unwrap_or(KILLED);
    index.ended(&options.run, status, &sealed)?;
    Ok(())
}
