//! Delivers messages to the agents that subscribe to their topics.
//!
//! An agent reads one message at a time and per pattern; senders are told when `limits.queue` of
//! them wait. It hears neither itself, nor those that wait for it, nor another plan's plugins.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowhost_bus::Subscription;
use flowhost_bus::{Bus as _, Delivery, Draft, Envelope, Pattern, Subject, SubscribeOptions};
use flowhost_caps::messaging::{MESSAGE, MessagePayload, REPLY};
use flowhost_engine::{CallScope, Fault, Message, Outgoing};
use flowhost_ledger::Kind;
use flowhost_policy::{Direction, decide_topic};
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::driver::bus_failure;
use super::registry::Installed;
use super::router::prefix;
use super::worker::{Worker, envelope_id};
use crate::failure::Failure;
use crate::telemetry::lines;

/// The interface that what an agent hands back is decided under.
const INTERFACE: &str = "flowhost:roles/agent@0.1.0";
/// Messages that one pattern of an agent is handed in a run: agents that answer each other without
/// end stop here, long before they have used up a run's time.
const DELIVERIES_MAX: u64 = 10_000;

/// Starts a reader for each pattern of each agent that subscribes.
pub(super) async fn open(worker: &Arc<Worker>) -> Result<Vec<JoinHandle<()>>, Failure> {
    let mut readers = Vec::new();
    for plugin in worker.registry.values().filter(|it| it.is_agent()) {
        for pattern in &plugin.plugin.effective().grants.messages.subscribe {
            let subscription = subscribe(worker, plugin, pattern).await?;
            let reader = Reader {
                worker: worker.clone(),
                plugin: plugin.clone(),
                delivered: AtomicU64::new(0),
            };
            readers.push(tokio::spawn(reader.serve(subscription).in_current_span()));
        }
    }
    Ok(readers)
}

async fn subscribe(
    worker: &Worker,
    plugin: &Installed,
    pattern: &str,
) -> Result<Box<dyn Subscription>, Failure> {
    let run = &worker.scope;
    let topics = Pattern::topics(&run.tenant, &run.run, pattern);
    let topics = topics.map_err(|error| bus_failure(&error.to_string()))?;
    let queue = plugin.plugin.effective().limits.queue;
    let options = SubscribeOptions {
        group: format!("{} {pattern}", plugin.key),
        messages_max: usize::try_from(queue).unwrap_or(usize::MAX),
        deliveries_max: 1,
    };
    let subscribed = worker.bus.subscribe(topics, options).await;
    subscribed.map_err(|error| bus_failure(&error.to_string()))
}

struct Reader {
    worker: Arc<Worker>,
    plugin: Arc<Installed>,
    delivered: AtomicU64,
}

impl Reader {
    async fn serve(self, mut messages: Box<dyn Subscription>) {
        while let Ok(delivery) = messages.next().await {
            if let Err(fault) = self.deliver(delivery).await {
                tracing::warn!(plugin = %self.plugin.key, %fault, "a message was not delivered");
            }
        }
    }

    /// Hands a message over; an error leaves whoever waits for an answer without one.
    async fn deliver(&self, delivery: Delivery) -> Result<(), Fault> {
        let envelope = delivery.envelope.clone();
        let Some(payload) = self.wanted(&envelope) else {
            return done(delivery).await;
        };
        let asked = delivery.wants_answer();
        let scope = self.scope(&envelope, &payload);
        let message = payload.into_message(&envelope);
        let context = lines::message_context(&message.id, &scope.step, &self.plugin.key);
        let handed = self.hand_over(&scope, &envelope, &message);
        match handed.instrument(context).await {
            Ok(outgoing) => self.send(&scope, delivery, &message, outgoing, asked).await,
            Err(fault) => {
                done(delivery).await?;
                Err(fault)
            }
        }
    }

    /// The message, if it is for this agent.
    fn wanted(&self, envelope: &Envelope) -> Option<MessagePayload> {
        let payload = MessagePayload::of(envelope).ok()?;
        let sender = envelope.actor.split_once('/')?.1;
        let key = &*self.plugin.key;
        let foreign = sender == key || prefix(sender) != prefix(key);
        let closes = payload.waiting.iter().any(|waiting| waiting == key);
        if envelope.kind != MESSAGE || foreign || closes {
            return None;
        }
        if self.delivered.fetch_add(1, Relaxed) >= DELIVERIES_MAX {
            tracing::warn!(plugin = key, "takes no more than {DELIVERIES_MAX} messages");
            return None;
        }
        Some(payload)
    }

