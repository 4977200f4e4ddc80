//! What a bus promises, whatever carries it: at least once to every group that listens, dedupe by
//! id, bounded queues that push back, and one answer for one request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ulid::Ulid;

use crate::envelope::Envelope;
use crate::subject::{Pattern, Subject};

/// Why the bus did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BusError {
    /// A queue on the way is full and the caller did not want to wait.
    #[error("the queue of `{pattern}` is full: {allowed} messages or bytes")]
    Full {
        /// The pattern of the queue.
        pattern: String,
        /// What it holds at most.
        allowed: usize,
    },
    /// The envelope is larger than a queue takes.
    #[error("the envelope is too large: {used} bytes, {allowed} allowed")]
    TooLarge {
        /// Bytes of its canonical form.
        used: usize,
        /// Bytes allowed.
        allowed: usize,
    },
    /// The id was seen with other content (MSG-005): one of the two is forged or a bug.
    #[error("envelope {id} was already sent with other content")]
    Conflict {
        /// The id.
        id: Ulid,
    },
    /// An envelope of one run on a subject of another.
    #[error("envelope {id} does not belong on `{subject}`")]
    Misplaced {
        /// The id.
        id: Ulid,
        /// The subject.
        subject: String,
    },
    /// A request that was sent before: its answer went to whoever sent it first.
    #[error("request {id} was sent before")]
    Repeated {
        /// The id.
        id: Ulid,
    },
    /// Nobody listens to the request.
    #[error("nobody listens to `{subject}`")]
    NoListener {
        /// The subject.
        subject: String,
    },
    /// Whoever took the request ended without an answer.
    #[error("the request to `{subject}` was taken and not answered")]
    Unanswered {
        /// The subject.
        subject: String,
    },
    /// No answer in time.
    #[error("no answer from `{subject}` within {waited_ms} ms")]
    Timeout {
        /// The subject.
        subject: String,
        /// How long it took.
        waited_ms: u64,
    },
    /// Nobody asked, or somebody else answered first.
    #[error("no answer is wanted")]
    NotAsked,
    /// An answer that does not say what caused it.
    #[error("the answer names `{given}` as its cause, the request is {wanted}")]
    WrongCause {
        /// The request's id.
        wanted: Ulid,
        /// What the answer says.
        given: String,
    },
    /// A bound of the bus itself.
    #[error("the bus is full: {allowed} {what}")]
    Exhausted {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        allowed: usize,
    },
    /// The carrier failed; only buses over a network know this.
    #[error("the bus failed: {0}")]
    Carrier(String),
}

/// What became of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Queues that took it; 0 when nobody listens.
    pub queues: usize,
    /// It was sent before, and nothing was done.
    pub duplicate: bool,
}

/// How to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Members of one group share one queue: each envelope goes to one of them. Empty: a queue of
    /// one's own.
    pub group: String,
    /// Envelopes that may wait or be in work at once; at it, senders wait or are told. Counts for
    /// the first member of a group.
    pub messages_max: usize,
    /// Deliveries before an envelope is given up, and told of in the log, so that one that kills its
    /// reader does not stop the queue (MSG-008).
    pub deliveries_max: u32,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self {
            group: String::new(),
            // Enough that a sender seldom waits for a reader that is at work, and few enough that a
            // reader which is stuck is noticed by its senders soon.
            messages_max: 256,
            // A reader may die of something else than the envelope, a few times in a row; more
            // would only repeat what the envelope does to it.
            deliveries_max: 5,
        }
    }
}

