//! The circuit breaker: a provider that fails in a row is left alone for a while, then probed with
//! one call.
//!
//! Pure: times come in. Only failures that the provider caused count; a request that it refuses for
//! its content, or our own deadline, says nothing about its health.

use std::time::Duration;

use tokio::time::Instant;

use crate::{error::ErrorClass, settings::BreakerSettings};

#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Calls pass; so many have failed in a row.
    Closed { failures: u32 },
    /// No call passes until then.
    Open { until: Instant },
    /// One call is out to see.
    Probing { until: Instant },
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: State::Closed { failures: 0 },
        }
    }

    /// Lets a call pass, or says how long none will.
    pub(crate) fn enter(&mut self, now: Instant) -> Result<(), Duration> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until } | State::Probing { until } if now < until => Err(until - now),
            // A probe that never ended is forgotten after one more interval.
            State::Open { .. } | State::Probing { .. } => {
                let until = now + self.settings.open;
                self.state = State::Probing { until };
                Ok(())
            }
        }
    }

    /// The outcome of a call that passed.
    pub(crate) fn leave(&mut self, failed: Option<ErrorClass>, now: Instant) {
        let Some(class) = failed else {
            self.state = State::Closed { failures: 0 };
            return;
        };
        if !speaks_of_health(class) {
            self.abandon(now);
            return;
        }
        let failures = match self.state {
            State::Closed { failures } => failures.saturating_add(1),
            // A call from before the circuit opened may end after it, and a failed probe opens it
            // again: both count in full.
            State::Open { .. } | State::Probing { .. } => self.settings.failures,
        };
        self.state = if failures >= self.settings.failures {
            State::Open {
                until: now + self.settings.open,
            }
        } else {
            State::Closed { failures }
        };
    }

    /// A call that passed and ended without a verdict; a probe makes room for the next one.
    pub(crate) fn abandon(&mut self, now: Instant) {
        if let State::Probing { .. } = self.state {
            // Open and not closed: nobody has seen the provider well yet.
            self.state = State::Open { until: now };
        }
    }
}

/// Whether a failure says that the provider is not well.
pub(crate) fn speaks_of_health(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::Transient | ErrorClass::Provider | ErrorClass::Unreachable | ErrorClass::Cut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Duration = Duration::from_secs(30);

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings {
            failures: 2,
            open: OPEN,
        })
    }

    #[test]
    fn opens_after_failures_in_a_row_and_lets_one_probe_pass() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.leave(Some(ErrorClass::Transient), now);
        assert_eq!(breaker.enter(now), Ok(()));
        breaker.leave(Some(ErrorClass::Unreachable), now);
        assert_eq!(breaker.enter(now), Err(OPEN));
        assert_eq!(breaker.enter(now + OPEN), Ok(()));
        assert_eq!(breaker.enter(now + OPEN), Err(OPEN));
        breaker.leave(Some(ErrorClass::Transient), now + OPEN);
        assert_eq!(breaker.enter(now + OPEN), Err(OPEN));
        assert_eq!(breaker.enter(now + 2 * OPEN), Ok(()));
        breaker.leave(None, now + 2 * OPEN);
        assert_eq!(breaker.enter(now + 2 * OPEN), Ok(()));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_again() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for outcome in [Some(ErrorClass::Cut), None, Some(ErrorClass::Cut)] {
            breaker.leave(outcome, now);
        }
        assert_eq!(breaker.enter(now), Ok(()));
    }

    #[test]
    fn a_request_at_fault_says_nothing_about_the_provider() {
        let (mut breaker, now) = (breaker(), Instant::now());
        for class in [
            ErrorClass::Invalid,
            ErrorClass::Auth,
            ErrorClass::Deadline,
            ErrorClass::RateLimited,
        ] {
            breaker.leave(Some(class), now);
            breaker.leave(Some(class), now);
        }
        assert_eq!(breaker.enter(now), Ok(()));
    }

    #[test]
    fn an_abandoned_probe_makes_room_for_the_next() {
        let (mut breaker, now) = (breaker(), Instant::now());
        breaker.leave(Some(ErrorClass::Transient), now);
        breaker.leave(Some(ErrorClass::Transient), now);
        assert_eq!(breaker.enter(now + OPEN), Ok(()));
        breaker.abandon(now + OPEN);
        assert_eq!(breaker.enter(now + OPEN), Ok(()));
    }
}
