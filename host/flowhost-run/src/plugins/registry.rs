//! Which revision of a plugin a call takes.
//!
//! A call pins the revision that is current when it is ordered and keeps it to its end, whatever is
//! swapped meanwhile; the next call takes the new one. State and mailboxes belong to the plugin and not
//! to a revision. A revision is let go when the last call that pinned it has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use crate::plugins::installed::Installed;

/// The plugins of a run by key.
#[derive(Default)]
pub(crate) struct Registry(RwLock<BTreeMap<String, Entry>>);

struct Entry {
    current: Arc<Installed>,
    /// Those before it that a call may still hold.
    earlier: Vec<Weak<Installed>>,
}

/// What is said of a plugin that the registry does not have.
pub(crate) fn not_of_this_run(key: &str) -> String {
    format!("the plugin `{key}` is not one of this run's")
}

impl Registry {
    /// The revision that a call takes now.
    pub(crate) fn current(&self, key: &str) -> Option<Arc<Installed>> {
        self.read(|plugins| plugins.get(key).map(|entry| entry.current.clone()))
    }

    /// A revision that was pinned; none when it has been let go.
    pub(crate) fn pinned(&self, key: &str, revision: u64) -> Option<Arc<Installed>> {
        self.read(|plugins| {
            let entry = plugins.get(key)?;
            if entry.current.revision == revision {
                return Some(entry.current.clone());
            }
            let earlier = entry.earlier.iter().filter_map(Weak::upgrade);
            earlier.into_iter().find(|it| it.revision == revision)
        })
    }

    /// The current revision of every plugin, by key.
    pub(crate) fn all(&self) -> Vec<Arc<Installed>> {
        self.read(|plugins| plugins.values().map(|it| it.current.clone()).collect())
    }

    /// Whether an agent has a mailbox.
    pub(crate) fn anybody_reads(&self) -> bool {
        let reads = |it: &Installed| {
            it.is_agent() && !it.plugin.effective().grants.messages.subscribe.is_empty()
        };
        self.read(|plugins| plugins.values().any(|entry| reads(&entry.current)))
    }

    /// The current revision of every plugin whose key begins with `prefix`, and holds no further `::`.
    pub(crate) fn below(&self, prefix: &str) -> Vec<Arc<Installed>> {
        self.read(|plugins| {
            let below = plugins.range(prefix.to_owned()..);
            below
                .take_while(|(key, _)| key.starts_with(prefix))
                .filter(|(key, _)| key.get(prefix.len()..).is_some_and(|it| !it.contains("::")))
                .map(|(_, entry)| entry.current.clone())
                .collect()
        })
    }

    /// Makes `installed` the current revision of its plugin, and gives the one before it.
    pub(crate) fn put(&self, installed: Installed) -> Option<Arc<Installed>> {
        let mut plugins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let current = Arc::new(installed);
        let Some(entry) = plugins.get_mut(&*current.key) else {
            let key = current.key.to_string();
            let earlier = Vec::new();
            plugins.insert(key, Entry { current, earlier });
            return None;
        };
        debug_assert!(
            current.revision > entry.current.revision,
            "revisions count up: a call could else pin one and get another"
        );
        let before = std::mem::replace(&mut entry.current, current);
        // Else a run that is swapped for days would keep a word for each of its builds.
        entry.earlier.retain(|it| it.strong_count() > 0);
        entry.earlier.push(Arc::downgrade(&before));
        Some(before)
    }

    /// Makes a build current that may have been so before: in a replay each call takes the one that it took.
    pub(crate) fn turn_to(&self, current: Arc<Installed>) {
        let mut plugins = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let earlier = Vec::new();
        plugins.insert(current.key.to_string(), Entry { current, earlier });
    }

    fn read<T>(&self, read: impl FnOnce(&BTreeMap<String, Entry>) -> T) -> T {
        read(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}
