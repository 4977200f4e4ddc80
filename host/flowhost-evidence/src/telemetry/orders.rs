//! A step's orders and answers, paired in their order: it has one call at work at a time.

use std::collections::VecDeque;
use std::time::SystemTime;

/// Orders of one step that are not answered, and when the last answered one was sent.
#[derive(Debug, Default)]
pub(super) struct Orders {
    open: VecDeque<SystemTime>,
    /// Answers that were recorded before their orders: a worker can be faster than the driver, which
    /// records an order once the bus has taken it.
    early: u32,
    last: Option<SystemTime>,
}

impl Orders {
    /// An order was sent.
    pub(super) fn sent(&mut self, at: SystemTime) {
        if self.early > 0 {
            self.early -= 1;
        } else {
            self.open.push_back(at);
        }
    }

    /// One was answered: when it had been sent.
    pub(super) fn answered(&mut self) -> Option<SystemTime> {
        self.last = self.open.pop_front();
        if self.last.is_none() {
            self.early += 1;
        }
        self.last
    }

    /// When the order that was answered last had been sent.
    pub(super) fn last_answered(&self) -> Option<SystemTime> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn an_answer_that_comes_before_its_order_shifts_nothing() {
        let mut orders = Orders::default();
        assert_eq!(orders.answered(), None);
        orders.sent(at(1));
        orders.sent(at(2));
        assert_eq!(orders.answered(), Some(at(2)));
        assert_eq!(orders.last_answered(), Some(at(2)));
    }
}
