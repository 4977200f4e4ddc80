//! What tokens cost, in integers: no float takes part between a price as written and a
//! micro-dollar in the ledger.
//!
//! A price is kept in millionths of a dollar for a million tokens, which is 10⁻¹² dollars for one.
//! A call's tokens are multiplied and added exactly, and rounded up to the next micro-dollar once,
//! so a paid call is never free and the books are never below the bill by rounding.

use crate::{answer::Usage, units::DAY_MINUTES};

/// Dollars for a million tokens at most. A dollar a token: a price above it was written
/// in another unit.
pub(crate) const PRICE_MAX: f64 = 1_000_000.0;
/// Factor of an hour at most. A factor above it is a slip of the keyboard, which a budget would learn too late.
pub(crate) const FACTOR_MAX: f64 = 100.0;
/// A factor of one, in thousandths.
const ONE: u64 = 1_000;
/// 10⁻¹² dollars in a micro-dollar, times the thousandths of a factor.
const SCALE: u128 = 1_000_000 * 1_000;

/// The price of a model, in 10⁻¹² dollars a token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    pub(crate) input: u64,
    pub(crate) cached_input: u64,
    pub(crate) cache_write: u64,
    pub(crate) output: u64,
    pub(crate) reasoning: u64,
    pub(crate) hours: Vec<Hours>,
}

/// A window of the day with its own factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hours {
    /// First minute of the day, UTC.
    pub(crate) from: u32,
    /// The minute after the last; below `from` over midnight.
    pub(crate) to: u32,
    /// Thousandths.
    pub(crate) factor: u64,
}

impl Hours {
    fn contains(&self, minute: u32) -> bool {
        if self.from < self.to {
            (self.from..self.to).contains(&minute)
        } else {
            minute >= self.from || minute < self.to
        }
    }

    /// Whether both windows hold some minute.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        (0..DAY_MINUTES).any(|minute| self.contains(minute) && other.contains(minute))
    }
}

impl Price {
    /// Micro-dollars for `usage`, of a call that began at `now_ms`: the hour of its beginning holds
    /// for all of it.
    #[must_use]
    pub fn cost(&self, usage: &Usage, now_ms: u64) -> u64 {
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        // Parts never exceed their whole, whatever a provider counts: each token is paid for once.
        let written = usage.cache_write_tokens.min(usage.prompt_tokens - cached);
        let silent = usage.reasoning_tokens.min(usage.completion_tokens);
        let parts = [
            (usage.prompt_tokens - cached - written, self.input),
            (cached, self.cached_input),
            (written, self.cache_write),
            (usage.completion_tokens - silent, self.output),
            (silent, self.reasoning),
        ];
        rounded_up(&parts, self.factor(now_ms))
    }

    /// Micro-dollars at most for that many tokens in and out: the dearest kind at the dearest hour.
    #[must_use]
    pub fn worst(&self, prompt_tokens: u64, completion_tokens: u64) -> u64 {
        let factors = self.hours.iter().map(|hours| hours.factor);
        // The rest of the day has factor one, so a discount by the hour never lowers the
        // reservation.
        let factor = factors.fold(ONE, u64::max);
        let parts = [
            (
                prompt_tokens,
                self.input.max(self.cached_input).max(self.cache_write),
            ),
            (completion_tokens, self.output.max(self.reasoning)),
        ];
        rounded_up(&parts, factor)
    }

    fn factor(&self, now_ms: u64) -> u64 {
        // Below a day's minutes, so it fits.
        let minute = u32::try_from(now_ms / 60_000 % u64::from(DAY_MINUTES)).unwrap_or(0);
        self.hours
            .iter()
            .find(|hours| hours.contains(minute))
            .map_or(ONE, |hours| hours.factor)
    }
}

