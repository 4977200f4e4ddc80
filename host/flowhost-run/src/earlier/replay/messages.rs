//! The calls that a host makes by itself, made again: an agent reads a message, or is told of the end.
//!
//! Nobody asks for them but the record: what was handed over stands in the record of the call and in that
//! of the message, whose envelope is sealed anew and must have the hash that was recorded.

use std::sync::Arc;

use flowhost_bus::{Envelope, Head, Ulid, canonical_text};
use flowhost_caps::messaging::MessagePayload;
use flowhost_engine::AgentOutcome;
use flowhost_ledger::{Kind, trace};
use serde::Deserialize;

use super::Entry;
use crate::calls::mailbox::Reader;
use crate::calls::worker::Worker;
use crate::plugins::registry::not_of_this_run;

/// One of them.
#[derive(Debug, Clone)]
pub(super) enum Own {
    /// An agent reads a message.
    Message {
        call: String,
        plugin: String,
        pattern: String,
        /// Whether somebody waits for an answer.
        asked: bool,
        /// Hash of the envelope that was read: a message that is delivered again, after its process was gone, has
        /// not the envelope that it was sent in.
        hash: String,
        message: Option<Box<Entry>>,
    },
    /// An agent is told of the end.
    Finish {
        call: String,
        plugin: String,
        outcome: Option<Vec<u8>>,
    },
}

impl Own {
    pub(super) fn call(&self) -> &str {
        match self {
            Self::Message { call, .. } | Self::Finish { call, .. } => call,
        }
    }
}

/// All of them, in the order of their records.
pub(super) fn own_calls(entries: &[Entry]) -> Vec<Own> {
    let intents = entries.iter().filter(|entry| {
        let call = entry.record.text("call").unwrap_or_default();
        let own = call.strip_prefix("0.").is_some_and(|it| !it.contains('.'));
        own && entry.record.kind() == Some(Kind::ToolCall)
    });
    intents
        .filter_map(|entry| own_call(entry, entries))
        .collect()
}

fn own_call(entry: &Entry, entries: &[Entry]) -> Option<Own> {
    let record = &entry.record;
    let call = record.text("call")?.to_owned();
    let plugin = record.actor.split_once('/')?.1.to_owned();
    let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
    Some(match record.text("tool")? {
        "on-message" => Own::Message {
            call,
            plugin,
            pattern: text("pattern"),
            asked: record.text("asked") == Some("true"),
            hash: text("hash"),
            message: message(&text("id"), entries).cloned().map(Box::new),
        },
        "on-finish" => Own::Finish {
            call,
            plugin,
            outcome: entry.exact.clone().or_else(|| entry.payload.clone()),
        },
        _ => return None,
    })
}

fn message<'a>(id: &str, entries: &'a [Entry]) -> Option<&'a Entry> {
    entries.iter().find(|entry| {
        entry.record.kind() == Some(Kind::Message) && entry.record.text("id") == Some(id)
    })
}

/// Makes the call again; what its guest does is compared with the record by whoever takes the records.
pub(super) async fn again(worker: &Arc<Worker>, own: Own) -> Result<(), String> {
    match own {
        Own::Message {
            call,
            plugin,
            pattern,
            asked,
            hash,
            message,
        } => {
            let message = message.ok_or("the record of the message is not there")?;
            let envelope = Arc::new(sealed(worker, &message, &hash)?);
            let reader = Reader::alone(worker, &plugin, &pattern);
            reader
                .again(&call, envelope, asked)
                .await
                .map_err(|fault| fault.to_string())
        }
        Own::Finish {
            call,
            plugin,
            outcome,
        } => {
            let outcome = outcome.ok_or("its payload was erased")?;
            let outcome: Outcome =
                serde_json::from_slice(&outcome).map_err(|error| error.to_string())?;
            let missing = || not_of_this_run(&plugin);
            let agent = worker.registry.current(&plugin).ok_or_else(missing)?;
            let scope = agent.own_scope_as(&worker.scope, call.into());
            let Outcome { status, reason } = outcome;
            let outcome = AgentOutcome { status, reason };
            worker.finish_agent(&agent, scope, &outcome).await;
            Ok(())
        }
    }
}

/// What an agent was told of the end.
#[derive(Deserialize)]
struct Outcome {
    status: String,
    reason: String,
}

/// What the record of a message says of it; a step's message has no call behind it.
#[derive(Deserialize)]
struct Said {
    payload: serde_json::Value,
    #[serde(default)]
    root: Option<String>,
    topic: String,
    #[serde(default)]
    waiting: Vec<String>,
}

/// The envelope of this hash that the record of a message gives: as it was sent, or as it was delivered again.
fn sealed(worker: &Worker, message: &Entry, hash: &str) -> Result<Envelope, String> {
    let payload = message.exact.as_deref().or(message.payload.as_deref());
    let payload = payload.ok_or("the payload of its message was erased")?;
    let said: Said = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    for again in [false, true] {
        let envelope = envelope(worker, message, &said, again)?;
        if envelope.hash_text() == hash {
            return Ok(envelope);
        }
    }
    Err("its message is not what was sent: the record holds it redacted".to_owned())
}

fn envelope(
    worker: &Worker,
    message: &Entry,
    said: &Said,
    again: bool,
) -> Result<Envelope, String> {
    let (record, run) = (&message.record, &worker.scope);
    let payload = MessagePayload {
        topic: said.topic.clone(),
        payload: canonical_text(&said.payload).map_err(|error| error.to_string())?,
        // Whoever waited for an answer is gone with its process.
        waiting: match again {
            true => Vec::new(),
            false => said.waiting.clone(),
        },
        root: said.root.clone().unwrap_or_else(|| "0".to_owned()),
    };
    let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
    let step = text("step");
    let traceparent = match step.as_str() {
        // What is delivered again has always had a step's span.
        "" if !again => String::new(),
        step => trace::traceparent(&worker.trace, trace::step_span(step)),
    };
    let head = Head {
        id: Ulid::from_string(&text("id")).map_err(|error| error.to_string())?,
        tenant: run.tenant.to_string(),
        run: run.run.to_string(),
        step,
        actor: record.actor.clone(),
        correlation: text("correlation"),
        causation: match again {
            true => String::new(),
            false => text("cause"),
        },
        traceparent,
        kind: text("type"),
    };
    let payload = serde_json::to_value(&payload).map_err(|error| error.to_string())?;
    head.seal(payload).map_err(|error| error.to_string())
}
