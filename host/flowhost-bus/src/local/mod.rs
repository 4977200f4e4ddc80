//! The bus inside one process: bounded queues, backpressure, dedupe by id, redelivery of what was
//! not acknowledged. Nothing survives the process; the ledger does.
//!
//! Lock order: routes, then dedupe, then one queue at a time. No lock is held across an await.

mod dedupe;
mod delivery;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::bus::{Bus, BusError, Delivery, Receipt, SubscribeOptions, Subscription};
use crate::envelope::Envelope;
use crate::local::dedupe::Dedupe;
use crate::local::delivery::Held;
use crate::local::queue::{Item, Queue, ReplySlot, Room};
use crate::subject::{Pattern, Subject};

/// The bounds of a [`LocalBus`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalConfig {
    /// Bytes (canonical) that one queue holds, envelopes in work included. At it: senders wait. An
    /// envelope larger than this is refused.
    pub queue_bytes_max: usize,
    /// Queues at once: with `queue_bytes_max`, the most memory that envelopes can take.
    pub queues_max: usize,
    /// Ids remembered for dedupe. At it: the oldest is forgotten.
    pub dedupe_window: usize,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            // As much as one payload of the ledger may have: whatever can be recorded can travel.
            queue_bytes_max: 16 << 20,
            // A run has a few of its own and one for each pattern that an agent listens to; guests
            // ask for those, so there is an end to them.
            queues_max: 4_096,
            // Some ten megabytes. A sender that repeats itself does so within seconds, in which far
            // fewer are sent.
            dedupe_window: 65_536,
        }
    }
}

/// The in-process bus. Clones share it.
///
/// # Examples
///
/// ```
/// # async fn example(envelope: std::sync::Arc<flowhost_bus::Envelope>) -> Result<(), Box<dyn std::error::Error>> {
/// use flowhost_bus::{Bus, LocalBus, LocalConfig, Pattern, Subject, SubscribeOptions};
/// let bus = LocalBus::new(LocalConfig::default());
/// let subject = Subject::of("default", "01A", &["step", "read", "start"])?;
/// let mut steps = bus.subscribe(Pattern::of("default", "01A", "step.>")?, SubscribeOptions::default()).await?;
/// bus.publish(&subject, envelope).await?;
/// steps.next().await?.ack().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalBus {
    shared: Arc<Shared>,
}

struct Shared {
    config: LocalConfig,
    routes: RwLock<Routes>,
    dedupe: Mutex<Dedupe>,
}

#[derive(Default)]
struct Routes {
    next_id: u64,
    exact: HashMap<String, Vec<Arc<Queue>>>,
    wild: Vec<Arc<Queue>>,
    count: usize,
}

impl LocalBus {
    /// A bus that nobody listens to yet.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        let dedupe = Mutex::new(Dedupe::new(config.dedupe_window));
        Self {
            shared: Arc::new(Shared {
                config,
                routes: RwLock::default(),
                dedupe,
            }),
        }
    }

    /// Queues that someone reads.
    #[must_use]
    pub fn queues(&self) -> usize {
        self.shared.with_routes(|routes| routes.count)
    }

    async fn send(
        &self,
        subject: &Subject,
        envelope: &Arc<Envelope>,
        reply: Option<&ReplySlot>,
        when_full: WhenFull,
    ) -> Result<Receipt, BusError> {
        belongs(subject, envelope)?;
        // Before room is waited for, since most repetitions are old; `commit` asks again, under the
        // lock that it keeps.
        if self.shared.dedupe().is_duplicate(subject, envelope)? {
            return Ok(DUPLICATE);
        }
        let bytes = envelope.canonical_bytes();
        let mut places = Vec::new();
        for queue in self.shared.listeners(subject) {
            let room = match when_full {
                WhenFull::Wait => queue.room(bytes).await?,
                WhenFull::Refuse => queue.try_room(bytes)?,
            };
            places.extend(room.map(|room| (queue, room)));
        }
        self.shared.commit(subject, envelope, reply, places)
    }
}

const DUPLICATE: Receipt = Receipt {
    queues: 0,
    duplicate: true,
};

#[derive(Clone, Copy)]
enum WhenFull {
    Wait,
    Refuse,
}

/// An envelope travels on subjects of its own tenant and run only.
fn belongs(subject: &Subject, envelope: &Envelope) -> Result<(), BusError> {
    if subject.is_within(&envelope.tenant, &envelope.run) {
        return Ok(());
    }
    Err(BusError::Misplaced {
        id: envelope.id,
        subject: subject.to_string(),
    })
}

