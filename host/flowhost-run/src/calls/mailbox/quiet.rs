//! When nobody has anything more to say: what steps have published is read before a run ends.
//!
//! Two rounds of questions with the same answers in between mean that every mailbox was empty and
//! every reader idle at one moment; with no step at work, nothing can come after it. Agents that keep
//! each other busy are stopped by a number and by a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::calls::order::Settled;

/// Deliveries after the last step: more are agents that answer each other without end.
const DELIVERIES_MAX: u64 = 1_000;
/// Longest wait after the last step: more than an agent that thinks about a message needs.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How often the number of deliveries is looked at: nobody notices a hundredth of
/// a second at the end of a run.
const LOOK: Duration = Duration::from_millis(10);

/// Asks a reader how many messages it has taken; it answers when none waits.
pub(super) type Question = oneshot::Sender<u64>;

/// What is under way between the agents of a run.
#[derive(Default)]
pub(crate) struct Traffic {
    delivered: Arc<AtomicU64>,
    readers: Vec<mpsc::Sender<Question>>,
}

impl Traffic {
    /// The deliveries of all readers.
    pub(super) fn counter(&self) -> Arc<AtomicU64> {
        self.delivered.clone()
    }

    /// A new reader's end of the questions.
    pub(super) fn ask(&mut self) -> mpsc::Receiver<Question> {
        // Whoever asks waits for the answer before it asks again.
        let (questions, reader) = mpsc::channel(1);
        self.readers.push(questions);
        reader
    }

    /// Waits until every message was read. Whoever asks gives up when it has to.
    pub(crate) async fn settle(&self) -> Settled {
        let most = self.delivered.load(Relaxed).saturating_add(DELIVERIES_MAX);
        // The bounds first: agents that are quiet for a moment after too much were still too busy.
        tokio::select! {
            biased;
            () = self.exceeds(most) => Settled::Busy,
            () = tokio::time::sleep(WAIT_MAX) => Settled::Busy,
            () = self.quiet() => Settled::Quiet,
        }
    }

    async fn quiet(&self) {
        let mut before = self.round().await;
        loop {
            let after = self.round().await;
            if before == after {
                return;
            }
            before = after;
        }
    }

    /// Each reader's number of messages; none of one that is gone.
    async fn round(&self) -> Vec<Option<u64>> {
        let mut taken = Vec::with_capacity(self.readers.len());
        for reader in &self.readers {
            let (question, answer) = oneshot::channel();
            // One after the other: a reader that is asked later has taken what those before it have sent, or says
            // another number in the next round.
            taken.push(match reader.send(question).await {
                Ok(()) => answer.await.ok(),
                Err(_) => None,
            });
        }
        taken
    }

    async fn exceeds(&self, most: u64) {
        while self.delivered.load(Relaxed) <= most {
            tokio::time::sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_quiet(traffic: &Traffic) -> bool {
        traffic.settle().await == Settled::Quiet
    }

    #[tokio::test]
    async fn without_readers_it_is_quiet_at_once() {
        assert!(is_quiet(&Traffic::default()).await);
    }

    #[tokio::test]
    async fn a_reader_that_takes_more_between_two_rounds_is_asked_again() {
        let mut traffic = Traffic::default();
        let mut questions = traffic.ask();
        let asked = tokio::spawn(async move {
            let answers = [1, 2, 3, 3, 3];
            let mut asked = 0;
            while let (Some(answer), Some(question)) = (answers.get(asked), questions.recv().await)
            {
                question.send(*answer).unwrap();
                asked += 1;
                if asked == 4 {
                    break;
                }
            }
            asked
        });
        assert!(is_quiet(&traffic).await);
        assert_eq!(asked.await.unwrap(), 4);
    }

    #[tokio::test]
    async fn agents_that_never_stop_end_at_a_number() {
        let mut traffic = Traffic::default();
        let _never_answers = traffic.ask();
        traffic.counter().fetch_add(5, Relaxed);
        let counter = traffic.counter();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            counter.fetch_add(DELIVERIES_MAX + 1, Relaxed);
        });
        assert!(!is_quiet(&traffic).await);
    }
}
