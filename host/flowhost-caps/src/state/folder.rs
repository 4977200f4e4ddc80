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

/// Namespaces that stay open, as long as not more are in use at once. Each takes one of the thousand descriptors that a
/// process often has, and memory for its keys: a stranger's plan, whose own profile grants many to many plugins, must not
/// take what all other runs need. A run uses a few.
const OPEN_MAX: usize = 128;

/// Keeps state in files.
///
/// One process at a time: whoever owns the state folder of the host owns this one.
pub struct FolderStore {
    root: Arc<Dir>,
    open: Mutex<HashMap<Slot, Shared>>,
    /// As [`OPEN_MAX`] says.
    most: usize,
}

impl FolderStore {
    /// Below `root`, which only the host can reach.
    #[must_use]
    pub fn new(root: Dir) -> Self {
        Self {
            root: Arc::new(root),
            open: Mutex::default(),
            most: OPEN_MAX,
        }
    }

    /// The namespace as all calls share it, which is opened when the first of them looks into it.
    fn shared(&self, slot: &Slot) -> Shared {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = open.get(slot) {
            return Arc::clone(shared);
        }
        if open.len() >= self.most {
            // What nobody uses: nobody can begin to while the map is held, and all that it knows is on the disk.
            open.retain(|_, shared| Arc::strong_count(shared) > 1);
        }
        Arc::clone(open.entry(slot.clone()).or_default())
    }

    async fn with<T: Send + 'static>(
        &self,
        slot: &Slot,
        work: impl FnOnce(&mut Namespace) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let shared = self.shared(slot);
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

#[cfg(test)]
mod tests {
    use cap_std::ambient_authority;

    use super::*;

    fn slot(namespace: &str) -> Slot {
        Slot {
            tenant: "default".to_owned(),
            plugin: "p".to_owned(),
            namespace: namespace.to_owned(),
        }
    }

    #[tokio::test]
    async fn namespaces_that_nobody_uses_are_closed_and_are_the_same_when_they_are_opened_again() {
        let temporary = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
        let store = FolderStore {
            most: 2,
            ..FolderStore::new(root)
        };
        let (a, used) = (slot("a"), slot("used"));
        let first = store.put(&a, "k", b"1".to_vec(), Expected::Any, 1_000);
        let first = first.await.unwrap();
        // As a call has it that is at work.
        let held = store.shared(&used);
        for name in ["b", "c", "d"] {
            assert_eq!(store.get(&slot(name), "k").await.unwrap(), None);
            let open = store.open.lock().unwrap();
            assert!(open.contains_key(&used), "{name}");
            assert_eq!(open.len(), 2, "{name}");
        }
        drop(held);
        let kept = store.get(&a, "k").await.unwrap().unwrap();
        assert_eq!(
            (kept.value.as_slice(), Some(kept.revision)),
            (&b"1"[..], first)
        );
        let later = store.put(&a, "k", b"2".to_vec(), Expected::Any, 1_000);
        assert!(later.await.unwrap() > first);
    }
}
