//! State below one folder of the host: `<tenant>/<plugin>/<namespace>/`.
//!
//! The folder comes in as a handle; no path leads out of it, because every part of a path is encoded.
//! Work on the disk happens on a thread that may wait.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cap_std::fs::Dir;

use crate::shared::support::file_name;
use crate::state::namespace::{Namespace, storage, sync};
use crate::state::store::{Entry, Expected, Slot, StateError, StateStore};

type Shared = Arc<Mutex<Option<Namespace>>>;

/// Keeps state in files.
///
/// One process at a time: whoever owns the state folder of the host owns this one.
pub struct FolderStore {
    root: Arc<Dir>,
    open: Mutex<HashMap<Slot, Shared>>,
}

impl FolderStore {
    /// Below `root`, which only the host can reach.
    #[must_use]
    pub fn new(root: Dir) -> Self {
        Self {
            root: Arc::new(root),
            open: Mutex::default(),
        }
    }

    async fn with<T: Send + 'static>(
        &self,
        slot: &Slot,
        work: impl FnOnce(&mut Namespace) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let shared = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(open.entry(slot.clone()).or_default())
        };
        let (root, slot) = (Arc::clone(&self.root), slot.clone());
        let work = move || {
            // On the thread that may wait, one namespace at a time; the map's own lock is let go
            // before.
            let mut guard = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let namespace = match &mut *guard {
                Some(namespace) => namespace,
                closed => closed.insert(open(&root, &slot).map_err(storage)?),
            };
            work(namespace)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| StateError::Storage(error.to_string()))?
    }
}

fn open(root: &Dir, slot: &Slot) -> io::Result<Namespace> {
    let parts = [&slot.tenant, &slot.plugin, &slot.namespace];
    let mut dir = root.try_clone()?;
    for part in parts {
        let name = file_name(part);
        match dir.create_dir(&name) {
            // The folder above holds the name: without this a crash could lose the namespace with
            // all that was synced in it.
            Ok(()) => sync(&dir)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        dir = dir.open_dir(&name)?;
    }
    Namespace::open(dir)
}

#[async_trait]
impl StateStore for FolderStore {
    async fn get(&self, slot: &Slot, key: &str) -> Result<Option<Entry>, StateError> {
        let key = key.to_owned();
        self.with(slot, move |it| it.get(&key).map_err(storage))
            .await
    }

    async fn put(
        &self,
        slot: &Slot,
        key: &str,
        value: Vec<u8>,
        expected: Expected,
        bytes_max: u64,
    ) -> Result<Option<u64>, StateError> {
        let key = key.to_owned();
        let put = move |it: &mut Namespace| it.put(&key, &value, expected, bytes_max);
        self.with(slot, put).await
    }

    async fn delete(&self, slot: &Slot, key: &str) -> Result<bool, StateError> {
        let key = key.to_owned();
        self.with(slot, move |it| it.delete(&key).map_err(storage))
            .await
    }

    async fn list(&self, slot: &Slot, prefix: &str) -> Result<Vec<String>, StateError> {
        let prefix = prefix.to_owned();
        self.with(slot, move |it| Ok(it.list(&prefix))).await
    }
}
