//! `flowhost:messaging`.

use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::{BusError, Envelope, Subject, canonical_text};
use flowhost_engine::{CallScope, Fault, HostState, JsonLimits, bindings::types};
use flowhost_engine::{neutralise, parse_json};
use flowhost_ledger::records::{Asked, Decision, DecisionPart, HostCall};
use flowhost_policy::{Direction, decide_topic};
use serde::{Deserialize, Serialize};
use wasmtime::component::Linker;

use crate::messaging::envelope::{QueueLimit, SealError, message_fact, seal};
use crate::messaging::{MessagePayload, MessagingState, REPLY};
use crate::shared::bindings;
use crate::shared::support::{HasStore, Refusal, heard, kill, settle, told};

bindings!("import flowhost:messaging/messaging@0.1.0;", "../../wit/messaging/0.1.0", async | trappable, types);

pub(super) use bindings::flowhost::messaging::messaging as wit;

pub(super) const INTERFACE: &str = "flowhost:messaging/messaging@0.1.0";

/// Longest topic that a record holds, in characters. A refused topic may be anything, and what a guest says at
/// will must not swell the ledger.
const TOPIC_CHARS: usize = 256;

/// Longest correlation in bytes. It stands in the clear in the message's record,
/// which nobody can erase: room for an id, and for no letter.
const CORRELATION_BYTES: usize = 128;

/// Largest payload in bytes. As much as a broker takes by default (NATS); larger things travel as files.
const PAYLOAD_BYTES: usize = 1 << 20;

pub(super) fn link(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasStore>(linker, |state| state)
}

impl wit::Host for &mut HostState {
    async fn publish(
        &mut self,
        topic: String,
        correlation: String,
        payload: String,
    ) -> wasmtime::Result<Result<String, types::Error>> {
        let (scope, state) = charge(self)?;
        settle(publish(&state, &scope, topic, correlation, &payload).await)
    }

    async fn request(
        &mut self,
        topic: String,
        payload: String,
        timeout_ms: f64,
    ) -> wasmtime::Result<Result<types::Message, types::Error>> {
        let (scope, state) = charge(self)?;
        settle(request(&state, &scope, topic, &payload, timeout_ms).await)
    }
}

fn charge(state: &mut HostState) -> wasmtime::Result<(CallScope, MessagingState)> {
    state.scope().charge_host_call().map_err(kill)?;
    let parts = state.parts::<MessagingState>();
    Ok((parts.scope.clone(), parts.state.clone()))
}

async fn publish(
    state: &MessagingState,
    scope: &CallScope,
    topic: String,
    correlation: String,
    payload: &str,
) -> Result<String, Refusal> {
    let rule = decide(scope, &topic)?;
    let subject = subject(scope, &topic)?;
    // Behind the decision, as the payload is: a topic that is not granted is denied whatever comes
    // with it.
    if correlation.len() > CORRELATION_BYTES || correlation.chars().any(char::is_control) {
        let text = format!("`correlation` has at most {CORRELATION_BYTES} printable bytes");
        return Err(types::Error::Invalid(text).into());
    }
    let payload = json(payload)?;
    let message = MessagePayload {
        topic,
        payload,
        waiting: Vec::new(),
        root: scope.root.to_string(),
    };
    let envelope = allowed(scope, &rule, &subject, correlation, &message)?;
    let id = envelope.id.to_string();
    let send = told(async {
        state
            .bus
            .try_publish(&subject, envelope)
            .await
            .map(drop)
            .map_err(|error| refuse(scope, &id, error))
    });
    let sent = scope.unless_well(INTERFACE, "publish", &id, send).await;
    heard(scope, sent)?;
    Ok(id)
}

async fn request(
    state: &MessagingState,
    scope: &CallScope,
    topic: String,
    payload: &str,
    timeout_ms: f64,
) -> Result<types::Message, Refusal> {
    let rule = decide(scope, &topic)?;
    let subject = subject(scope, &topic)?;
    let timeout = timeout(scope, timeout_ms)?;
    let payload = json(payload)?;
    // Behind all other checks: it reads the mailboxes, and its refusal is a record.
    open_chain(state, scope, &topic)?;
    let waiting = scope.callers.iter().chain([&scope.plugin]);
    let message = MessagePayload {
        topic,
        payload,
        waiting: waiting.map(ToString::to_string).collect(),
        root: scope.root.to_string(),
    };
    let envelope = allowed(scope, &rule, &subject, String::new(), &message)?;
    let id = envelope.id.to_string();
    let ask = told(async {
        let answer = state
            .bus
            .request(&subject, envelope, timeout)
            .await
            .map_err(|error| refuse(scope, &id, error))?;
        let message = answered(scope, &answer)?;
        Ok(Answered {
            id: message.id,
            topic: message.topic,
            sender: message.sender,
            correlation: message.correlation,
            payload: message.payload,
        })
    });
    let answer = scope.outside(INTERFACE, "request", &id, ask).await;
    let message = heard(scope, answer)?;
    Ok(types::Message {
        id: message.id,
        topic: message.topic,
        sender: message.sender,
        correlation: message.correlation,
        payload: message.payload,
    })
}

/// The answer to a request, as its record has it.
#[derive(Serialize, Deserialize)]
struct Answered {
    id: String,
    topic: String,
    sender: String,
    correlation: String,
    payload: String,
}

