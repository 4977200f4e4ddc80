//! A message as it travels: what an envelope of kind [`MESSAGE`] or [`REPLY`] holds.

use std::sync::Arc;

use flowhost_bus::{BusError, Envelope, EnvelopeError, Head, Subject, Ulid};
use flowhost_engine::{CallScope, Fault, Message};
use flowhost_ledger::Fact;
use flowhost_ledger::records::{self, DecisionPart, HostCall, RecordKind as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The `type` of a message's envelope.
pub const MESSAGE: &str = "message";

/// The `type` of an answer's envelope.
pub const REPLY: &str = "message.reply";

/// The payload of a message's envelope. The sender is the envelope's `actor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessagePayload {
    /// The guest's topic.
    pub topic: String,
    /// The guest's JSON as text: what a mailbox counts is what it holds, and a tree of the same is up to
    /// a hundred times as large.
    pub payload: String,
    /// The plugins that wait for an answer, the sender last; empty for a message without one. Whoever
    /// delivers the message makes them the `callers` of its scope.
    pub waiting: Vec<String>,
    /// The planner's call that it was sent for, whose budget pays for reading it while that goes on.
    pub root: String,
}

impl MessagePayload {
    /// Reads it from an envelope.
    ///
    /// # Errors
    /// When the envelope holds something else.
    pub fn of(envelope: &Envelope) -> Result<Self, EnvelopeError> {
        envelope.read()
    }

    /// The message as its receiver's guest reads it.
    #[must_use]
    pub fn into_message(self, envelope: &Envelope) -> Message {
        Message {
            id: envelope.id.to_string(),
            topic: self.topic,
            sender: envelope.actor.clone(),
            correlation: envelope.correlation.clone(),
            payload: self.payload,
        }
    }
}

/// The record of a message that leaves, or of an answer: who sent what where. What it says is the
/// payload, which can be erased.
#[must_use]
pub fn message_fact(
    scope: &CallScope,
    subject: &Subject,
    envelope: &Envelope,
    message: &MessagePayload,
) -> Fact {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    // The payload is canonical text already, and these keys stand in canonical order.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    let waiting = serde_json::Value::from(message.waiting.clone());
    let said = format!(
        r#"{{"payload":{},"root":{},"subject":{},"topic":{},"waiting":{waiting}}}"#,
        message.payload,
        text(&message.root),
        text(subject.as_str()),
        text(&message.topic),
    );
    let record = records::Message {
        place: scope.place(),
        id: envelope.id.to_string(),
        r#type: envelope.kind.clone(),
        hash: Some(envelope.hash_text()),
        correlation: some(&envelope.correlation),
        cause: some(&envelope.causation),
        asks: (!message.waiting.is_empty()).then_some(true),
        ..records::Message::default()
    };
    record.by(scope.actor()).payload(said.into_bytes())
}

/// A mailbox that takes no more: messages, or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLimit {
    /// What it would hold.
    pub used: u64,
    /// What it holds at most.
    pub allowed: u64,
}

impl QueueLimit {
    /// The limit that a message was refused for, if it was one.
    #[must_use]
    pub fn of(error: &BusError) -> Option<Self> {
        let (used, allowed) = match error {
            BusError::Full { allowed, .. } => (allowed.saturating_add(1), *allowed),
            BusError::TooLarge { used, allowed } => (*used, *allowed),
            _ => return None,
        };
        Some(Self {
            used: used as u64,
            allowed: allowed as u64,
        })
    }

    /// The record that the message `id` went nowhere.
    #[must_use]
    pub fn fact(self, scope: &CallScope, interface: &str, id: &str) -> Fact {
        scope.said(HostCall {
            decided: DecisionPart {
                interface: Some(interface.to_owned()),
                ..DecisionPart::default()
            },
            id: Some(id.to_owned()),
            limit: Some("queue".to_owned()),
            used: Some(self.used),
            allowed: Some(self.allowed),
            ..HostCall::default()
        })
    }
}

/// Seals a message of the caller's under the id that belongs to record `seq`.
pub(super) fn seal(
    scope: &CallScope,
    seq: u64,
    correlation: String,
    payload: &MessagePayload,
) -> Result<Arc<Envelope>, SealError> {
    let payload = serde_json::to_value(payload).map_err(|error| Fault::Host(error.to_string()))?;
    let head = Head {
        id: id_of(scope, seq),
        tenant: scope.run.tenant.to_string(),
        run: scope.run.run.to_string(),
        step: scope.step.to_string(),
        actor: scope.actor(),
        correlation,
        causation: String::new(),
        traceparent: scope.traceparent.to_string(),
        kind: MESSAGE.to_owned(),
    };
    Ok(Arc::new(head.seal(payload)?))
}

/// Why a message is not sealed.
#[derive(Debug, thiserror::Error)]
pub(super) enum SealError {
    /// The guest's payload has no canonical form.
    #[error(transparent)]
    Payload(#[from] flowhost_bus::EnvelopeError),
    /// The host's mistake.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// An id made of the run's start, the record that allowed the message, and the run's seed: unique in
/// the run, in the order of its records, and the same in a replay.
fn id_of(scope: &CallScope, seq: u64) -> Ulid {
    let mut hash = Sha256::new();
    hash.update(b"flowhost message id\n");
    hash.update(scope.run.seed);
    hash.update(scope.run.run.as_bytes());
    hash.update(seq.to_be_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    let tail = digest
        .first_chunk::<8>()
        .map_or(0, |head| u64::from_be_bytes(*head))
        // An ULID has 80 bits behind its time: 40 for the record's number, which order the
        // messages, and 40 of the hash, which nobody can guess.
        >> 24;
    let sequence = u128::from(seq & 0x00ff_ffff_ffff);
    Ulid::from_parts(scope.run.started_ms, sequence << 40 | u128::from(tail))
}