    fn scope(&self, envelope: &Envelope, payload: &MessagePayload) -> CallScope {
        CallScope {
            step: envelope.step.as_str().into(),
            traceparent: envelope.traceparent.as_str().into(),
            callers: payload
                .waiting
                .iter()
                .map(|it| it.as_str().into())
                .collect(),
            ..self.plugin.last_scope(&self.worker.scope)
        }
    }

    async fn hand_over(
        &self,
        scope: &CallScope,
        envelope: &Envelope,
        message: &Message,
    ) -> Result<Vec<Outgoing>, Fault> {
        self.worker.start_agent(&self.plugin, scope).await?;
        let fact = scope
            .fact(Kind::Message)
            .with("interface", INTERFACE)
            .with("id", message.id.as_str())
            .with("sender", message.sender.as_str())
            .with("hash", envelope.hash_text())
            .payload(message.payload.clone().into_bytes());
        scope.record_durable(fact).await?;
        let account = self.worker.tally.open(scope);
        let report = self.plugin.plugin.agent_on_message(scope.clone(), message);
        let outgoing = report.await.result;
        drop(account);
        outgoing
    }

    /// Publishes what the agent hands back; the first that names the message answers a request.
    async fn send(
        &self,
        scope: &CallScope,
        delivery: Delivery,
        message: &Message,
        outgoing: Vec<Outgoing>,
        asked: bool,
    ) -> Result<(), Fault> {
        let mut open = Some(delivery);
        for out in outgoing {
            let Some(seq) = allowed(scope, &out)? else {
                continue;
            };
            let id = envelope_id(&scope.run, seq, "message");
            let answers = asked && out.correlation == message.id;
            let waiting = if answers { open.take() } else { None };
            match waiting {
                Some(delivery) => self.answer(delivery, id, &out).await?,
                None => self.publish(scope, id, message, &out).await?,
            }
        }
        match open {
            Some(delivery) => done(delivery).await,
            None => Ok(()),
        }
    }

    async fn answer(
        &self,
        delivery: Delivery,
        id: flowhost_bus::Ulid,
        out: &Outgoing,
    ) -> Result<(), Fault> {
        let actor = format!("{}/{}", self.worker.scope.tenant, self.plugin.key);
        let draft = Draft::answer(&delivery.envelope, id, &actor, REPLY, payload(out)?);
        let envelope = draft.seal().map_err(|error| host(&error))?;
        delivery
            .answer(Arc::new(envelope))
            .await
            .map_err(|error| host(&error))
    }

    async fn publish(
        &self,
        scope: &CallScope,
        id: flowhost_bus::Ulid,
        message: &Message,
        out: &Outgoing,
    ) -> Result<(), Fault> {
        let run = &self.worker.scope;
        let subject = Subject::topic(&run.tenant, &run.run, &out.topic);
        let subject = subject.map_err(|error| host(&error))?;
        let draft = Draft {
            id,
            tenant: run.tenant.to_string(),
            run: run.run.to_string(),
            step: scope.step.to_string(),
            actor: scope.actor(),
            correlation: out.correlation.clone(),
            causation: message.id.clone(),
            traceparent: scope.traceparent.to_string(),
            kind: MESSAGE.to_owned(),
            payload: payload(out)?,
        };
        let envelope = Arc::new(draft.seal().map_err(|error| host(&error))?);
        let sent = self.worker.bus.try_publish(&subject, envelope).await;
        sent.map(drop).map_err(|error| host(&error))
    }
}

/// The record that allows a message, or none when its topic is refused (which is recorded too).
fn allowed(scope: &CallScope, out: &Outgoing) -> Result<Option<u64>, Fault> {
    let grant = &scope.effective.grants.messages;
    match decide_topic(grant, Direction::Publish, &out.topic) {
        Ok(allowed) => {
            let rule = format!("messages.publish[{}]", allowed.index);
            let seq = scope.record_allow(Kind::Message, INTERFACE, &rule, &out.topic)?;
            Ok(Some(seq))
        }
        Err(mut denied) => {
            denied.wanted = flowhost_engine::neutralise(&denied.wanted, 256);
            scope.record_deny(Kind::HostCall, INTERFACE, &denied)?;
            Ok(None)
        }
    }
}

fn payload(out: &Outgoing) -> Result<serde_json::Value, Fault> {
    let message = MessagePayload {
        topic: out.topic.clone(),
        payload: serde_json::from_str(&out.payload).map_err(|error| host(&error))?,
        waiting: Vec::new(),
    };
    serde_json::to_value(message).map_err(|error| host(&error))
}

async fn done(delivery: Delivery) -> Result<(), Fault> {
    delivery.ack().await.map_err(|error| host(&error))
}

fn host(error: &dyn std::error::Error) -> Fault {
    Fault::Host(error.to_string())
}
