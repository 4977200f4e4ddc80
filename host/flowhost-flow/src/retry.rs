//! When a failed attempt is tried again, and after how long.
//!
//! Pure: the jitter comes from the run's seed, so the same run waits the same times when replayed.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
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

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            backoff: Backoff::default(),
            retry_on: vec![FailureClass::Transient, FailureClass::Timeout],
        }
    }
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

impl Default for Backoff {
    fn default() -> Self {
        Self {
            initial_ms: 100,
            factor_milli: 2_000,
            max_ms: 10_000,
            jitter_milli: 500,
        }
    }
}

impl RetryPolicy {
    /// Milliseconds to wait before the next attempt, or `None` if there is none. `attempt` is the one
    /// that failed, 1 for the first; `seed` must differ between steps and attempts.
    #[must_use]
    pub fn next(&self, attempt: u32, class: FailureClass, seed: [u8; 32]) -> Option<u64> {
        let again = attempt < self.max_attempts
            && class.may_retry()
            && self.retry_on.binary_search(&class).is_ok();
        again.then(|| self.backoff.wait_ms(attempt, seed))
    }
}

impl Backoff {
    /// Milliseconds to wait after the failed `attempt`, 1 for the first.
    #[must_use]
    pub fn wait_ms(&self, attempt: u32, seed: [u8; 32]) -> u64 {
        let mut wait = u128::from(self.initial_ms.min(self.max_ms));
        // Held to the longest wait after each turn: the factor to the power of the attempts fits no integer.
        for _ in 1..attempt {
            wait = (wait * u128::from(self.factor_milli) / 1_000).min(u128::from(self.max_ms));
        }
        let wait = u64::try_from(wait).unwrap_or(self.max_ms);
        let random = u128::from(wait) * u128::from(self.jitter_milli.min(1_000)) / 1_000;
        let random = u64::try_from(random).unwrap_or(wait);
        // 64 random bits over a range below 2^45 ms: the bias of the remainder is under one in 10^5.
        let cut = ChaCha8Rng::from_seed(seed).next_u64() % random.saturating_add(1);
        // Taken off and never added, so that the longest wait stays the longest.
        wait - cut
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 3,
            ..RetryPolicy::default()
        }
    }

    #[test]
    fn never_tries_again_what_policy_or_a_budget_refused() {
        let all = RetryPolicy {
            retry_on: FailureClass::ALL.to_vec(),
            ..policy()
        };
        for class in [
            FailureClass::Denied,
            FailureClass::Budget,
            FailureClass::Guardrail,
        ] {
            assert_eq!(all.next(1, class, [0; 32]), None);
        }
    }

    #[test]
    fn counts_the_first_attempt() {
        assert!(policy().next(2, FailureClass::Transient, [0; 32]).is_some());
        assert_eq!(policy().next(3, FailureClass::Transient, [0; 32]), None);
        assert_eq!(policy().next(1, FailureClass::Failed, [0; 32]), None);
    }

    proptest! {
        #[test]
        fn waits_within_its_bounds_and_the_same_for_the_same_seed(
            initial_ms in 1_u64..100_000,
            factor_milli in 1_000_u32..100_000,
            max_ms in 1_u64..1_000_000,
            jitter_milli in 0_u32..=1_000,
            attempt in 1_u32..100,
            seed in any::<[u8; 32]>(),
        ) {
            let backoff = Backoff { initial_ms, factor_milli, max_ms, jitter_milli };
            let wait = backoff.wait_ms(attempt, seed);
            let full = Backoff { jitter_milli: 0, ..backoff }.wait_ms(attempt, seed);
            prop_assert!(wait <= full && full <= max_ms);
            prop_assert!(wait >= full - full * u64::from(jitter_milli) / 1_000);
            prop_assert_eq!(wait, backoff.wait_ms(attempt, seed));
        }
    }
}