/// Carries envelopes.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Sends an envelope to every queue that listens, and waits while one of them is full.
    /// Dropping the future sends nothing.
    ///
    /// # Errors
    /// [`BusError::Conflict`], [`BusError::Misplaced`], [`BusError::TooLarge`].
    async fn publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError>;

    /// As [`Bus::publish`], but all or nothing at once.
    ///
    /// # Errors
    /// As [`Bus::publish`], and [`BusError::Full`].
    async fn try_publish(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<Receipt, BusError>;

    /// Sends an envelope and waits for the first answer; `timeout` counts the wait for room too.
    ///
    /// # Errors
    /// As [`Bus::publish`], and [`BusError::NoListener`], [`BusError::Unanswered`],
    /// [`BusError::Repeated`], [`BusError::Timeout`].
    async fn request(
        &self,
        subject: &Subject,
        envelope: Arc<Envelope>,
        timeout: Duration,
    ) -> Result<Arc<Envelope>, BusError>;

    /// Listens. What was sent before is not seen; dropping the last subscription of a queue drops
    /// what waits in it.
    ///
    /// # Errors
    /// [`BusError::Exhausted`].
    async fn subscribe(
        &self,
        pattern: Pattern,
        options: SubscribeOptions,
    ) -> Result<Box<dyn Subscription>, BusError>;
}

/// One reader of a queue.
#[async_trait]
pub trait Subscription: Send {
    /// The next delivery. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`BusError::Carrier`] when the bus is gone.
    async fn next(&mut self) -> Result<Delivery, BusError>;
}

/// An envelope in a reader's hands. Dropped without [`Delivery::ack`] or [`Delivery::answer`], it is
/// delivered again (MSG-006).
pub struct Delivery {
    /// Where it was sent.
    pub subject: Subject,
    /// What was sent.
    pub envelope: Arc<Envelope>,
    /// 1 for the first time.
    pub attempt: u32,
    settle: Box<dyn Settle>,
}

/// The carrier's half of a delivery.
#[async_trait]
pub trait Settle: Send + Sync {
    /// Whether the sender waits for an answer.
    fn wants_answer(&self) -> bool;
    /// Done with; never delivered again.
    ///
    /// # Errors
    /// [`BusError::Carrier`].
    async fn ack(self: Box<Self>) -> Result<(), BusError>;
    /// Still at it: do not deliver it to somebody else yet (MSG-007).
    ///
    /// # Errors
    /// [`BusError::Carrier`].
    async fn progress(&self) -> Result<(), BusError>;
    /// Hands the answer over and acknowledges.
    ///
    /// # Errors
    /// [`BusError::NotAsked`], [`BusError::Carrier`].
    async fn answer(self: Box<Self>, answer: Arc<Envelope>) -> Result<(), BusError>;
}

impl Delivery {
    /// A delivery whose fate `settle` carries out.
    #[must_use]
    pub fn new(
        subject: Subject,
        envelope: Arc<Envelope>,
        attempt: u32,
        settle: Box<dyn Settle>,
    ) -> Self {
        Self {
            subject,
            envelope,
            attempt,
            settle,
        }
    }

    /// Whether the sender waits for an answer.
    #[must_use]
    pub fn wants_answer(&self) -> bool {
        self.settle.wants_answer()
    }

    /// Done with; never delivered again.
    ///
    /// # Errors
    /// [`BusError::Carrier`].
    pub async fn ack(self) -> Result<(), BusError> {
        self.settle.ack().await
    }

    /// Still at it.
    ///
    /// # Errors
    /// [`BusError::Carrier`].
    pub async fn progress(&self) -> Result<(), BusError> {
        self.settle.progress().await
    }

    /// Answers the sender and acknowledges.
    ///
    /// # Errors
    /// [`BusError::WrongCause`] unless `answer` names this envelope as its cause, so that an answer
    /// can never be taken for one to another request; [`BusError::NotAsked`].
    pub async fn answer(self, answer: Arc<Envelope>) -> Result<(), BusError> {
        let wanted = self.envelope.id;
        if answer.causation != wanted.to_string() {
            // Dropped with it, unsettled: the sender still waits, and another reader may answer.
            return Err(BusError::WrongCause {
                wanted,
                given: answer.causation.clone(),
            });
        }
        self.settle.answer(answer).await
    }
}
