//! When a server at an address is asked again that did not answer: after a pause that grows, and after some tries in
//! a row not before the pause is over, whoever asks.

use std::time::Duration;

use tokio::time::Instant;

/// The pause after a first failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause: a server that is started again is back within such a time.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Failures in a row after which nobody waits for the pause to end: calls would stand in line for a server that
/// is away.
const WAITED_FOR: u32 = 4;

/// How a server did lately.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Failures since it answered last.
    failures: u32,
    /// When the last one was noticed.
    failed: Option<Instant>,
}

/// Whether it may be asked now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once.
    Now,
    /// After this time.
    After(Duration),
    /// Not before this time is over, and it is not waited for.
    Not(Duration, u32),
}

impl Health {
    pub(super) fn turn(&self, now: Instant) -> Turn {
        let Some(failed) = self.failed else {
            return Turn::Now;
        };
        let left = (failed + pause(self.failures)).saturating_duration_since(now);
        if left.is_zero() {
            return Turn::Now;
        }
        match self.failures > WAITED_FOR {
            true => Turn::Not(left, self.failures),
            false => Turn::After(left),
        }
    }

    /// It gave an answer, whichever.
    pub(super) fn answered(&mut self) {
        *self = Self::default();
    }

    /// A request that began at `began` got none. Those at work together fail together, and count once.
    pub(super) fn failed(&mut self, began: Instant, now: Instant) {
        if self.failed.is_none_or(|last| began >= last) {
            self.failures = self.failures.saturating_add(1);
            self.failed = Some(now);
        }
    }
}

/// The pause after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    // Eight are beyond the longest pause already, and a shift by 32 would overflow.
    let doublings = failures.saturating_sub(1).min(8);
    PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_failure_doubles_the_pause_and_after_some_nobody_waits() {
        let mut health = Health::default();
        for waits in [250, 500, 1_000, 2_000] {
            let now = Instant::now();
            health.failed(now, now);
            assert_eq!(health.turn(now), Turn::After(Duration::from_millis(waits)));
        }
        let now = Instant::now();
        health.failed(now, now);
        assert_eq!(health.turn(now), Turn::Not(Duration::from_secs(4), 5));
        // When the pause is over one is let through, and its answer lets all through.
        let later = now + Duration::from_secs(4);
        assert_eq!(health.turn(later), Turn::Now);
        health.failed(later, later);
        assert_eq!(health.turn(later), Turn::Not(Duration::from_secs(8), 6));
        health.answered();
        assert_eq!(health.turn(later), Turn::Now);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_together_counts_once() {
        let mut health = Health::default();
        let began = Instant::now();
        let later = began + Duration::from_secs(1);
        for _ in 0..10 {
            health.failed(began, later);
        }
        assert_eq!(health.turn(later), Turn::After(Duration::from_millis(250)));
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        assert_eq!(pause(u32::MAX), PAUSE_MAX);
    }
}
