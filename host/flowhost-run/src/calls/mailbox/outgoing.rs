//! What an agent hands back for a message: published, or the answer to a request.
//!
//! Each message stands alone: one that is refused is recorded, and the others still go. Nothing here
//! waits for room, so that agents with full mailboxes cannot wait for each other.

use std::sync::Arc;

use flowhost_bus::{Envelope, Head, Subject, Ulid, canonical_text};
use flowhost_caps::messaging::{MESSAGE, MessagePayload, QueueLimit, REPLY, message_fact};
use flowhost_engine::{CallScope, Fault, Message, Outgoing, neutralise};
use flowhost_ledger::Value;
use flowhost_ledger::records::{Asked, DecisionPart, HostCall};
use flowhost_policy::{Direction, decide_topic};

use super::{Answering, INTERFACE, Reader, done, host};
use crate::calls::channel::message_id;

/// Longest topic that a record holds, in characters: the longest that the policy allows, so that only what
/// is refused is cut.
const TOPIC_CHARS: usize = 256;
/// Longest correlation in bytes, as for a message that a guest publishes itself.
const CORRELATION_BYTES: usize = 128;

impl Reader {
    /// Sends what the agent hands back; the first that names the message answers a request.
    pub(super) async fn send(
        &self,
        scope: &CallScope,
        question: &Envelope,
        answering: Answering,
        message: &Message,
        outgoing: Vec<Outgoing>,
    ) -> Result<(), Fault> {
        let Answering {
            delivery: mut open,
            mut asked,
        } = answering;
        for out in &outgoing {
            let Some(seq) = allowed(scope, out)? else {
                continue;
            };
            let id = message_id(&scope.run, seq);
            let answers = asked && out.correlation == message.id;
            let sealed = match answers {
                true => answer(question, scope, id, out),
                false => publication(scope, id, message, out),
            };
            let (payload, envelope) = match sealed {
                Ok(sealed) => sealed,
                Err(why) => {
                    refused(scope, out, &why)?;
                    continue;
                }
            };
            // What policy lets through is a topic: an error here is the host's own, and ends the delivery.
            let subject = Subject::topic(&scope.run.tenant, &scope.run.run, &out.topic)
                .map_err(|error| host(&error))?;
            let fact = message_fact(scope, &subject, &envelope, &payload);
            scope.run.recorder.append(fact)?;
            if !answers {
                self.publish(scope, &subject, envelope).await?;
                continue;
            }
            asked = false;
            // Who asked may have stopped waiting; that is no reason to keep the rest back.
            if let Some(delivery) = open.take()
                && let Err(error) = delivery.answer(envelope).await
            {
                tracing::debug!(plugin = %scope.plugin, %error, "an answer came too late");
            }
        }
        match open {
            Some(delivery) => done(delivery).await,
            None => Ok(()),
        }
    }

    async fn publish(
        &self,
        scope: &CallScope,
        subject: &Subject,
        envelope: Arc<Envelope>,
    ) -> Result<(), Fault> {
        let id = envelope.id.to_string();
        if let Some(memory) = &scope.run.memory {
            // The mailbox was full exactly if the record says so next.
            let next = memory.next(&scope.call, INTERFACE);
            let limit = next.filter(|fact| {
                let text = |name: &str| fact.fields.get(name).and_then(Value::as_text);
                text("limit") == Some("queue") && text("id") == Some(&id)
            });
            if let Some(limit) = limit {
                scope.run.recorder.append(limit)?;
            }
            return Ok(());
        }
        let Err(error) = self.worker.bus.try_publish(subject, envelope).await else {
            return Ok(());
        };
        let limit = QueueLimit::of(&error).ok_or_else(|| host(&error))?;
        let fact = limit.fact(scope, INTERFACE, &id);
        scope.run.recorder.append(fact)?;
        Ok(())
    }
}

/// The record that allows a message, or none when its topic is refused (which is recorded too).
fn allowed(scope: &CallScope, out: &Outgoing) -> Result<Option<u64>, Fault> {
    let grant = &scope.effective.grants.messages;
    match decide_topic(grant, Direction::Publish, &out.topic) {
        Ok(allowed) => {
            let rule = format!("messages.publish[{}]", allowed.index);
            let seq = scope.record_allow::<HostCall>(INTERFACE, &rule, &out.topic)?;
            Ok(Some(seq))
        }
        Err(mut denied) => {
            denied.wanted = neutralise(&denied.wanted, TOPIC_CHARS);
            scope.record_deny::<HostCall>(INTERFACE, &denied)?;
            Ok(None)
        }
    }
}

/// Records a message that no envelope can carry: the agent's own mistake.
fn refused(scope: &CallScope, out: &Outgoing, why: &str) -> Result<(), Fault> {
    let fact = scope.said(HostCall {
        decided: DecisionPart {
            interface: Some(INTERFACE.to_owned()),
            ..DecisionPart::default()
        },
        status: Some("invalid".to_owned()),
        ..HostCall::default()
    });
    let asked = Asked::for_what(out.topic.as_str()).with_value(why.as_bytes().to_vec());
    scope
        .run
        .recorder
        .append(fact.payload(asked.to_payload()))?;
    Ok(())
}

type Sealed = Result<(MessagePayload, Arc<Envelope>), String>;

fn answer(question: &Envelope, scope: &CallScope, id: Ulid, out: &Outgoing) -> Sealed {
    sealed(
        Head::answer(question, id, &scope.actor(), REPLY),
        scope,
        out,
    )
}

fn publication(scope: &CallScope, id: Ulid, message: &Message, out: &Outgoing) -> Sealed {
    let correlation = &out.correlation;
    if correlation.len() > CORRELATION_BYTES || correlation.chars().any(char::is_control) {
        return Err(format!(
            "`correlation` has at most {CORRELATION_BYTES} printable bytes"
        ));
    }
    let head = Head {
        id,
        tenant: scope.run.tenant.to_string(),
        run: scope.run.run.to_string(),
        step: scope.step.to_string(),
        actor: scope.actor(),
        correlation: correlation.clone(),
        causation: message.id.clone(),
        traceparent: scope.traceparent.to_string(),
        kind: MESSAGE.to_owned(),
    };
    sealed(head, scope, out)
}

fn sealed(head: Head, scope: &CallScope, out: &Outgoing) -> Sealed {
    let payload: serde_json::Value =
        serde_json::from_str(&out.payload).map_err(|error| error.to_string())?;
    let payload = canonical_text(&payload).map_err(|error| error.to_string())?;
    let payload = MessagePayload {
        topic: out.topic.clone(),
        payload,
        waiting: Vec::new(),
        root: scope.root.to_string(),
    };
    let value = serde_json::to_value(&payload).map_err(|error| error.to_string())?;
    let envelope = head.seal(value).map_err(|error| error.to_string())?;
    Ok((payload, Arc::new(envelope)))
}
