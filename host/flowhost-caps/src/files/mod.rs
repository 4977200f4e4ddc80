//! `files`: granted folders, and nothing else of this machine.
//!
//! Two interfaces, one tree: `flowhost:files` and `wasi:filesystem` share the handles, the decision,
//! the quota and the records. No path of a guest ever reaches `std::fs` or a shell. No time stamp
//! reaches a guest either: the clock is a right of its own.

mod error;
mod forbidden;
mod grant;
mod host;
mod path;
mod place;
mod root;
mod streams;
#[cfg(test)]
mod tests;
mod usage;
mod wasi;

use std::{any::Any, hash::RandomState, sync::Arc};

use flowhost_engine::{CallScope, Capability, Fault, HostState, Provider};
use flowhost_ledger::records::{Asked, FsOp};
use flowhost_policy::{Access, Denied, Effective, decide_file};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Linker;

pub use forbidden::Forbidden;
pub use grant::{FileServices, GrantProblem, OpenGrants, open_grants, refused_grants};

use error::{FileError, recordable};
use root::Folder;

/// Most descriptors and streams that one call may have open at once. Each is a descriptor of the host's, of which
/// a process commonly has 1,024 for all of its runs.
const OPEN_MAX: usize = 256;

/// The capability.
pub struct Files {
    services: Arc<FileServices>,
    /// Of the hashes that tell files apart: random, one for a run, so that its guests agree on them and
    /// none can search for the numbers behind.
    key: RandomState,
}

impl Files {
    /// With the handles that were opened when the run started.
    #[must_use]
    pub fn new(services: FileServices) -> Self {
        Self {
            services: Arc::new(services),
            key: RandomState::new(),
        }
    }
}

/// What is linked, for every run alike.
pub struct Seam;

impl Capability for Seam {
    fn name(&self) -> &'static str {
        "files"
    }

    fn interfaces(&self) -> &'static [&'static str] {
        &[host::INTERFACE]
    }

    fn runtime_interfaces(&self) -> &'static [&'static str] {
        &[wasi::INTERFACE, wasi::PREOPENS]
    }

    fn link(&self, linker: &mut Linker<HostState>, granted: bool) -> wasmtime::Result<()> {
        if granted {
            host::link(linker)?;
        }
        wasi::link(linker)
    }
}

impl Provider for Files {
    fn capability(&self) -> &dyn Capability {
        &Seam
    }

    fn open(&self, scope: &CallScope, granted: bool) -> Result<Box<dyn Any + Send>, Fault> {
        if !granted {
            return Ok(Box::new(FilesState::default()));
        }
        let state = FilesState::open(&self.services, scope, self.key.clone())?;
        Ok(Box::new(state))
    }
}

/// One granted folder of this call, at the index of its rule.
#[derive(Debug, Clone)]
struct Granted {
    guest: String,
    /// None in a replay, which opens nothing.
    folder: Option<Folder>,
    /// Whether it may be written to.
    write: bool,
}

/// What a store holds: no folder at all without a grant.
#[derive(Default)]
pub(crate) struct FilesState {
    granted: Arc<[Granted]>,
    /// Counts live descriptors by its clones.
    tickets: Arc<()>,
    key: RandomState,
}

impl FilesState {
    fn open(services: &FileServices, scope: &CallScope, key: RandomState) -> Result<Self, Fault> {
        let opened = services.of(&scope.plugin);
        let replayed = scope.is_replayed();
        // All or nothing: rules are found by their index, and one left out would shift those behind
        // it.
        let granted: Option<Arc<[Granted]>> = scope
            .effective
            .grants
            .files
            .iter()
            .map(|grant| {
                let folder = match replayed {
                    true => None,
                    false => Some(opened?.find(grant)?),
                };
                Some(Granted {
                    guest: grant.guest.clone(),
                    folder,
                    write: grant.access == Access::Write,
                })
            })
            .collect();
        let granted = granted.ok_or_else(|| {
            Fault::Host(format!(
                "the folders of `{}` were not opened before the run",
                scope.plugin
            ))
        })?;
        Ok(Self {
            granted,
            tickets: Arc::default(),
            key,
        })
    }

    /// A place among the live descriptors.
    fn ticket(&self) -> Result<Arc<()>, FileError> {
        let used = Arc::strong_count(&self.tickets);
        // The state's own clone counts as one, so that this many live ones make one more.
        if used > OPEN_MAX {
            let allowed = OPEN_MAX as u64;
            return Err(FileError::Limit {
                name: "files.open",
                used: used as u64,
                allowed,
            });
        }
        Ok(Arc::clone(&self.tickets))
    }
}

/// One operation, as it is decided and recorded.
struct Operation<'a> {
    scope: &'a CallScope,
    interface: &'static str,
    /// `open`, `list`, `remove`, …
    name: &'static str,
}

