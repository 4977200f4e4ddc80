//! Each folder is a temporary one; nothing outside of it is ever written.

mod grants;
mod hidden;
mod ours;
mod quota;
mod race;
mod wasi;

use std::{path::Path, sync::Arc};

use cap_std::{ambient_authority, fs::Dir};
use flowhost_engine::{CallScope, HostState, Provider, bindings::types as shared};
use flowhost_ledger::MemoryRecorder;
use flowhost_policy::{Access, FileGrant, Grants, Limits};
use tempfile::TempDir;

use super::{
    FileServices, Files, Forbidden,
    host::wit::{self, Host as _},
    open_grants,
};
use crate::testing::{self, field};
pub(super) use crate::testing::{denied, invalid, limited};

pub(super) fn grant(guest: &str, host: &str, access: Access) -> FileGrant {
    let write = access == Access::Write;
    FileGrant {
        guest: guest.to_owned(),
        host: host.to_owned(),
        access,
        quota_bytes: if write { 10_000 } else { 0 },
        quota_entries: if write { 50 } else { 0 },
    }
}

/// A plan folder with `docs` (a file, a folder, a secret beside them) and an empty `out`.
pub(super) struct Tree {
    temporary: TempDir,
    pub(super) dir: Dir,
}

impl Tree {
    pub(super) fn new() -> Self {
        let temporary = TempDir::new().unwrap();
        let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
        dir.create_dir_all("docs/sub").unwrap();
        dir.create_dir("out").unwrap();
        dir.write("docs/a.md", "alpha").unwrap();
        dir.write("docs/sub/b.md", "beta").unwrap();
        dir.write("secret", "outside").unwrap();
        Self { temporary, dir }
    }

    pub(super) fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// One call of a plugin with these grants.
    pub(super) fn call(&self, grants: Vec<FileGrant>) -> Call {
        self.call_beside(grants, &Forbidden::default())
    }

    /// The same with folders that nobody may grant.
    pub(super) fn call_beside(&self, grants: Vec<FileGrant>, forbidden: &Forbidden) -> Call {
        let opened = open_grants(self.path(), &grants, forbidden).unwrap();
        let mut services = FileServices::default();
        services.insert("p", opened);
        Call::new(Files::new(services), grants)
    }

    /// Reads `/docs`, writes `/out`.
    pub(super) fn usual(&self) -> Call {
        self.call(vec![
            grant("/docs", "docs", Access::Read),
            grant("/out", "out", Access::Write),
        ])
    }
}

/// A store with the capability's state, and what it recorded.
pub(super) struct Call {
    pub(super) state: HostState,
    recorder: Arc<MemoryRecorder>,
}

impl Call {
    pub(super) fn new(files: Files, grants: Vec<FileGrant>) -> Self {
        let recorder = Arc::new(MemoryRecorder::default());
        let scope = scope(grants, &recorder);
        let granted = files.capability().granted(&scope.effective);
        let opened = files.open(&scope, granted).unwrap();
        let mut state = HostState::new(scope);
        state.insert(opened);
        Self { state, recorder }
    }

    pub(super) async fn read(&mut self, path: &str) -> Result<Vec<u8>, shared::Error> {
        (&mut self.state).read(path.to_owned()).await.unwrap()
    }

    pub(super) async fn list(&mut self, path: &str) -> Result<Vec<String>, shared::Error> {
        let entries = (&mut self.state).list(path.to_owned()).await.unwrap()?;
        Ok(entries.into_iter().map(|entry| entry.name).collect())
    }

    pub(super) async fn entries(&mut self, path: &str) -> Vec<wit::Entry> {
        (&mut self.state)
            .list(path.to_owned())
            .await
            .unwrap()
            .unwrap()
    }

    pub(super) async fn stat(&mut self, path: &str) -> Result<wit::Entry, shared::Error> {
        (&mut self.state).stat(path.to_owned()).await.unwrap()
    }

    pub(super) async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), shared::Error> {
        (&mut self.state)
            .write(path.to_owned(), bytes.to_vec())
            .await
            .unwrap()
    }

    pub(super) async fn append(&mut self, path: &str, bytes: &[u8]) -> Result<(), shared::Error> {
        (&mut self.state)
            .append(path.to_owned(), bytes.to_vec())
            .await
            .unwrap()
    }

    pub(super) async fn make(&mut self, path: &str) -> Result<(), shared::Error> {
        (&mut self.state)
            .make_directory(path.to_owned())
            .await
            .unwrap()
    }

    pub(super) async fn remove(&mut self, path: &str) -> Result<(), shared::Error> {
        (&mut self.state).remove(path.to_owned()).await.unwrap()
    }

    /// The last record's decision, rule and operation.
    pub(super) fn last(&self) -> (String, String, String) {
        let fact = crate::testing::decided(&self.recorder).pop().unwrap();
        let [decision, rule, wanted] =
            ["decision", "rule", "wanted"].map(|name| field(&fact, name).to_owned());
        (decision, rule, wanted)
    }

    pub(super) fn records(&self) -> usize {
        crate::testing::decided(&self.recorder).len()
    }
}

pub(super) fn scope(files: Vec<FileGrant>, recorder: &Arc<MemoryRecorder>) -> CallScope {
    let grants = Grants {
        files,
        ..Grants::default()
    };
    testing::scope(grants, Limits::default(), recorder)
}