/// 2⁶⁴ tokens at 2·10¹² each (an hour in the cache doubles the dearest price), five times, with a factor of
/// 10⁵: below 2¹²⁸, so nothing wraps.
fn rounded_up(parts: &[(u64, u64)], factor: u64) -> u64 {
    let sum: u128 = parts
        .iter()
        .map(|(tokens, price)| u128::from(*tokens) * u128::from(*price))
        .sum();
    u64::try_from((sum * u128::from(factor)).div_ceil(SCALE)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: u64 = 60_000;

    /// 1.25 / 0.125 / 2.5 / 10 / 12 dollars, half price at night.
    fn price() -> Price {
        Price {
            input: 1_250_000,
            cached_input: 125_000,
            cache_write: 2_500_000,
            output: 10_000_000,
            reasoning: 12_000_000,
            hours: vec![Hours {
                from: 22 * 60,
                to: 6 * 60,
                factor: 500,
            }],
        }
    }

    fn usage(prompt: u64, cached: u64, completion: u64, reasoning: u64) -> Usage {
        Usage {
            prompt_tokens: prompt,
            cached_tokens: cached,
            cache_write_tokens: 0,
            completion_tokens: completion,
            reasoning_tokens: reasoning,
        }
    }

    #[test]
    fn costs_are_exact_and_rounded_up_once() {
        let noon = 12 * 60 * MINUTE_MS;
        let table = [
            (usage(0, 0, 0, 0), 0),
            (usage(1, 0, 0, 0), 2),
            (usage(4, 0, 0, 0), 5),
            (usage(8, 8, 0, 0), 1),
            (usage(9, 8, 0, 0), 3),
            (usage(0, 0, 3, 1), 32),
            (usage(1_000_000, 0, 1_000_000, 0), 11_250_000),
            (usage(1_200, 1_000, 300, 100), 250 + 125 + 2_000 + 1_200),
        ];
        for (usage, cost) in table {
            assert_eq!(price().cost(&usage, noon), cost, "{usage:?}");
        }
    }

    #[test]
    fn a_window_over_midnight_holds_on_both_sides() {
        let at = |hour: u64, minute: u64| (20_000 * 24 * 60 + hour * 60 + minute) * MINUTE_MS;
        let million = usage(1_000_000, 0, 0, 0);
        let table = [
            (at(21, 59), 1_250_000),
            (at(22, 0), 625_000),
            (at(23, 59), 625_000),
            (at(0, 0), 625_000),
            (at(5, 59), 625_000),
            (at(6, 0), 1_250_000),
        ];
        for (now, cost) in table {
            assert_eq!(price().cost(&million, now), cost, "{now}");
        }
    }

    #[test]
    fn what_is_written_into_a_cache_has_its_own_price() {
        let usage = Usage {
            cache_write_tokens: 300,
            ..usage(1_000, 600, 0, 0)
        };
        let noon = 12 * 60 * MINUTE_MS;
        // 100 × 1.25 + 600 × 0.125 + 300 × 2.5
        assert_eq!(price().cost(&usage, noon), 125 + 75 + 750);
    }

    #[test]
    fn windows_that_share_a_minute_overlap() {
        let hours = |from, to| Hours {
            from,
            to,
            factor: 1,
        };
        assert!(hours(1_300, 60).overlaps(&hours(30, 90)));
        assert!(!hours(1_300, 60).overlaps(&hours(60, 1_300)));
    }

    fn prices() -> impl Strategy<Value = Price> {
        let one = 0_u64..=1_000_000_000_000;
        let hours = (0_u32..1_440, 0_u32..1_440, 0_u64..=100_000);
        let five = (one.clone(), one.clone(), one.clone(), one.clone(), one);
        (five, hours).prop_map(|(p, h)| Price {
            input: p.0,
            cached_input: p.1,
            output: p.2,
            reasoning: p.3,
            cache_write: p.4,
            hours: vec![Hours {
                from: h.0,
                to: h.1,
                factor: h.2,
            }],
        })
    }

    proptest! {
        #[test]
        fn no_usage_overflows_and_the_worst_case_is_one(
            price in prices(), prompt: u64, cached: u64, written: u64, completion: u64, silent: u64,
            now: u64,
        ) {
            let usage = Usage { cache_write_tokens: written, ..usage(prompt, cached, completion, silent) };
            let cost = price.cost(&usage, now);
            prop_assert!(cost <= price.worst(prompt, completion));
        }

        #[test]
        fn more_tokens_never_cost_less(
            price in prices(), a in 0_u64..1 << 40, b in 0_u64..1 << 40, more in 0_u64..1 << 40, now: u64,
        ) {
            let less = price.cost(&usage(a, 0, b, 0), now);
            prop_assert!(less <= price.cost(&usage(a + more, 0, b, 0), now));
            prop_assert!(less <= price.cost(&usage(a, 0, b + more, 0), now));
            prop_assert!(price.worst(a, b) <= price.worst(a + more, b + more));
        }
    }
}
