//! One bounded queue: what one group has not yet acknowledged.
//!
//! A place in it is taken before an envelope is pushed and given back when it is acknowledged or
//! set aside, so envelopes in work count too: a slow reader cannot be used to hold memory (MSG-017).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{
    AcquireError, Notify, OwnedSemaphorePermit, Semaphore, TryAcquireError, oneshot,
};

use crate::bus::BusError;
use crate::envelope::Envelope;
use crate::subject::{Pattern, Subject};

/// The sender's end of a request; the first answer takes it.
pub(super) type ReplySlot = Arc<Mutex<Option<oneshot::Sender<Arc<Envelope>>>>>;

/// Room in a queue, given back on drop.
#[derive(Debug)]
pub(super) struct Room {
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
}

/// An envelope in a queue.
pub(super) struct Item {
    pub(super) subject: Subject,
    pub(super) envelope: Arc<Envelope>,
    pub(super) attempt: u32,
    pub(super) reply: Option<ReplySlot>,
    pub(super) _room: Room,
}

/// What one group waits for.
pub(super) struct Queue {
    pub(super) id: u64,
    pub(super) pattern: Pattern,
    pub(super) group: String,
    pub(super) deliveries_max: u32,
    messages_max: usize,
    bytes_max: usize,
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    items: Mutex<VecDeque<Item>>,
    arrived: Notify,
    readers: AtomicUsize,
}

impl Queue {
    pub(super) fn new(
        id: u64,
        pattern: Pattern,
        group: String,
        bounds: (usize, usize),
        deliveries_max: u32,
    ) -> Self {
        // tokio's semaphores panic above that, and count many permits at once in 32 bits. At nought
        // nothing could ever be sent.
        let messages_max = bounds.0.clamp(1, Semaphore::MAX_PERMITS);
        let bytes_max = bounds.1.clamp(1, u32::MAX as usize);
        Self {
            id,
            pattern,
            group,
            deliveries_max: deliveries_max.max(1),
            messages_max,
            bytes_max,
            messages: Arc::new(Semaphore::new(messages_max)),
            bytes: Arc::new(Semaphore::new(bytes_max)),
            items: Mutex::new(VecDeque::new()),
            arrived: Notify::new(),
            readers: AtomicUsize::new(0),
        }
    }

    /// Waits for room; none when the last reader left.
    pub(super) async fn room(&self, bytes: usize) -> Result<Option<Room>, BusError> {
        let count = self.permits(bytes)?;
        // The semaphores are fair: a large envelope waits its turn and is not passed by small ones
        // for ever.
        let message = Arc::clone(&self.messages).acquire_owned().await;
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(count).await;
        Ok(match (message, bytes) {
            (Ok(message), Ok(bytes)) => Some(Room {
                _message: message,
                _bytes: bytes,
            }),
            (Err(AcquireError { .. }), _) | (_, Err(AcquireError { .. })) => None,
        })
    }

    /// Room at once, or [`BusError::Full`]; none when the last reader left.
    pub(super) fn try_room(&self, bytes: usize) -> Result<Option<Room>, BusError> {
        let count = self.permits(bytes)?;
        let message = Arc::clone(&self.messages).try_acquire_owned();
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(count);
        match (message, bytes) {
            (Ok(message), Ok(bytes)) => Ok(Some(Room {
                _message: message,
                _bytes: bytes,
            })),
            (Err(TryAcquireError::Closed), _) | (_, Err(TryAcquireError::Closed)) => Ok(None),
            (Err(TryAcquireError::NoPermits), _) => Err(self.full(self.messages_max)),
            (_, Err(TryAcquireError::NoPermits)) => Err(self.full(self.bytes_max)),
        }
    }

    fn permits(&self, bytes: usize) -> Result<u32, BusError> {
        u32::try_from(bytes)
            .ok()
            .filter(|_| bytes <= self.bytes_max)
            .ok_or(BusError::TooLarge {
                used: bytes,
                allowed: self.bytes_max,
            })
    }

    fn full(&self, allowed: usize) -> BusError {
        BusError::Full {
            pattern: self.pattern.to_string(),
            allowed,
        }
    }

    pub(super) fn push_back(&self, item: Item) {
        self.items().push_back(item);
        self.arrived.notify_one();
    }

    /// Puts an item back where it came from: the order of the others stays.
    pub(super) fn push_front(&self, item: Item) {
        self.items().push_front(item);
        self.arrived.notify_one();
    }

    /// The next item. A wake-up that is not used is passed on, so none gets lost.
    pub(super) async fn pop(&self) -> Item {
        loop {
            let arrived = self.arrived.notified();
            if let Some(item) = self.take() {
                return item;
            }
            arrived.await;
        }
    }

    fn take(&self) -> Option<Item> {
        let mut items = self.items();
        let item = items.pop_front();
        // A wake-up is kept once, however many have arrived: whoever takes one wakes the next.
        if !items.is_empty() {
            self.arrived.notify_one();
        }
        item
    }

    pub(super) fn join(&self) {
        // Both this and `leave` are called under the lock of the routes, so the count alone
        // decides.
        self.readers.fetch_add(1, Ordering::AcqRel);
    }

    /// True when the last reader left: the queue is closed and empty.
    pub(super) fn leave(&self) -> bool {
        if self.readers.fetch_sub(1, Ordering::AcqRel) != 1 {
            return false;
        }
        self.messages.close();
        self.bytes.close();
        // Senders of requests in it wait for these items: with them their wait ends.
        self.items().clear();
        true
    }

    pub(super) fn is_closed(&self) -> bool {
        self.messages.is_closed()
    }

    fn items(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
