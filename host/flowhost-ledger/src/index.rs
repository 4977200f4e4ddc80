//! The ledger of a tenant's runs (`runs.index`): one record when a run starts and one when it ends.
//!
//! It makes a missing run visible, and a run that was cut back after it ended, because the record
//! of the end holds size and root. Several processes may run plans of one tenant, so the index is
//! opened for one record at a time and the others wait.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{RealDisk, Source as _};
use crate::fact::{Fact, Value};
use crate::keys::HostKey;
use crate::layout;
use crate::options::LedgerOptions;
use crate::reader::{ReadError, Records, read_run};
use crate::recorder::{LedgerError, Recorder as _};
use crate::records::Kind;
use crate::writer::{Ledger, OpenError, Sealed};

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

/// The index of one tenant's runs.
#[derive(Debug, Clone)]
pub struct RunIndex {
    options: LedgerOptions,
}

impl RunIndex {
    /// The index of `tenant` below the state folder `state`; opens nothing yet.
    #[must_use]
    pub fn new(state: &Path, tenant: &str, key: Arc<HostKey>) -> Self {
        let dir = Self::dir(state, tenant);
        let mut options = LedgerOptions::new(&dir, tenant, layout::INDEX, key);
        options.lock_wait = LOCK_WAIT;
        Self { options }
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

    /// Enters that `run` starts; to be called before the run's own ledger is made, so that there is
    /// no moment at which a run exists that the index does not know. Durable on return. `fields`
    /// are added to the record (plan hash and the like).
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
        let ledger = Ledger::open(&self.options)?;
        ledger.append(fact)?;
        Ok(ledger.close_blocking()?)
    }
}
