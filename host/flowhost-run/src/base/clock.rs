//! The clock of a run: wall time at its start, then what has passed since, so that it never goes back.

use std::time::Duration;

use flowhost_flow::Time;
use tokio::time::Instant;

/// As far ahead as tokio puts what has no end: thirty years, which any clock can count.
const NEVER: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Where a run's time comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunClock {
    started_ms: u64,
    started: Instant,
}

impl RunClock {
    /// Starts now, which is `started_ms` milliseconds after the Unix epoch.
    #[must_use]
    pub(crate) fn new(started_ms: u64) -> Self {
        Self {
            started_ms,
            started: Instant::now(),
        }
    }

    /// Goes on from `time`: what passed while no process ran is not part of it.
    #[must_use]
    pub(crate) fn from(time: Time) -> Self {
        Self::new(time.0)
    }

    /// The time now.
    #[must_use]
    pub(crate) fn now(&self) -> Time {
        let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Time(self.started_ms.saturating_add(passed))
    }

    /// When `time` is, or now if it has passed.
    #[must_use]
    pub(crate) fn at(&self, time: Time) -> Instant {
        let later = Duration::from_millis(time.0.saturating_sub(self.started_ms));
        let at = self.started.checked_add(later);
        // A time that the system's clock cannot count to is never come to, and least of all now.
        at.unwrap_or_else(|| Instant::now() + NEVER)
    }
}
