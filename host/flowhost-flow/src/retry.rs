//! When a failed attempt is tried again, and after how long.
//!
//! Pure: the jitter comes from the run's seed, so the same run waits the same times when replayed.

use serde::Serialize;

use crate::exit::FailureClass;

/// What happens after a failed attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    pub max_attempts: u32,
    /// How long to wait between them.
    pub backoff: Backoff,
    /// Which failures are tried again, sorted.
    pub retry_on: Vec<FailureClass>,
}

/// Exponential waiting with jitter. Factors are in thousandths, so that no float takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Backoff {
    /// Milliseconds before the second attempt.
    pub initial_ms: u64,
    /// Growth per attempt in thousandths: 2000 doubles.
    pub factor_milli: u32,
    /// Milliseconds at most, jitter included.
    pub max_ms: u64,
    /// Share of the wait that is random, in thousandths: 500 waits between 50 % and 100 %.
    pub jitter_milli: u32,
}
