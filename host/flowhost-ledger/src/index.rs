//! The ledger of a tenant's runs (`runs.index`): one record when a run starts and one when it ends.
//!
//! It makes a missing run visible, and a run that was cut back after it ended, because the record
//! of the end holds size and root. Several processes may run plans of one tenant, so the index is
//! opened for one record at a time and the others wait.
//!
//! A run begins in this order, so that a kill at any moment leaves something that the next command
//! can end: its folder is made in `runs.new`, the index is told, the folder is moved to `runs`. A
//! folder in `runs.new` that the index does not know never held a record; one that it knows is moved. So
//! a run that the index knows always has its folder, and a missing one was removed by somebody.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::disk::{self, RealDisk, Source as _};
use crate::fact::{Fact, Value};
use crate::head::IndexHead;
use crate::keys::HostKey;
use crate::layout;
use crate::options::LedgerOptions;
use crate::reader::{ReadError, Records, read_run};
use crate::record::Owner;
use crate::recorder::{LedgerError, Recorder as _};
use crate::records::Kind;
use crate::writer::{self, Ledger, Lock, OpenError, Sealed};

/// How long to wait for other processes that write to the index. One record takes milliseconds, on a
/// disk that is busy a second.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Why a run could not be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The index cannot be opened.
    #[error("the index of runs cannot be opened")]
    Open(#[from] OpenError),
    /// The index cannot be read.
    #[error("the index of runs cannot be read")]
    Read(#[from] ReadError),
    /// The index took no record.
    #[error("the index of runs took no record")]
    Ledger(#[from] LedgerError),
}

/// The index of one tenant's runs. Clones are handles to the same: within a process they queue for the
/// files, and only other processes are waited for by asking again and again.
#[derive(Debug, Clone)]
pub struct RunIndex {
    turn: Arc<Mutex<()>>,
    /// The tenant's folder.
    tenant_dir: PathBuf,
    options: LedgerOptions,
}

impl RunIndex {
    /// The index of `tenant` below the state folder `state`; opens nothing yet.
    #[must_use]
    pub fn new(state: &Path, tenant: &str, key: Arc<HostKey>) -> Self {
        let dir = Self::dir(state, tenant);
        let mut options = LedgerOptions::new(&dir, tenant, layout::INDEX, key);
        options.lock_wait = LOCK_WAIT;
        options.index = true;
        let tenant_dir = state.join(tenant);
        Self {
            turn: Arc::default(),
            tenant_dir,
            options,
        }
    }

    /// The index's folder.
    #[must_use]
    pub fn dir(state: &Path, tenant: &str) -> PathBuf {
        state.join(tenant).join(layout::INDEX)
    }

    /// The records of `tenant`'s index below the state folder `state`; none where no run was ever
    /// entered.
    ///
    /// # Errors
    /// As [`read_run`].
    pub fn read(state: &Path, tenant: &str) -> Result<Option<Records<'static>>, ReadError> {
        let dir = Self::dir(state, tenant);
        match RealDisk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => read_run(&dir).map(Some),
        }
    }

    /// What the index is opened with, for callers that need another disk, clock or witness.
    pub const fn options_mut(&mut self) -> &mut LedgerOptions {
        &mut self.options
    }

    pub(crate) const fn options(&self) -> &LedgerOptions {
        &self.options
    }

    /// Where runs wait until the index knows them.
    pub(crate) fn staging(&self) -> PathBuf {
        self.tenant_dir.join(layout::STAGING)
    }

    pub(crate) fn run_dir(&self, run: &str) -> PathBuf {
        self.tenant_dir.join(layout::RUNS).join(run)
    }

    /// Begins a run: enters it with `fields` (plan hash and the like), and makes and opens its ledger
    /// as `run` says; [`LedgerOptions::dir`] must be [`run_dir`](crate::run_dir) of it. Durable on
    /// return. Whatever moment a kill takes, [`RunIndex::sweep`] ends what is left.
    ///
    /// # Errors
    /// [`IndexError`]; nothing is left of the run then, or the index knows that it started.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use flowhost_ledger::{Fact, HostKey, Kind, LedgerOptions, Recorder, RunIndex, run_dir};
    ///
    /// let state = tempfile::tempdir()?;
    /// let key = Arc::new(HostKey::generate("host.example")?);
    /// let index = RunIndex::new(state.path(), "default", key.clone());
    /// let dir = run_dir(state.path(), "default", "run-1");
    /// let ledger = index.begin(&LedgerOptions::new(&dir, "default", "run-1", key), &[])?;
    /// ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
    /// index.ended("run-1", "ok", &ledger.close_blocking()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin(
        &self,
        run: &LedgerOptions,
        fields: &[(&str, Value)],
    ) -> Result<Ledger, IndexError> {
        let lock = {
            let _turn = self.turn();
            self.stage(run)?
        };
        self.started(&run.run, fields)?;
        let disk = run.disk.as_ref();
        let runs = self.tenant_dir.join(layout::RUNS);
        disk.create_dir(&runs).map_err(OpenError::Io)?;
        disk.rename(&self.staging().join(&run.run), &run.dir)
            .map_err(OpenError::Io)?;
        Ok(Ledger::open_held(run, lock)?)
    }

    /// Makes the run's folder where nobody looks for runs, with a `ledger.json`, and holds it.
    fn stage(&self, run: &LedgerOptions) -> Result<Lock, IndexError> {
        if !layout::segment_is_valid(&run.run) {
            return Err(OpenError::Id(run.run.clone()).into());
        }
        let disk = run.disk.as_ref();
        let mut staging = run.clone();
        staging.dir = self.staging();
        staging.lock_wait = LOCK_WAIT;
        let is_new = !disk::is_dir(disk, &staging.dir).map_err(OpenError::Io)?;
        // Whoever sweeps takes this lock, too, and so never sees a folder that is not held yet.
        let guard = writer::take_folder(&staging)?;
        if is_new {
            disk.sync_dir(&self.tenant_dir).map_err(OpenError::Io)?;
        }
        let mut staged = run.clone();
        staged.dir = staging.dir.join(&run.run);
        let lock = writer::take_folder(&staged)?;
        drop(guard);
        let owner = Owner {
            tenant: run.tenant.clone(),
            run: run.run.clone(),
        };
        let origin = layout::origin(run.key.host(), &owner);
        writer::write_meta(&staged, &origin).map_err(OpenError::Io)?;
        disk.sync_dir(&staging.dir).map_err(OpenError::Io)?;
        Ok(lock)
    }

    /// The runs that have not ended, from the `head` beside the index; `None` if the index has to be
    /// read for it.
    pub(crate) fn peek(&self) -> Result<Option<Vec<String>>, IndexError> {
        let owner = Owner {
            tenant: self.options.tenant.clone(),
            run: layout::INDEX.to_owned(),
        };
        let origin = layout::origin(self.options.key.host(), &owner);
        let (disk, dir) = (self.options.disk.as_ref(), &self.options.dir);
        let head = IndexHead::read(disk, dir, &origin, &self.options.key).map_err(OpenError::Io)?;
        Ok(head.map(|head| head.open))
    }

    /// Opens the index, which puts away what a kill left of it, and signs it; the runs that have not
    /// ended.
    pub(crate) fn put_in_order(&self) -> Result<Vec<String>, IndexError> {
        let ledger = Ledger::open(&self.options)?;
        let open = ledger.open_runs().to_vec();
        ledger.close_blocking()?;
        Ok(open)
    }

    /// Enters that `run` starts. For callers that make the run's ledger themselves: a kill
    /// between the two leaves a run that has no folder, which [`RunIndex::begin`] does not. Durable on
    /// return.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn started(&self, run: &str, fields: &[(&str, Value)]) -> Result<Sealed, IndexError> {
        self.enter(Kind::RunStart, run, fields)
    }

    /// Enters that `run` ended, with what its last checkpoint says. Durable on return.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn ended(&self, run: &str, status: &str, sealed: &Sealed) -> Result<Sealed, IndexError> {
        let fields = [
            ("root", Value::from(sealed.root.as_str())),
            ("size", Value::from(sealed.size)),
            ("status", Value::from(status)),
        ];
        self.enter(Kind::RunEnd, run, &fields)
    }

    /// Hands the index over to a new key: see [`Ledger::rotate_key`].
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn rotate_key(&self, new: Arc<HostKey>) -> Result<Sealed, IndexError> {
        let ledger = Ledger::open(&self.options)?;
        ledger.rotate_key(new)?;
        Ok(ledger.close_blocking()?)
    }

    fn enter(&self, kind: Kind, run: &str, fields: &[(&str, Value)]) -> Result<Sealed, IndexError> {
        if !layout::segment_is_valid(run) {
            return Err(OpenError::Id(run.to_owned()).into());
        }
        let actor = format!("{}/host", self.options.tenant);
        let mut fact = Fact::new(kind, actor).with("run_id", run);
        for (name, value) in fields {
            fact = fact.with(name, value.clone());
        }
        let _turn = self.turn();
        let ledger = Ledger::open(&self.options)?;
        ledger.append(fact)?;
        Ok(ledger.close_blocking()?)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // It guards files, and those are put in order whenever they are opened.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
