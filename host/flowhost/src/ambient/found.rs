//! What earlier processes found in components, for one that looks at them before it has a host.
//!
//! A plan is resolved before anything of the state folder is made, so nothing is made here: where the folder
//! or its key is missing, components are inspected, and the engine keeps what was found once it has compiled
//! them.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use flowhost_engine::{CacheConfig, InspectError, Inspected, Inspections, ShapeLimits};

use super::Ambient;

/// Where they are, and what is open of it.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The folder and the file of its key.
    place: OnceLock<(PathBuf, PathBuf)>,
    open: OnceLock<Option<Inspections>>,
}

impl Ambient {
    /// Says where inspections are kept, with the file of the key that vouches for them. The first word counts.
    pub fn keeps_inspections(&self, dir: PathBuf, key: PathBuf) {
        let again = self.found.place.set((dir, key));
        debug_assert!(again.is_ok(), "a process has one state folder");
    }

    /// Which build of the program this is, for what must not outlive it.
    #[must_use]
    pub fn build(&self) -> String {
        let stamp = self.exe().and_then(|exe| self.stamp(exe));
        stamp.map_or_else(String::new, |stamp| format!("{stamp:?}"))
    }

    /// What is in a component.
    ///
    /// # Errors
    /// Why inspection refuses it.
    pub(crate) fn inspect(&self, bytes: Arc<[u8]>) -> Result<Inspected, InspectError> {
        let limits = ShapeLimits::default();
        match self.found.open.get_or_init(|| self.inspections()) {
            Some(found) => found.inspect(bytes, &limits),
            None => Inspected::new(bytes, &limits),
        }
    }

    fn inspections(&self) -> Option<Inspections> {
        let (dir, key) = self.found.place.get()?;
        // Opening makes the folder, and whoever only looks at a plan makes nothing.
        if !self.is_dir(dir) {
            return None;
        }
        // The key's length: a longer file is no key, and what the folder has cannot be believed then.
        let key = self.read_secret(key, 32).ok()?;
        let config = CacheConfig {
            dir: dir.clone(),
            key: key.try_into().ok()?,
            program: self.build(),
        };
        // `doctor` says of the cache what keeps it from being used.
        Inspections::open(&config).ok()
    }
}
