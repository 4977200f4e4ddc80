//! A bus that is slow, lets envelopes overtake each other, says them twice and loses acknowledgements:
//! what a bus may do that promises each envelope at least once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use flowhost_bus::{
    Bus, BusError, Delivery, Envelope, LocalBus, LocalConfig, Pattern, Receipt, Settle, Subject,
    SubscribeOptions, Subscription, Ulid,
};
use flowhost_caps::messaging::MESSAGE;
use flowhost_flow::plan::Effects;

use super::world::World;
use crate::calls::order::Order;

pub(super) struct SimBus {
    inner: Arc<LocalBus>,
    world: Arc<World>,
}

impl SimBus {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self {
            inner: Arc::new(LocalBus::new(LocalConfig::default())),
            world,
        }
    }

    /// Whether this was said before, by whichever process: a carrier that outlives its senders drops it, and refuses
    /// another thing under the same id.
    fn is_known(&self, envelope: &Envelope) -> Result<bool, BusError> {
        let id = envelope.id;
        match self.world.seen().said.get(&id) {
            None => Ok(false),
            Some((_, said)) if said.hash() == envelope.hash() => Ok(true),
            Some(_) => Err(BusError::Conflict { id }),
        }
    }

    /// Remembers what was taken. What is known of a call is what its order says.
    fn note(&self, subject: &Subject, envelope: &Arc<Envelope>) {
        if !may_be_kept(&envelope.kind) {
            return;
        }
        let sent = (subject.clone(), envelope.clone());
        let mut seen = self.world.seen();
        seen.said.insert(envelope.id, sent.clone());
        if envelope.kind == "step.start"
            && let Ok(order) = envelope.body::<Order>()
        {
            let once = order.effects == Effects::Once && !order.part.is_guard();
            seen.once.insert(order.call, once);
            seen.orders.insert(order.call, sent);
        }
    }

    /// A carrier that outlives the process hands out what it never had an acknowledgement for: orders and answers of
    /// calls that have ended since and of calls that are made again, words to stop them, and messages of agents.
    pub(super) fn outlives(&self, ended: BTreeSet<u64>) {
        let said = {
            let mut seen = self.world.seen();
            seen.over = ended;
            seen.said.clone()
        };
        for (subject, envelope) in said.into_values() {
            if self.world.below(4) > 0 {
                continue;
            }
            let (inner, world) = (self.inner.clone(), self.world.clone());
            crate::base::tasks::spawn(async move {
                // By then the process listens.
                tokio::time::sleep(Duration::from_millis(1)).await;
                world.pause().await;
                let _taken = inner.publish(&subject, envelope).await;
            });
        }
    }
}

/// What one process says to the other of a call, and what agents say to each other: another process must not hear
/// it.
fn may_be_kept(kind: &str) -> bool {
    matches!(kind, "step.start" | "step.end" | "step.cancel") || kind.starts_with(MESSAGE)
}

/// Only orders and answers: what waits for an answer must not be overtaken by its own time limit, and a
/// mailbox is handed each message once.
fn may_stray(kind: &str) -> bool {
    matches!(kind, "step.start" | "step.end")
}

#[async_trait]
impl Bus for SimBus {
    async fn publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        self.world.pause().await;
        self.try_publish(subject, envelope).await
    }

    async fn try_publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError> {
        if self.is_known(&envelope)? {
            return Ok(Receipt {
                queues: 1,
                duplicate: true,
            });
        }
        if !may_stray(&envelope.kind) || self.world.below(3) > 0 {
            let taken = self.inner.try_publish(subject, envelope.clone()).await?;
            self.note(subject, &envelope);
            return Ok(taken);
        }
        self.note(subject, &envelope);
        // Taken by the carrier, and on its way: others overtake it, and it may come twice.
        let (inner, world) = (self.inner.clone(), self.world.clone());
        let subject = subject.clone();
        crate::base::tasks::spawn(async move {
            world.pause().await;
            let _taken = inner.publish(&subject, envelope.clone()).await;
            if world.below(4) == 0 {
                world.pause().await;
                let _again = inner.publish(&subject, envelope).await;
            }
        });
        Ok(Receipt {
            queues: 1,
            duplicate: false,
        })
    }

    async fn request(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
        timeout: Duration,
    ) -> Result<Arc<Envelope>, BusError> {
        self.inner.request(subject, envelope, timeout).await
    }

    async fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError> {
        let inner = self.inner.subscribe(pattern.clone(), options).await?;
        Ok(Box::new(Reader {
            inner,
            pattern,
            world: self.world.clone(),
            strayed: Arc::default(),
        }))
    }
}

/// Envelopes that a reader lost once; the second time it keeps them, because a bus sets aside what is lost
/// again and again.
type Strayed = Arc<Mutex<BTreeSet<Ulid>>>;

struct Reader {
    inner: Box<dyn Subscription>,
    pattern: Pattern,
    world: Arc<World>,
    strayed: Strayed,
}

impl Reader {
    fn strays(&self, delivery: &Delivery, chance: u64) -> bool {
        may_stray(&delivery.envelope.kind)
            && self.world.below(chance) == 0
            && self.strayed.lock().unwrap().insert(delivery.envelope.id)
    }
}

#[async_trait]
impl Subscription for Reader {
    async fn next(&mut self) -> Result<Delivery, BusError> {
        loop {
            let delivery = tokio::select! {
                biased;
                // Whoever had it is gone in the middle of it: it is handed out again.
                (subject, envelope) = self.world.abandoned(&self.pattern) => {
                    return Ok(Delivery::new(subject, envelope, 2, Box::new(Nobody)));
                }
                delivery = self.inner.next() => delivery?,
            };
            if self.strays(&delivery, 12) {
                continue; // whoever took it is gone before it did anything
            }
            if !self.strays(&delivery, 8) {
                return Ok(delivery);
            }
            let (subject, envelope) = (delivery.subject.clone(), delivery.envelope.clone());
            let attempt = delivery.attempt;
            let settle = Box::new(Unacknowledged(delivery));
            return Ok(Delivery::new(subject, envelope, attempt, settle));
        }
    }
}

/// A delivery that nobody waits for.
struct Nobody;

#[async_trait]
impl Settle for Nobody {
    fn wants_answer(&self) -> bool {
        false
    }

    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        Ok(())
    }

    async fn progress(&self) -> Result<(), BusError> {
        Ok(())
    }

    async fn answer(self: Box<Self>, _: Arc<Envelope>) -> Result<(), BusError> {
        Err(BusError::NotAsked)
    }
}

/// A delivery whose acknowledgement gets lost: it comes again.
struct Unacknowledged(Delivery);

#[async_trait]
impl Settle for Unacknowledged {
    fn wants_answer(&self) -> bool {
        self.0.wants_answer()
    }

    async fn ack(self: Box<Self>) -> Result<(), BusError> {
        drop(self.0);
        Ok(())
    }

    async fn progress(&self) -> Result<(), BusError> {
        self.0.progress().await
    }

    async fn answer(self: Box<Self>, answer: Arc<Envelope>) -> Result<(), BusError> {
        self.0.answer(answer).await
    }
}
