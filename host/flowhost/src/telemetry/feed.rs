//! From the ledger to the views: a bounded queue that neither it nor the run ever waits for. Whoever writes the ledger hands
//! over what is a record by then, so that the run copies nothing for it.
//!
//! What does not fit is counted and told once, at the end. Views are behind, never in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use flowhost_evidence::telemetry::seen::Told;
use flowhost_evidence::telemetry::view::Identity;
use tokio::sync::mpsc;

use flowhost_ledger::{Fact, FactListener};
use flowhost_run::FactObserver;

/// Facts that wait for the views: seconds of the fastest run, at some hundred bytes each.
pub(super) const FACTS_MAX: usize = 16_384;

/// What goes through the queue.
#[derive(Debug)]
pub(super) enum Entry {
    /// A run begins.
    Run(Identity),
    /// A fact of it.
    Fact(Accepted),
}

/// A fact that is in the ledger.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) told: Told,
    /// The record's number.
    pub(super) seq: u64,
    pub(super) at: SystemTime,
}

/// The run's end of the queue.
#[derive(Debug, Clone)]
pub(super) struct Feed {
    queue: mpsc::Sender<Entry>,
    clock: Clock,
    dropped: Arc<AtomicU64>,
}

impl Feed {
    /// A queue of `facts_max`, whose clock says `now_ms` now. Gives both ends and the count of what
    /// did not fit.
    pub(super) fn new(
        facts_max: usize,
        now_ms: u64,
    ) -> (Self, mpsc::Receiver<Entry>, Arc<AtomicU64>) {
        let (queue, entries) = mpsc::channel(facts_max);
        let dropped = Arc::<AtomicU64>::default();
        let feed = Self {
            queue,
            clock: Clock::new(now_ms),
            dropped: dropped.clone(),
        };
        (feed, entries, dropped)
    }

    fn push(&self, entry: Entry) {
        if self.queue.try_send(entry).is_err() {
            // `Relaxed`: a count that is read once, after all who count have ended.
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl FactObserver for Feed {
    fn begin(&self, tenant: &str, run: &str) {
        self.push(Entry::Run(Identity::new(tenant, run)));
    }
}

impl FactListener for Feed {
    fn recorded(&self, seq: u64, at: Instant, fact: Fact) {
        if let Some(told) = Told::of(fact) {
            let at = self.clock.time_of(at);
            self.push(Entry::Fact(Accepted { told, seq, at }));
        }
    }
}

/// Wall time at its start, then what has passed since: durations are right whatever the clock does.
#[derive(Debug, Clone, Copy)]
struct Clock {
    wall: SystemTime,
    since: Instant,
}

impl Clock {
    fn new(now_ms: u64) -> Self {
        let wall = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(now_ms));
        Self {
            wall: wall.unwrap_or(SystemTime::UNIX_EPOCH),
            since: Instant::now(),
        }
    }

    fn time_of(&self, at: Instant) -> SystemTime {
        let passed = at.saturating_duration_since(self.since);
        self.wall.checked_add(passed).unwrap_or(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::records::{RecordKind as _, StepStart};

    use super::*;

    #[tokio::test]
    async fn a_full_queue_takes_no_more_counts_and_does_not_wait() {
        let (feed, mut entries, dropped) = Feed::new(2, 1_000);
        let fact = StepStart::default().by("default/host");
        let now = Instant::now();
        for seq in 0..5 {
            feed.recorded(seq, now, fact.clone());
        }
        assert_eq!(dropped.load(Relaxed), 3);
        let Some(Entry::Fact(first)) = entries.recv().await else {
            panic!("the first fact is there");
        };
        assert_eq!(first.seq, 0);
        assert!(first.at >= SystemTime::UNIX_EPOCH + Duration::from_secs(1));
        feed.recorded(5, now, fact);
        assert_eq!(dropped.load(Relaxed), 3);
    }
}
