//! Delivers messages to the agents that subscribe to their topics.
//!
//! An agent reads one message at a time and per pattern; senders are told when `limits.queue` of
//! them wait. It hears neither itself, nor those that wait for it, nor another plan's plugins. A
//! delivery is a call like a step's: its intent is in the ledger before the agent runs, its result
//! before anyone hears of it.

mod outgoing;
mod quiet;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use flowhost_bus::{
    Bus, BusError, Delivery, Envelope, Head, Pattern, Subject, SubscribeOptions, Subscription, Ulid,
};
use flowhost_caps::messaging::{MESSAGE, MessagePayload};
use flowhost_engine::{CallScope, Fault, Message, Outgoing, RunScope};
use flowhost_ledger::records::{DecisionPart, HostCall, ToolCall, ToolResult, UsedPart};
use flowhost_ledger::trace;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::base::failure::Failure;
use crate::base::lines;
use crate::base::tasks;
use crate::calls::driver::bus_failure;
use crate::calls::worker::Worker;
use crate::earlier::resume::past::Unread;
use crate::plugins::installed::Installed;
use crate::plugins::registry::Registry;
use crate::plugins::router::prefix;

use quiet::Question;
pub(crate) use quiet::Traffic;

/// The interface that a delivery and what an agent hands back are recorded under.
const INTERFACE: &str = "flowhost:roles/agent@0.1.0";
/// The agent's function that takes a message, as its records name it.
const ON_MESSAGE: &str = "on-message";
/// Messages that one pattern of an agent is handed in a run: agents that answer each other without
/// end stop here, long before they have used up a run's time. At it the message is dropped and
/// recorded.
const DELIVERIES_MAX: u64 = 10_000;

/// The mailboxes of a run.
pub(crate) struct Mailboxes {
    readers: Vec<JoinHandle<()>>,
    traffic: Arc<Traffic>,
}

impl Mailboxes {
    /// Starts a reader for each pattern of each agent that subscribes.
    pub(crate) async fn open(worker: &Arc<Worker>) -> Result<Self, Failure> {
        let (mut readers, mut traffic) = (Vec::new(), Traffic::default());
        for plugin in worker.registry.all().iter().filter(|it| it.is_agent()) {
            for pattern in &plugin.plugin.effective().grants.messages.subscribe {
                let subscription = subscribe(&*worker.bus, &worker.scope, plugin, pattern).await?;
                let reader = Reader {
                    worker: worker.clone(),
                    key: plugin.key.clone(),
                    pattern: pattern.clone(),
                    delivered: AtomicU64::new(0),
                    all: traffic.counter(),
                };
                let questions = traffic.ask();
                readers.push(tasks::spawn(reader.serve(subscription, questions)));
            }
        }
        let traffic = Arc::new(traffic);
        Ok(Self { readers, traffic })
    }

    /// What is under way between them.
    pub(crate) fn traffic(&self) -> Arc<Traffic> {
        self.traffic.clone()
    }

    /// Stops every reader, and waits until what it was doing is accounted for; what still waits in a
    /// mailbox is dropped.
    pub(crate) async fn close(&mut self) {
        for reader in &self.readers {
            reader.abort();
        }
        for reader in self.readers.drain(..) {
            let _stopped = reader.await;
        }
    }
}

