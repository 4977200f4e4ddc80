//! How often one MCP server of a run is called. Whoever is too fast waits, as for a free instance; whoever would have to
//! wait longer than its call may take is told so. Pure: it is told the time.
//!
//! A server stands for something that others use too (an account, a quota, somebody's machine), and an agent that
//! loops asks it as fast as it answers; the operator says how fast that may be.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The window that the number is of. A server that was not called for so long may be called that often at once.
const WINDOW: Duration = Duration::from_secs(60);

/// The pace of one server.
#[derive(Debug)]
pub(crate) struct Pace {
    per_minute: NonZeroU32,
    /// When everything that was let through would have been, had it come evenly (GCRA, ITU-T I.371).
    even: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new(per_minute: NonZeroU32, now: Instant) -> Self {
        Self {
            per_minute,
            even: Mutex::new(now),
        }
    }

    pub(crate) fn per_minute(&self) -> u64 {
        self.per_minute.get().into()
    }

    /// Takes the next turn and gives how long it is until then; none when that is longer than `patience`, and then
    /// nothing was taken.
    pub(crate) fn turn(&self, now: Instant, patience: Duration) -> Option<Duration> {
        let mut even = self.even.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*even).max(now) + WINDOW / self.per_minute.get();
        let wait = (next - now).saturating_sub(WINDOW);
        if wait > patience {
            return None;
        }
        *even = next;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(per_minute: u32) -> (Pace, Instant) {
        let now = Instant::now();
        (Pace::new(NonZeroU32::new(per_minute).unwrap(), now), now)
    }

    #[test]
    fn the_one_after_the_last_of_a_minute_waits_its_share_or_is_refused() {
        let (pace, now) = pace(60);
        for _ in 0..60 {
            assert_eq!(pace.turn(now, Duration::ZERO), Some(Duration::ZERO));
        }
        assert_eq!(pace.turn(now, Duration::from_millis(999)), None);
        let second = Duration::from_secs(1);
        assert_eq!(pace.turn(now, second), Some(second));
        assert_eq!(
            pace.turn(now, second),
            None,
            "a refused turn takes none, a granted one does"
        );
    }

    #[test]
    fn evenly_nobody_waits_and_a_rest_gives_a_minutes_worth_and_no_more() {
        let (pace, start) = pace(60);
        let mut now = start;
        for _ in 0..600 {
            assert_eq!(pace.turn(now, Duration::ZERO), Some(Duration::ZERO));
            now += Duration::from_secs(1);
        }
        now += Duration::from_secs(3_600);
        let at_once = (0..200).filter(|_| pace.turn(now, Duration::ZERO).is_some());
        assert_eq!(at_once.count(), 60);
    }
}
