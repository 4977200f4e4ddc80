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
use wasmtime::component::Linker;

pub use forbidden::Forbidden;
pub use grant::{FileServices, GrantProblem, OpenGrants, open_grants, refused_grants};

use error::FileError;
use root::Folder;

/// Most descriptors and streams that one call may have open at once.
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

    fn granted(&self, effective: &Effective) -> bool {
        !effective.grants.files.is_empty()
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
    folder: Folder,
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
        let granted: Option<Arc<[Granted]>> = scope
            .effective
            .grants
            .files
            .iter()
            .map(|grant| {
                let folder = opened?.find(grant)?;
                Some(Granted {
                    guest: grant.guest.clone(),
                    folder,
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
    /// Decides, records, and gives the index of the grant. What changes the tree is on disk in the
    /// ledger before it happens.
    async fn decide(&self, guest_path: &str, access: Access) -> Result<usize, FileError> {
        match decide_file(&self.scope.effective.grants.files, guest_path, access) {
            Ok(allowed) => {
                self.allow(allowed.index, guest_path, access).await?;
                Ok(allowed.index)
            }
            Err(denied) => Err(self.deny(denied)?),
        }
    }

    /// As [`Operation::decide`], through the handle of grant `held`: a path that another grant
    /// answers for is not reached through this one.
    async fn decide_below(&self, held: usize, path: &str, access: Access) -> Result<(), FileError> {
        match decide_file(&self.scope.effective.grants.files, path, access) {
            Ok(allowed) if allowed.index == held => self.allow(held, path, access).await,
            Ok(allowed) => Err(self.deny(Denied {
                right: "files",
                wanted: format!("{} {path}", verb(access)),
                rule: format!("files[{}].guest", allowed.index),
                cure: None,
            })?),
            Err(denied) => Err(self.deny(denied)?),
        }
    }

    async fn allow(&self, index: usize, path: &str, access: Access) -> Result<(), FileError> {
        let op = FsOp {
            op: Some(self.name.to_owned()),
            ..FsOp::default()
        };
        let rule = format!("files[{index}]");
        let asked = Asked::for_what(format!("{} {path}", verb(access)));
        let fact = self.scope.allowed(op, self.interface, &rule, &asked);
        match access {
            Access::Read => {
                self.scope.run.recorder.append(fact).map_err(Fault::from)?;
            }
            Access::Write => {
                self.scope.record_durable(fact).await?;
            }
        }
        Ok(())
    }

    fn deny(&self, denied: Denied) -> Result<FileError, FileError> {
        self.scope.record_deny::<FsOp>(self.interface, &denied)?;
        Ok(FileError::Denied(denied))
    }
}

const fn verb(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

/// Runs what blocks away from the executor.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FileError::Fault(Fault::Host(error.to_string()))))
}