impl Operation<'_> {
    /// Decides and gives the index of the grant; a refusal is recorded.
    fn decide(&self, guest_path: &str, access: Access) -> Result<usize, FileError> {
        match decide_file(&self.scope.effective.grants.files, guest_path, access) {
            Ok(allowed) => Ok(allowed.index),
            Err(denied) => Err(self.deny(denied)?),
        }
    }

    /// As [`Operation::decide`], through the handle of grant `held`: a path that another grant
    /// answers for is not reached through this one.
    fn decide_below(&self, held: usize, path: &str, access: Access) -> Result<(), FileError> {
        match decide_file(&self.scope.effective.grants.files, path, access) {
            Ok(allowed) if allowed.index == held => Ok(()),
            Ok(allowed) => Err(self.deny(Denied {
                right: "files",
                wanted: format!("{} {path}", verb(access)),
                rule: format!("files[{}].guest", allowed.index),
                cure: None,
            })?),
            Err(denied) => Err(self.deny(denied)?),
        }
    }

    /// Looks at what grant `index` shows: one record, of the right and of what was seen.
    async fn see<T: Serialize + DeserializeOwned>(
        &self,
        index: usize,
        path: &str,
        look: impl Future<Output = Result<T, FileError>>,
    ) -> Result<T, FileError> {
        let wanted = format!("{} {path}", verb(Access::Read));
        let look = async { recordable(look.await) };
        let (rule, record) = (rule(index), self.record());
        let seen = self
            .scope
            .look(record, self.interface, &rule, wanted, look)
            .await?;
        Ok(seen?)
    }

    /// Changes the tree. What is meant is on disk in the ledger before it happens, and what came of it
    /// is recorded behind it.
    async fn change<T: Serialize + DeserializeOwned>(
        &self,
        index: usize,
        path: &str,
        asked: &str,
        act: impl Future<Output = Result<T, FileError>>,
    ) -> Result<T, FileError> {
        self.intend(index, path).await?;
        self.done(path, asked, act).await
    }

    /// Records that a change of `path` is meant.
    async fn intend(&self, index: usize, path: &str) -> Result<(), FileError> {
        let wanted = Asked::for_what(format!("{} {path}", verb(Access::Write)));
        let (rule, record) = (rule(index), self.record());
        let fact = self.scope.allowed(record, self.interface, &rule, &wanted);
        self.scope.record_durable(fact).await?;
        Ok(())
    }

    /// Looks or changes one of the two, as `access` says.
    async fn perform<T: Serialize + DeserializeOwned>(
        &self,
        index: usize,
        path: &str,
        access: Access,
        act: impl Future<Output = Result<T, FileError>>,
    ) -> Result<T, FileError> {
        match access {
            Access::Read => self.see(index, path, act).await,
            Access::Write => self.change(index, path, "", act).await,
        }
    }

    /// What came of something that needed no decision of its own: the handle is the right.
    async fn done<T: Serialize + DeserializeOwned>(
        &self,
        path: &str,
        asked: &str,
        act: impl Future<Output = Result<T, FileError>>,
    ) -> Result<T, FileError> {
        let asked = format!("{path} {asked}");
        let act = async { recordable(act.await) };
        let done = self
            .scope
            .outside(self.interface, self.name, asked.trim_end(), act)
            .await?;
        Ok(done?)
    }

    fn record(&self) -> FsOp {
        FsOp {
            op: Some(self.name.to_owned()),
            ..FsOp::default()
        }
    }

    fn deny(&self, denied: Denied) -> Result<FileError, FileError> {
        self.scope.record_deny::<FsOp>(self.interface, &denied)?;
        Ok(FileError::Denied(denied))
    }
}

fn rule(index: usize) -> String {
    format!("files[{index}]")
}

/// A handle of a live run. A replay has none, and never comes here: its answers are in the record.
fn live<T>(handle: Option<T>) -> Result<T, FileError> {
    let missing = || FileError::Fault(Fault::Host("a file was touched in a replay".to_owned()));
    handle.ok_or_else(missing)
}

/// What is written, where its record needs no more than to tell it from other bytes.
fn hash(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

const fn verb(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

/// Whether a granted folder still shows what a record says that a guest of `plugin` saw: the answer to `op`
/// at this path of the guest's. Blocks on the disk; false where that cannot be told.
#[must_use]
pub fn still_shows(
    services: &FileServices,
    plugin: &str,
    effective: &Effective,
    op: &str,
    path: &str,
    answer: &serde_json::Value,
) -> bool {
    let grants = &effective.grants.files;
    let Ok(allowed) = decide_file(grants, path, Access::Read) else {
        return false;
    };
    let Some(grant) = grants.get(allowed.index) else {
        return false;
    };
    let folder = services.of(plugin).and_then(|opened| opened.find(grant));
    let most = effective.limits.output_bytes;
    folder.is_some_and(|folder| host::shows(&folder, &grant.guest, op, path, most, answer))
}

/// Runs what blocks away from the executor.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FileError::Fault(Fault::Host(error.to_string()))))
}
