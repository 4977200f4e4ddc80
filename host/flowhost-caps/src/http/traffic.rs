//! What all plugins of a run may send and receive together: requests in flight, and bytes.
//!
//! Rules bound one request; a plan with many steps is bounded here. Connections are not pooled:
//! every call has a fresh store, so a pool would carry one call's connection into another's, and a
//! handshake per request is the price of "never shared" being true by construction.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::SendError;

/// Requests in flight in one run that its plugins share; the next one waits until its own deadline.
pub(super) const CONCURRENT_MAX: usize = 32;

/// How many of them one plugin may have. Beside these, each plugin has one request that is its own alone:
/// whatever the others hold, its next request finds a place once its last one is over.
pub(super) const SHARE_MAX: usize = 16;

/// Names that are looked up in one run. Each look-up leaves the host, and a name may carry data out
/// where a rule allows a whole domain.
pub(super) const LOOKUPS_MAX: u64 = 10_000;

/// Bytes of bodies, headers and paths, in and out of one run. At it every request of the run fails. Far beyond an
/// honest run, so that only a guest that fetches in a loop comes to it: its own bounds are of one request each.
pub(super) const RUN_BYTES_MAX: u64 = 4 << 30;

/// Runs that are remembered; older ones without a request in flight are forgotten.
const RUNS_MAX: usize = 256;

/// One run's requests.
pub(super) struct Traffic {
    slots: Arc<Semaphore>,
    /// By the plugin's name in the plan, so that there are as many as the plan has plugins.
    shares: Mutex<HashMap<Arc<str>, Share>>,
    lookups: AtomicU64,
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Traffic {
    pub(super) fn new(concurrent: usize, bytes_max: u64) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(concurrent)),
            shares: Mutex::default(),
            lookups: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_max,
        }
    }

    /// Adds a name that is looked up.
    pub(super) fn count_lookup(&self) -> Result<(), SendError> {
        // Relaxed, here and below: nothing is read by these counters but themselves.
        let used = self.lookups.fetch_add(1, Ordering::Relaxed) + 1;
        if used > LOOKUPS_MAX {
            return Err(SendError::Limit {
                name: "http.lookups",
                used,
                allowed: LOOKUPS_MAX,
            });
        }
        Ok(())
    }

    /// Adds bytes of either direction.
    pub(super) fn count(&self, bytes: u64) -> Result<(), SendError> {
        let used = self
            .bytes
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if used > self.bytes_max {
            return Err(SendError::Limit {
                name: "http.run",
                used,
                allowed: self.bytes_max,
            });
        }
        Ok(())
    }

    /// Waits for a place for a request of `plugin`; it is held until the response has been read.
    pub(super) async fn slot(&self, plugin: &Arc<str>) -> Result<Slot, SendError> {
        let share = self.share(plugin);
        // No semaphore here is ever closed: the error is the type's alone.
        let closed = |_| SendError::Timeout("slot");
        let shared = async {
            // Its share first: who waits for that holds no place that another could use.
            let share = share.shared.acquire_owned().await?;
            let place = Arc::clone(&self.slots).acquire_owned().await?;
            Ok(Slot(place, Some(share)))
        };
        tokio::select! {
            // Its own place first: one that is shared serves others too.
            biased;
            own = share.own.acquire_owned() => own.map(|own| Slot(own, None)).map_err(closed),
            shared = shared => shared.map_err(closed),
        }
    }

    fn share(&self, plugin: &Arc<str>) -> Share {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares.entry(Arc::clone(plugin)).or_default().clone()
    }
}

/// A request's place among those in flight, given back on drop.
#[derive(Debug)]
pub(super) struct Slot(
    #[expect(dead_code, reason = "held, and given back on drop")] OwnedSemaphorePermit,
    #[expect(dead_code, reason = "held, and given back on drop")] Option<OwnedSemaphorePermit>,
);

/// What one plugin may have in flight.
#[derive(Clone)]
struct Share {
    own: Arc<Semaphore>,
    shared: Arc<Semaphore>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            own: Arc::new(Semaphore::new(1)),
            shared: Arc::new(Semaphore::new(SHARE_MAX)),
        }
    }
}

/// The runs of this process.
#[derive(Default)]
pub(super) struct Runs {
    known: Mutex<VecDeque<(Arc<str>, Arc<Traffic>)>>,
}

impl Runs {
    /// The run's counters, made at its first request.
    pub(super) fn traffic(&self, run: &Arc<str>) -> Arc<Traffic> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, traffic)) = known.iter().find(|(name, _)| name == run) {
            return Arc::clone(traffic);
        }
        // A sender serves one run where the host makes one for each (`providers`). One that serves
        // many forgets the counts of a run that rests, which bounds this map and not the run.
        if known.len() >= RUNS_MAX
            && let Some(idle) = known.iter().position(|(_, t)| Arc::strong_count(t) == 1)
        {
            known.remove(idle);
        }
        let traffic = Arc::new(Traffic::new(CONCURRENT_MAX, RUN_BYTES_MAX));
        known.push_back((Arc::clone(run), Arc::clone(&traffic)));
        traffic
    }
}
