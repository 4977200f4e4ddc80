//! When to stop asking for tools, so that what is left still pays for an answer. The host alone decides
//! what may be spent; this only keeps an agent from spending its last tokens on one more look.

use flowhost_sdk::Usage;

use crate::host::Left;

/// What calls have cost so far.
#[derive(Debug, Default)]
pub(crate) struct Spend {
    dearest_micro_usd: f64,
}

impl Spend {
    /// Remembers what a call cost.
    pub(crate) fn saw(&mut self, usage: &Usage) {
        self.dearest_micro_usd = self.dearest_micro_usd.max(usage.cost_micro_usd);
    }

    /// Whether `left` pays for the next call of about `next_tokens` and for as many as make `calls` after
    /// it. A call is taken to cost no more than the dearest so far: prompts grow slowly, and the host checks.
    pub(crate) fn covers(&self, left: Left, next_tokens: u64, calls: u32) -> bool {
        let money = left.micro_usd as f64 >= f64::from(calls) * self.dearest_micro_usd;
        money && left.tokens >= next_tokens.saturating_mul(u64::from(calls))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(tokens: u64, micro_usd: u64) -> Left {
        Left { tokens, micro_usd }
    }

    #[test]
    fn stops_where_tokens_or_money_would_not_pay_for_another_call() {
        let mut spend = Spend::default();
        assert!(!spend.covers(left(199, 9), 100, 2));
        assert!(spend.covers(left(200, 0), 100, 2));
        spend.saw(&Usage {
            prompt_tokens: 1,
            completion_tokens: 1,
            cost_micro_usd: 40.0,
        });
        spend.saw(&Usage {
            prompt_tokens: 1,
            completion_tokens: 1,
            cost_micro_usd: 3.0,
        });
        assert!(!spend.covers(left(1_000, 79), 100, 2));
        assert!(spend.covers(left(1_000, 80), 100, 2));
        assert!(spend.covers(left(100, 40), 100, 1));
        assert!(!spend.covers(left(100, 39), 100, 1));
    }
}
