//! What all plugins of a run may send and receive together: requests in flight, and bytes.
//!
//! Rules bound one request; a plan with many steps is bounded here. Connections are not pooled:
//! every call has a fresh store, so a pool would carry one call's connection into another's, and a
//! handshake per request is the price of "never shared" being true by construction.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::SendError;

/// Requests in flight in one run; the next one waits until its own deadline.
pub(super) const CONCURRENT_MAX: usize = 32;

/// Body bytes in and out of one run. At it every request of the run fails.
pub(super) const RUN_BYTES_MAX: u64 = 4 << 30;

/// Runs that are remembered; older ones without a request in flight are forgotten.
const RUNS_MAX: usize = 256;

/// One run's requests.
pub(super) struct Traffic {
    slots: Arc<Semaphore>,
    bytes: AtomicU64,
    bytes_max: u64,
}

impl Traffic {
    pub(super) fn new(concurrent: usize, bytes_max: u64) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(concurrent)),
            bytes: AtomicU64::new(0),
            bytes_max,
        }
    }

    /// Adds body bytes of either direction.
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

    /// Waits for a slot; the permit is held until the response has been read.
    pub(super) async fn slot(&self) -> Result<OwnedSemaphorePermit, SendError> {
        let closed = |_| SendError::Timeout("slot");
        Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(closed)
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
