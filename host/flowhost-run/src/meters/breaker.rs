//! When a component is not called any more: it has trapped on every call, again and again.
//!
//! A trap throws the instance away, so that each such call costs a new one; ten thousand items handed to
//! a component that cannot take any of them would cost ten thousand. Only traps count: an error that a
//! component answers is an answer, and a limit has its own cure.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowhost_engine::Fault;

/// Traps in a row after which a revision of a plugin is not called again in its run: as many as a plan may
/// ask attempts of one step, so that none of them is taken away.
pub(crate) const TRAPS_MAX: u64 = flowhost_flow::plan::limits::ATTEMPTS_MAX as u64;

/// The traps of one revision since its last call that did not trap.
#[derive(Debug, Default)]
pub(crate) struct Breaker(AtomicU64);

impl Breaker {
    /// Whether the next call may be made. Calls at once may each see the count before the other has trapped: a few more
    /// than the number are made then, which is why nothing but the count is shared, and in no order.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let used = self.0.load(Relaxed);
        if used < TRAPS_MAX {
            return Ok(());
        }
        Err(Fault::Limit {
            name: "traps",
            used: used.saturating_add(1),
            allowed: TRAPS_MAX,
        })
    }

    /// Hears how a call ended.
    pub(crate) fn hear<T>(&self, result: &Result<T, Fault>) {
        match result {
            Err(Fault::Trap { .. }) => {
                self.0.fetch_add(1, Relaxed);
            }
            // Says nothing of the component.
            Err(Fault::Cancelled | Fault::Ledger(_) | Fault::Host(_)) => {}
            _ => self.0.store(0, Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> Result<(), Fault> {
        Err(Fault::Trap {
            message: "unreachable".to_owned(),
        })
    }

    #[test]
    fn opens_after_the_last_trap_in_a_row_and_not_one_before() {
        let breaker = Breaker::default();
        for _ in 1..TRAPS_MAX {
            breaker.hear(&trap());
        }
        breaker.check().unwrap();
        breaker.hear(&trap());
        assert!(matches!(
            breaker.check(),
            Err(Fault::Limit {
                name: "traps",
                used: 101,
                allowed: 100
            })
        ));
    }

    #[test]
    fn any_other_end_of_a_call_begins_the_count_anew() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..TRAPS_MAX {
                breaker.hear(&trap());
            }
            breaker.hear(&Ok(()));
        }
        breaker.check().unwrap();
        for _ in 0..TRAPS_MAX {
            breaker.hear(&trap());
            breaker.hear::<()>(&Err(Fault::Cancelled));
        }
        assert!(
            breaker.check().is_err(),
            "a call that was stopped did not go well"
        );
    }
}
