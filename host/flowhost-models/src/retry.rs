//! What follows a failed try: another one, another model, or the end.
//!
//! Pure. Jitter comes from the caller's seed, so a replayed run waits as long as the first did.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::error::ErrorClass;

/// When a failed try is made again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryPolicy {
    /// Tries of one model, the first included.
    pub(crate) max_attempts: u32,
    pub(crate) backoff: Backoff,
}

/// Exponential waiting with jitter, in integers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) initial: Duration,
    /// Growth in thousandths.
    pub(crate) factor_milli: u64,
    pub(crate) max: Duration,
    /// Random share of a wait in thousandths.
    pub(crate) jitter_milli: u64,
}

/// A try that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    /// Tries of this model so far.
    pub(crate) attempt: u32,
    pub(crate) class: ErrorClass,
    /// The same request would end the same way, whatever its class says.
    pub(crate) hopeless: bool,
    /// What the provider asked for.
    pub(crate) retry_after: Option<Duration>,
    /// Until the call's deadline.
    pub(crate) left: Duration,
    pub(crate) seed: [u8; 32],
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try the same model again after a wait.
    Again(Duration),
    /// Try the next model of the fail-over list.
    Elsewhere,
    /// Give up: no model could do better.
    End,
}

impl RetryPolicy {
    /// What follows `failed`.
    pub(crate) fn next(&self, failed: &Failed) -> Next {
        if !may_go_elsewhere(failed.class) {
            return Next::End;
        }
        if failed.hopeless || !may_try_again(failed.class) || failed.attempt >= self.max_attempts {
            return Next::Elsewhere;
        }
        let wait = match failed.retry_after {
            // A provider that wants longer than we ever wait is left for another one.
            Some(asked) if asked > self.backoff.max => return Next::Elsewhere,
            // A server that says "now" to everyone would otherwise be asked by all of them at once.
            Some(asked) => asked.max(self.backoff.wait(failed.attempt, failed.seed)),
            None => self.backoff.wait(failed.attempt, failed.seed),
        };
        // The wait would use up what is left: a stand-in may still answer in that time.
        if wait >= failed.left {
            return Next::Elsewhere;
        }
        Next::Again(wait)
    }
}

/// Failures that time may heal.
fn may_try_again(class: ErrorClass) -> bool {
    matches!(
        class,
        ErrorClass::Transient
            | ErrorClass::RateLimited
            | ErrorClass::Unreachable
            | ErrorClass::Cut
            | ErrorClass::Provider
    )
}

/// Failures that say nothing about another provider.
fn may_go_elsewhere(class: ErrorClass) -> bool {
    !matches!(
        class,
        ErrorClass::Invalid | ErrorClass::Deadline | ErrorClass::Refused | ErrorClass::Script
    )
}

impl Backoff {
    /// How long to wait after the failed `attempt`, 1 for the first.
    fn wait(&self, attempt: u32, seed: [u8; 32]) -> Duration {
        let max = self.max.as_millis();
        let mut wait = self.initial.as_millis().min(max);
        for _ in 1..attempt {
            // Cut at every step, so that no number of tries makes it overflow.
            wait = (wait * u128::from(self.factor_milli) / 1_000).min(max);
        }
        let random = wait * u128::from(self.jitter_milli.min(1_000)) / 1_000;
        // 64 random bits over at most a day of milliseconds: the remainder's bias is nothing.
        // Downwards only: `max` stays the longest wait there is.
        let cut = u128::from(ChaCha8Rng::from_seed(seed).next_u64()) % (random + 1);
        Duration::from_millis(u64::try_from(wait - cut).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            backoff: Backoff {
                initial: Duration::from_millis(200),
                factor_milli: 2_000,
                max: Duration::from_secs(10),
                jitter_milli: 0,
            },
        }
    }

    fn failed(class: ErrorClass, attempt: u32) -> Failed {
        Failed {
            attempt,
            class,
            hopeless: false,
            retry_after: None,
            left: Duration::from_secs(60),
            seed: [7; 32],
        }
    }

    #[test]
    fn what_no_model_can_do_better_ends_the_call() {
        for class in [
            ErrorClass::Invalid,
            ErrorClass::Deadline,
            ErrorClass::Refused,
            ErrorClass::Script,
        ] {
            assert_eq!(policy().next(&failed(class, 1)), Next::End);
        }
    }

    #[test]
    fn a_wrong_key_and_an_empty_account_are_never_tried_again() {
        for class in [ErrorClass::Auth, ErrorClass::Quota, ErrorClass::Residency] {
            assert_eq!(policy().next(&failed(class, 1)), Next::Elsewhere);
        }
    }

    #[test]
    fn waits_grow_until_the_tries_are_used_up() {
        let next = |attempt| policy().next(&failed(ErrorClass::Transient, attempt));
        assert_eq!(next(1), Next::Again(Duration::from_millis(200)));
        assert_eq!(next(2), Next::Again(Duration::from_millis(400)));
        assert_eq!(next(3), Next::Elsewhere);
    }

    #[test]
    fn a_hopeless_failure_is_not_tried_again() {
        let failed = Failed {
            hopeless: true,
            ..failed(ErrorClass::Cut, 1)
        };
        assert_eq!(policy().next(&failed), Next::Elsewhere);
    }

    #[test]
    fn retry_after_is_obeyed_within_what_we_ever_wait() {
        let next = |seconds, left| {
            policy().next(&Failed {
                retry_after: Some(Duration::from_secs(seconds)),
                left: Duration::from_secs(left),
                ..failed(ErrorClass::RateLimited, 1)
            })
        };
        assert_eq!(next(5, 60), Next::Again(Duration::from_secs(5)));
        assert_eq!(next(0, 60), Next::Again(Duration::from_millis(200)));
        assert_eq!(next(11, 60), Next::Elsewhere);
        assert_eq!(next(5, 5), Next::Elsewhere);
    }

    proptest! {
        #[test]
        fn waits_stay_in_their_bounds_and_follow_from_the_seed(
            initial in 0_u64..100_000, factor_milli in 1_000_u64..100_000, max in 0_u64..1_000_000,
            jitter_milli in 0_u64..=1_000, attempt in 1_u32..100, seed in any::<[u8; 32]>(),
        ) {
            let backoff = Backoff {
                initial: Duration::from_millis(initial), factor_milli,
                max: Duration::from_millis(max), jitter_milli,
            };
            let full = Backoff { jitter_milli: 0, ..backoff }.wait(attempt, seed);
            let wait = backoff.wait(attempt, seed);
            prop_assert!(wait <= full && full <= backoff.max);
            prop_assert!(wait.as_millis() * 1_000 + 1_000 > full.as_millis() * u128::from(1_000 - jitter_milli));
            prop_assert_eq!(wait, backoff.wait(attempt, seed));
        }
    }
}