/// A worker that is stopped in the middle reads no further message.
impl Drop for Mailboxes {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// The mailboxes of a run's agents, held open and not read: what is sent while no worker is there waits
/// in them for the next.
pub(crate) async fn hold_open(
    bus: &dyn Bus,
    run: &RunScope,
    plugins: &Registry,
) -> Result<Vec<Box<dyn Subscription>>, Failure> {
    let mut held = Vec::new();
    for plugin in plugins.all().iter().filter(|it| it.is_agent()) {
        for pattern in &plugin.plugin.effective().grants.messages.subscribe {
            held.push(subscribe(bus, run, plugin, pattern).await?);
        }
    }
    Ok(held)
}

/// Publishes again what nobody, or not everybody, had read when another process of this run ended. What all of
/// its readers have read is left out: a mailbox has room for what waited in it, and not for all that was ever
/// in it.
pub(crate) async fn redeliver(
    bus: &dyn Bus,
    run: &RunScope,
    plugins: &Registry,
    read: &HashMap<(String, String), u32>,
    unread: &[Unread],
) {
    let waits = |message: &&Unread| {
        let mut agents = plugins.all().into_iter().filter(|it| it.is_agent());
        agents.any(|agent| {
            let times = read.get(&(agent.key.to_string(), message.id.clone()));
            let patterns = &agent.plugin.effective().grants.messages.subscribe;
            let hears = hears((&run.tenant, &run.run), &agent.key, patterns, message);
            hears > times.copied().unwrap_or(0)
        })
    };
    for message in unread.iter().filter(waits) {
        if let Err(error) = again(bus, run, message).await {
            tracing::warn!(
                id = message.id,
                error,
                "a message cannot be delivered again"
            );
        }
    }
}

/// How often an agent is handed a message: once for each of its patterns that take the topic.
pub(crate) fn hears(
    (tenant, run): (&str, &str),
    key: &str,
    patterns: &[String],
    message: &Unread,
) -> u32 {
    if message.sender == key || prefix(&message.sender) != prefix(key) {
        return 0; // an agent hears neither itself nor another plan's plugins
    }
    let Ok(subject) = Subject::topic(tenant, run, &message.topic) else {
        return 0; // it was recorded by a host that took other topics; nobody can subscribe to it
    };
    let takes = |pattern: &&String| {
        let pattern = Pattern::topics(tenant, run, pattern);
        pattern.is_ok_and(|pattern| pattern.matches(&subject))
    };
    u32::try_from(patterns.iter().filter(takes).count()).unwrap_or(u32::MAX)
}

/// The message as its sender sent it, under the id that it had.
async fn again(bus: &dyn Bus, run: &RunScope, message: &Unread) -> Result<(), String> {
    let trace_id = trace::trace_id(&run.run);
    let payload = MessagePayload {
        topic: message.topic.clone(),
        payload: message.payload.clone(),
        waiting: Vec::new(),
        root: message.root.to_string(),
    };
    let head = Head {
        id: Ulid::from_string(&message.id).map_err(|error| error.to_string())?,
        tenant: run.tenant.to_string(),
        run: run.run.to_string(),
        step: message.step.clone(),
        actor: format!("{}/{}", run.tenant, message.sender),
        correlation: message.correlation.clone(),
        causation: String::new(),
        traceparent: trace::traceparent(&trace_id, trace::step_span(&message.step)),
        kind: MESSAGE.to_owned(),
    };
    let payload = serde_json::to_value(payload).map_err(|error| error.to_string())?;
    let envelope = head.seal(payload).map_err(|error| error.to_string())?;
    let subject = Subject::topic(&run.tenant, &run.run, &message.topic);
    let subject = subject.map_err(|error| error.to_string())?;
    bus.try_publish(&subject, Arc::new(envelope))
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}

async fn subscribe(
    bus: &dyn Bus,
    run: &RunScope,
    plugin: &Installed,
    pattern: &str,
) -> Result<Box<dyn Subscription>, Failure> {
    let topics = Pattern::topics(&run.tenant, &run.run, pattern);
    let topics = topics.map_err(|error| bus_failure(BusError::Carrier(error.to_string())))?;
    let queue = plugin.plugin.effective().limits.queue;
    let options = SubscribeOptions {
        group: format!("{} {pattern}", plugin.key),
        messages_max: usize::try_from(queue).unwrap_or(usize::MAX),
        // What a message does is not undone by handing it over again within one process; after the process, the record
        // says whether it was read.
        deliveries_max: 1,
    };
    let subscribed = bus.subscribe(topics, options).await;
    subscribed.map_err(bus_failure)
}

pub(crate) struct Reader {
    worker: Arc<Worker>,
    /// The agent that reads, whatever its revision.
    key: Arc<str>,
    pattern: String,
    delivered: AtomicU64,
    /// The deliveries of all readers.
    all: Arc<AtomicU64>,
}

impl Reader {
    /// A reader that reads what a replay hands it.
    pub(crate) fn alone(worker: &Arc<Worker>, key: &str, pattern: &str) -> Self {
        Self {
            worker: worker.clone(),
            key: key.into(),
            pattern: pattern.to_owned(),
            delivered: AtomicU64::new(0),
            all: Arc::default(),
        }
    }

