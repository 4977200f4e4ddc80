//! Which component a remote source of a plan means: `sha256` in the plan, else the lock beside it.

use std::path::Path;

use flowhost_author::remote::Place;
use flowhost_flow::PluginDecl;
use flowhost_run::Finding;

use crate::plugin::lock::Lock;
use crate::remote::Pin;
use crate::sources::Sources;

/// What is said of a plan's plugins. The lock is read where a plugin needs it.
pub(super) struct Pins {
    lock: Result<Option<Lock>, Finding>,
    newest: bool,
}

impl Pins {
    /// Of a plan in `dir`, whose plugins are `decls`.
    pub(super) fn of<'a>(
        sources: &Sources<'_>,
        dir: &Path,
        mut decls: impl Iterator<Item = &'a PluginDecl>,
    ) -> Self {
        let newest = sources.looks_anew();
        // A plan that pins all of its sources, or has none from elsewhere, must not fail of a lock that it does not
        // need.
        let needed = decls.any(|decl| decl.sha256.is_none() && Place::is_meant(&decl.source));
        let lock = match needed && !newest && sources.kept().is_none() {
            true => sources.lock(dir),
            false => Ok(None),
        };
        Self { lock, newest }
    }

    /// Gives the digest that the plugin `key` must have, if one is said, to `with`.
    ///
    /// # Errors
    /// When the lock is there and is not one.
    pub(super) fn with<T>(
        &self,
        key: &str,
        decl: &PluginDecl,
        with: impl FnOnce(Pin<'_>) -> Result<T, Finding>,
    ) -> Result<T, Finding> {
        if let Some(pinned) = &decl.sha256 {
            return with(Pin::To(&format!("sha256:{pinned}")));
        }
        if self.newest {
            return with(Pin::Newest);
        }
        let lock = self.lock.as_ref().map_err(Finding::clone)?;
        let entry = lock.as_ref().and_then(|lock| lock.0.get(key));
        // Locked under another source, it says nothing of this one.
        match entry.filter(|entry| entry.source == decl.source) {
            Some(entry) => with(Pin::To(&entry.digest)),
            None => with(Pin::Unsaid),
        }
    }
}