impl Shared {
    fn with_routes<T>(&self, read: impl FnOnce(&Routes) -> T) -> T {
        read(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn dedupe(&self) -> MutexGuard<'_, Dedupe> {
        self.dedupe.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues that take `subject`, in the order of their ids: every sender asks for room in the
    /// same order, so that two can never wait for each other.
    fn listeners(&self, subject: &Subject) -> Vec<Arc<Queue>> {
        self.with_routes(|routes| {
            let exact = routes.exact.get(subject.as_str()).into_iter().flatten();
            let wild = routes
                .wild
                .iter()
                .filter(|queue| queue.pattern.matches(subject));
            let mut queues: Vec<_> = exact.chain(wild).map(Arc::clone).collect();
            queues.sort_unstable_by_key(|queue| queue.id);
            queues
        })
    }

    /// Pushes to all places or none: another sender may have come first with the same id.
    fn commit(
        &self,
        subject: &Subject,
        envelope: &Arc<Envelope>,
        reply: Option<&ReplySlot>,
        places: Vec<(Arc<Queue>, Room)>,
    ) -> Result<Receipt, BusError> {
        let mut dedupe = self.dedupe();
        if dedupe.is_duplicate(subject, envelope)? {
            return Ok(DUPLICATE);
        }
        // Also where nobody listens: sent is sent, and who subscribes later does not see it.
        dedupe.remember(subject, envelope);
        let queues = places.len();
        for (queue, room) in places {
            queue.push_back(Item {
                subject: subject.clone(),
                envelope: Arc::clone(envelope),
                attempt: 1,
                reply: reply.map(Arc::clone),
                _room: room,
            });
        }
        Ok(Receipt {
            queues,
            duplicate: false,
        })
    }

    fn open(&self, pattern: Pattern, options: SubscribeOptions) -> Result<Arc<Queue>, BusError> {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = routes.find(&pattern, &options.group) {
            // Under the lock of the routes, as leaving is: else a queue could be found here that
            // its last reader is closing.
            queue.join();
            return Ok(queue);
        }
        if routes.count >= self.config.queues_max {
            return Err(BusError::Exhausted {
                what: "queues",
                allowed: self.config.queues_max,
            });
        }
        let bounds = (options.messages_max, self.config.queue_bytes_max);
        let id = routes.next_id;
        let queue = Queue::new(id, pattern, options.group, bounds, options.deliveries_max);
        let queue = Arc::new(queue);
        queue.join();
        routes.add(&queue);
        Ok(queue)
    }

    fn close(&self, queue: &Arc<Queue>) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if queue.leave() {
            routes.remove(queue);
        }
    }
}

impl Routes {
    fn find(&self, pattern: &Pattern, group: &str) -> Option<Arc<Queue>> {
        // Two readers without a group are strangers, and each gets everything.
        if group.is_empty() {
            return None;
        }
        let exact = self.exact.get(pattern.as_str()).into_iter().flatten();
        let mut queues = exact.chain(&self.wild);
        let same = |queue: &&Arc<Queue>| queue.pattern == *pattern && queue.group == group;
        queues.find(same).map(Arc::clone)
    }

    fn add(&mut self, queue: &Arc<Queue>) {
        self.next_id += 1;
        self.count += 1;
        let queue = Arc::clone(queue);
        if queue.pattern.is_exact() {
            let key = queue.pattern.as_str().to_owned();
            self.exact.entry(key).or_default().push(queue);
        } else {
            self.wild.push(queue);
        }
    }

    fn remove(&mut self, queue: &Queue) {
        self.count -= 1;
        self.wild.retain(|other| other.id != queue.id);
        let key = queue.pattern.as_str();
        if let Some(queues) = self.exact.get_mut(key) {
            queues.retain(|other| other.id != queue.id);
            if queues.is_empty() {
                // Each run has subjects of its own: an empty list for each would never be freed.
                self.exact.remove(key);
            }
        }
    }
}

#[async_trait]
impl Bus for LocalBus {
    async fn publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        self.send(subject, &envelope, None, WhenFull::Wait).await
    }

    async fn try_publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        self.send(subject, &envelope, None, WhenFull::Refuse).await
    }

    async fn request(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
        timeout: Duration,
    ) -> Result<Arc<Envelope>, BusError> {
        let (sender, answer) = oneshot::channel();
        let slot: ReplySlot = Arc::new(Mutex::new(Some(sender)));
        let asked = async {
            let receipt = self
                .send(subject, &envelope, Some(&slot), WhenFull::Wait)
                .await?;
            if receipt.duplicate {
                return Err(BusError::Repeated { id: envelope.id });
            }
            if receipt.queues == 0 {
                return Err(BusError::NoListener {
                    subject: subject.to_string(),
                });
            }
            // From here on only the queues hold the slot: when the last of them lets go of it
            // unanswered, the wait ends.
            drop(slot);
            answer.await.map_err(|_| BusError::Unanswered {
                subject: subject.to_string(),
            })
        };
        // An answer that comes after this finds its sender gone and is refused to whoever gives it.
        let late = |_| BusError::Timeout {
            subject: subject.to_string(),
            waited_ms: u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX),
        };
        tokio::time::timeout(timeout, asked).await.map_err(late)?
    }

    async fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let queue = self.shared.open(pattern, options)?;
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(Reader { queue, shared }))
    }
}

struct Reader {
    queue: Arc<Queue>,
    shared: Arc<Shared>,
}

#[async_trait]
impl Subscription for Reader {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        let item = self.queue.pop().await;
        let (subject, envelope) = (item.subject.clone(), Arc::clone(&item.envelope));
        let attempt = item.attempt;
        let held = Held {
            item: Some(item),
            queue: Arc::clone(&self.queue),
        };
        Ok(Delivery::new(subject, envelope, attempt, Box::new(held)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.close(&self.queue);
    }
}
