//! Requests per minute of one provider, by the generic cell rate algorithm (ITU-T I.371).
//!
//! Pure and a few lines, because the known crates bring their own clock, which tests could not stop.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds of requests that may go out at once after a pause. Agents of one step ask together; a bucket without
/// room for them would make each wait for the one before.
const BURST_SECONDS: u32 = 6;

#[derive(Debug)]
pub(crate) struct Rate {
    /// Between two requests at the steady rate.
    interval: Duration,
    /// How far the steady schedule may be anticipated.
    tolerance: Duration,
    /// When the schedule is free again.
    free_at: Option<Instant>,
}

impl Rate {
    pub(crate) fn new(requests_per_minute: u32) -> Self {
        let interval = Duration::from_secs(60) / requests_per_minute.max(1);
        // Below twenty requests a minute a burst is one; the product is below 2³², since the
        // settings end at a million.
        let burst = (requests_per_minute * BURST_SECONDS / 60).max(1);
        Self {
            interval,
            // The first of a burst needs no tolerance.
            tolerance: interval * (burst - 1),
            free_at: None,
        }
    }

    /// Takes the next place that begins before `deadline`, and says when it begins.
    pub(crate) fn take(&mut self, now: Instant, deadline: Instant) -> Option<Instant> {
        let free_at = self.free_at.map_or(now, |at| at.max(now));
        let begins = free_at
            .checked_sub(self.tolerance)
            .map_or(now, |at| at.max(now));
        // Nothing is taken: who will not wait leaves the schedule to the others.
        if begins >= deadline {
            return None;
        }
        self.free_at = Some(free_at + self.interval);
        Some(begins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_steady_rate() {
        let mut rate = Rate::new(60);
        let now = Instant::now();
        let later = now + Duration::from_secs(3_600);
        let waits: Vec<u64> = (0..8)
            .map(|_| (rate.take(now, later).unwrap() - now).as_secs())
            .collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn refuses_a_place_beyond_the_deadline_without_taking_it() {
        let mut rate = Rate::new(1);
        let now = Instant::now();
        let soon = now + Duration::from_secs(30);
        assert_eq!(rate.take(now, soon), Some(now));
        assert_eq!(rate.take(now, soon), None);
        let minute = now + Duration::from_secs(60);
        assert_eq!(
            rate.take(now, minute + Duration::from_secs(1)),
            Some(minute)
        );
    }

    #[test]
    fn never_lets_more_pass_than_the_rate_and_a_burst() {
        let mut rate = Rate::new(600);
        let start = Instant::now();
        let end = start + Duration::from_secs(60);
        let mut passed = 0;
        let mut now = start;
        while let Some(at) = rate.take(now, end) {
            now = at;
            passed += 1;
        }
        assert_eq!(passed, 600 + 59);
    }
}