    /// Reads a message of a run that is replayed, under the id that the call has in the record.
    pub(crate) async fn again(
        &self,
        call: &str,
        envelope: Arc<Envelope>,
        asked: bool,
    ) -> Result<(), Fault> {
        let payload = MessagePayload::of(&envelope).map_err(|error| host(&error))?;
        let reader = self.worker.registry.current(&self.key);
        let reader = reader.ok_or_else(|| Fault::Host(format!("`{}` is gone", self.key)))?;
        let own = reader.own_scope_as(&self.worker.scope, call.into());
        let scope = self.scope(own, &envelope, &payload);
        let message = payload.into_message(&envelope);
        match self
            .hand_over(&reader, &scope, &envelope, &message, asked)
            .await
        {
            Ok(outgoing) => {
                let answering = Answering {
                    delivery: None,
                    asked,
                };
                self.send(&scope, &envelope, answering, &message, outgoing)
                    .await
            }
            // How it failed stands in its result.
            Err(_) => Ok(()),
        }
    }

    async fn serve(
        self,
        mut messages: Box<dyn Subscription>,
        mut questions: mpsc::Receiver<Question>,
    ) {
        loop {
            // Messages first: who is asked answers only when none waits.
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Ok(delivery) => self.take(delivery).await,
                    Err(_) => return,
                },
                Some(question) = questions.recv() => {
                    let _gone = question.send(self.delivered.load(Relaxed));
                }
            }
        }
    }

    async fn take(&self, delivery: Delivery) {
        if let Err(fault) = self.deliver(delivery).await {
            tracing::warn!(plugin = %self.key, %fault, "a message was not delivered");
        }
    }

    /// Hands a message over; an error leaves whoever waits for an answer without one.
    async fn deliver(&self, delivery: Delivery) -> Result<(), Fault> {
        let envelope = delivery.envelope.clone();
        let Some(payload) = self.wanted(&envelope).filter(|_| !self.had_read(&envelope)) else {
            return done(delivery).await;
        };
        // Pinned here: a swap while the message is read does not touch it.
        let reader = self.worker.registry.current(&self.key);
        let reader = reader.ok_or_else(|| Fault::Host(format!("`{}` is gone", self.key)))?;
        let own = reader.own_scope(&self.worker.scope);
        let scope = self.scope(own, &envelope, &payload);
        if !self.counted(&scope, &envelope)? {
            return done(delivery).await;
        }
        let message = payload.into_message(&envelope);
        let context = lines::message_context(&message.id, &scope.step, &self.key);
        let asked = delivery.wants_answer();
        let handed = self.hand_over(&reader, &scope, &envelope, &message, asked);
        match handed.instrument(context).await {
            Ok(outgoing) => {
                let answering = Answering {
                    delivery: Some(delivery),
                    asked,
                };
                self.send(&scope, &envelope, answering, &message, outgoing)
                    .await
            }
            Err(fault) => {
                done(delivery).await?;
                Err(fault)
            }
        }
    }

    /// The message, if it is for this agent.
    fn wanted(&self, envelope: &Envelope) -> Option<MessagePayload> {
        let payload = MessagePayload::of(envelope).ok()?;
        let sender = sender(envelope)?;
        let key = &*self.key;
        let foreign = sender == key || prefix(sender) != prefix(key);
        let closes = payload.waiting.iter().any(|waiting| waiting == key);
        let wanted = envelope.kind == MESSAGE && !foreign && !closes;
        wanted.then_some(payload)
    }

    /// Whether this agent read the message before another process of this run ended; each of its patterns
    /// is handed it once.
    fn had_read(&self, envelope: &Envelope) -> bool {
        // Where no other process was, nobody need be asked.
        let asks = !self.worker.channel.is_first();
        let recall = &self.worker.recall;
        asks && recall.had_read(&self.key, &envelope.id.to_string())
    }

    /// Counts a delivery; false for one too many, which is recorded the first time.
    fn counted(&self, scope: &CallScope, envelope: &Envelope) -> Result<bool, Fault> {
        // Counted for whoever waits for quiet before it counts here: one that is dropped was under way, too.
        self.all.fetch_add(1, Relaxed);
        let used = self.delivered.fetch_add(1, Relaxed) + 1;
        if used == DELIVERIES_MAX + 1 {
            let one_too_many = HostCall {
                decided: DecisionPart {
                    interface: Some(INTERFACE.to_owned()),
                    ..DecisionPart::default()
                },
                id: Some(envelope.id.to_string()),
                pattern: Some(self.pattern.clone()),
                limit: Some("deliveries".to_owned()),
                used: Some(used),
                allowed: Some(DELIVERIES_MAX),
                ..HostCall::default()
            };
            scope.run.recorder.append(scope.said(one_too_many))?;
        }
        Ok(used <= DELIVERIES_MAX)
    }

    /// The agent's own scope as the message asks for it.
    fn scope(&self, own: CallScope, envelope: &Envelope, payload: &MessagePayload) -> CallScope {
        let run = &self.worker.scope;
        let id = envelope.id.to_string();
        CallScope {
            key: run.effect_key(&[&self.key, &self.pattern, &id]),
            step: envelope.step.as_str().into(),
            root: payload.root.as_str().into(),
            traceparent: envelope.traceparent.as_str().into(),
            callers: payload
                .waiting
                .iter()
                .map(|it| it.as_str().into())
                .collect(),
            ..own
        }
    }

    async fn hand_over(
        &self,
        reader: &Installed,
        scope: &CallScope,
        envelope: &Envelope,
        message: &Message,
        asked: bool,
    ) -> Result<Vec<Outgoing>, Fault> {
        let caller = sender(envelope).unwrap_or_default();
        let intent = scope.said(ToolCall {
            interface: Some(INTERFACE.to_owned()),
            tool: ON_MESSAGE.to_owned(),
            caller: Some(caller.to_owned()),
            id: Some(message.id.clone()),
            sender: Some(message.sender.clone()),
            hash: Some(envelope.hash_text()),
            pattern: Some(self.pattern.clone()),
            asked: Some(asked),
            ..ToolCall::default()
        });
        let intent = intent.payload(message.payload.clone().into_bytes());
        scope.record_durable(intent).await?;
        let outgoing = self.call(reader, scope, message).await;
        let result = ToolResult {
            tool: ON_MESSAGE.to_owned(),
            caller: Some(caller.to_owned()),
            id: Some(message.id.clone()),
            used: UsedPart {
                fuel: Some(scope.meter.fuel.load(Relaxed)),
                host_calls: Some(scope.meter.host_calls.load(Relaxed)),
                told_ms: Some(scope.meter.told_ms.load(Relaxed)),
                ..UsedPart::default()
            },
            ..ToolResult::default()
        };
        let result = match &outgoing {
            Ok(outgoing) => scope.said(ToolResult {
                status: "ok".to_owned(),
                outgoing: Some(outgoing.len() as u64),
                ..result
            }),
            Err(fault) => scope
                .said(ToolResult {
                    status: "failed".to_owned(),
                    owner: Some(fault.owner()),
                    ..result
                })
                .payload(fault.to_string().into_bytes()),
        };
        scope.record_durable(result).await?;
        outgoing
    }

    async fn call(
        &self,
        reader: &Installed,
        scope: &CallScope,
        message: &Message,
    ) -> Result<Vec<Outgoing>, Fault> {
        reader.breaker.check()?;
        self.worker.start_agent(reader, scope).await?;
        // Open until the call has ended, however: it is the sender's root call that pays.
        let account = self.worker.tally.open(scope);
        let report = reader.plugin.agent_on_message(scope.clone(), message);
        let outgoing = report.await.result;
        drop(account);
        reader.breaker.hear(&outgoing);
        outgoing
    }
}

/// Whoever waits for an answer to a message.
struct Answering {
    /// None in a replay, where nobody waits.
    delivery: Option<Delivery>,
    asked: bool,
}

/// The plugin that sent an envelope.
fn sender(envelope: &Envelope) -> Option<&str> {
    Some(envelope.actor.split_once('/')?.1)
}

async fn done(delivery: Delivery) -> Result<(), Fault> {
    delivery.ack().await.map_err(|error| host(&error))
}

fn host(error: &dyn std::error::Error) -> Fault {
    Fault::Host(error.to_string())
}