fn decide(scope: &CallScope, topic: &str) -> Result<String, Refusal> {
    let grant = &scope.effective.grants.messages;
    match decide_topic(grant, Direction::Publish, topic) {
        Ok(allowed) => Ok(format!("messages.publish[{}]", allowed.index)),
        Err(mut denied) => {
            denied.wanted = neutralise(&denied.wanted, TOPIC_CHARS);
            scope.record_deny::<HostCall>(INTERFACE, &denied)?;
            Err(types::Error::from(&denied).into())
        }
    }
}

fn subject(scope: &CallScope, topic: &str) -> Result<Subject, Refusal> {
    let made = Subject::topic(&scope.run.tenant, &scope.run.run, topic);
    Ok(made.map_err(|error| types::Error::Invalid(error.to_string()))?)
}

/// The payload's canonical text.
fn json(payload: &str) -> Result<String, Refusal> {
    let limits = JsonLimits {
        bytes: PAYLOAD_BYTES,
        ..JsonLimits::default()
    };
    let value = parse_json(payload, &limits)
        .map_err(|error| types::Error::Invalid(format!("payload: {error}")))?;
    Ok(canonical_text(&value).map_err(|error| types::Error::Invalid(error.to_string()))?)
}

/// Records that the message is allowed, seals it under the record's id, and records it as it leaves.
fn allowed(
    scope: &CallScope,
    rule: &str,
    subject: &Subject,
    correlation: String,
    message: &MessagePayload,
) -> Result<Arc<Envelope>, Refusal> {
    // A record of its own before that of the message, because the message's id is made of its
    // number.
    let seq = scope.record_allow::<HostCall>(INTERFACE, rule, &message.topic)?;
    let envelope = seal(scope, seq, correlation, message).map_err(|error| match error {
        SealError::Payload(error) => types::Error::Invalid(error.to_string()).into(),
        SealError::Fault(fault) => Refusal::Fault(fault),
    })?;
    let fact = message_fact(scope, subject, &envelope, message);
    scope.run.recorder.append(fact).map_err(Fault::from)?;
    Ok(envelope)
}

/// At most the time that the call has left.
fn timeout(scope: &CallScope, timeout_ms: f64) -> Result<Duration, Refusal> {
    let invalid = |_| types::Error::Invalid("`timeout-ms` is a number of 0 or more".to_owned());
    let wanted = Duration::try_from_secs_f64(timeout_ms / 1_000.0).map_err(invalid)?;
    Ok(wanted.min(scope.remaining()))
}

/// Refuses a request that somebody who waits for it would have to answer.
fn open_chain(state: &MessagingState, scope: &CallScope, topic: &str) -> Result<(), Refusal> {
    let readers = state.mailboxes.readers(scope, topic);
    let waits = scope.callers.iter().chain([&scope.plugin]);
    let closing = waits.into_iter().find(|waiting| {
        readers
            .iter()
            .any(|reader| reader.as_str() == waiting.as_ref())
    });
    let Some(plugin) = closing else {
        return Ok(());
    };
    let fact = scope.said(HostCall {
        decided: DecisionPart {
            interface: Some(INTERFACE.to_owned()),
            decision: Some(Decision::Deny),
            right: Some("messages.publish".to_owned()),
            rule: Some("messages.cycle".to_owned()),
            ..DecisionPart::default()
        },
        ..HostCall::default()
    });
    let fact = fact.payload(Asked::for_what(topic).to_payload());
    scope.run.recorder.append(fact).map_err(Fault::from)?;
    let text =
        format!("a request to `{topic}` would close a cycle: `{plugin}` waits for this call");
    Err(types::Error::Failed(text).into())
}

fn answered(scope: &CallScope, answer: &Envelope) -> Result<types::Message, Refusal> {
    // The bus delivers by subject; that nothing of another run comes in is looked at where it would
    // be read.
    if answer.kind != REPLY || answer.run != *scope.run.run || answer.tenant != *scope.run.tenant {
        return Err(Fault::Host("an answer of another kind or run came back".to_owned()).into());
    }
    let payload =
        MessagePayload::of(answer).map_err(|error| Fault::Host(format!("answer: {error}")))?;
    let fact = scope.said(HostCall {
        decided: DecisionPart {
            interface: Some(INTERFACE.to_owned()),
            ..DecisionPart::default()
        },
        answer: Some(answer.id.to_string()),
        cause: Some(answer.causation.clone()),
        sender: Some(answer.actor.clone()),
        hash: Some(answer.hash_text()),
        ..HostCall::default()
    });
    let fact = fact.payload(payload.payload.clone().into_bytes());
    scope.run.recorder.append(fact).map_err(Fault::from)?;
    Ok(payload.into_message(answer))
}

/// What the sender is told of a message that went nowhere. The record of the message stands already,
/// so a limit gets one of its own.
fn refuse(scope: &CallScope, id: &str, error: BusError) -> Refusal {
    let text = error.to_string();
    if let Some(limit) = QueueLimit::of(&error) {
        return match scope.run.recorder.append(limit.fact(scope, INTERFACE, id)) {
            Ok(_) => scope
                .refuse_limit("queue", limit.used, limit.allowed)
                .into(),
            Err(error) => Fault::from(error).into(),
        };
    }
    match error {
        BusError::NoListener { .. } | BusError::Unanswered { .. } | BusError::Timeout { .. } => {
            types::Error::Transient(text).into()
        }
        // A subject or an envelope that this function made and the bus does not take.
        _ => Fault::Host(text).into(),
    }
}
