//! A delivery of the in-process bus: acknowledged, answered, or put back on drop.
//!
//! There is no acknowledgement timer: a reader in this process either holds the delivery or has
//! dropped it, and a drop is seen at once, whatever ended the reader.

use std::sync::{Arc, PoisonError};

use async_trait::async_trait;

use crate::bus::{BusError, Settle};
use crate::envelope::Envelope;
use crate::local::queue::{Item, Queue};

pub(super) struct Held {
    pub(super) item: Option<Item>,
    pub(super) queue: Arc<Queue>,
}

#[async_trait]
impl Settle for Held {
    fn wants_answer(&self) -> bool {
        self.item.as_ref().is_some_and(|item| item.reply.is_some())
    }

    async fn ack(mut self: Box<Self>) -> Result<(), BusError> {
        self.item = None;
        Ok(())
    }

    async fn progress(&self) -> Result<(), BusError> {
        Ok(())
    }

    async fn answer(mut self: Box<Self>, answer: Arc<Envelope>) -> Result<(), BusError> {
        // Taken first: what nobody waits for any more is done with as well.
        let item = self.item.take();
        let sender = item
            .and_then(|item| item.reply)
            .and_then(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).take());
        // A sender that gave up in the meantime no longer wants the answer either.
        sender
            .and_then(|sender| sender.send(answer).ok())
            .ok_or(BusError::NotAsked)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Acknowledged or answered: only what is still held goes back.
        let Some(mut item) = self.item.take() else {
            return;
        };
        if item.attempt >= self.queue.deliveries_max {
            let (id, subject) = (item.envelope.id, item.subject.as_str());
            tracing::warn!(
                %id,
                subject,
                deliveries = item.attempt,
                "a message is given up: each of its readers was gone before it said that it had read it"
            );
            return;
        }
        item.attempt += 1;
        // In front, where it came from. A queue that closes just now keeps it until its last owner
        // drops it, which ends the sender's wait.
        if !self.queue.is_closed() {
            self.queue.push_front(item);
        }
    }
}
