//! What a provider wants to be told again: signed thoughts and signatures that came with tool calls.
//!
//! They are no part of a conversation as a plugin sees it, so they are kept here, by the call that they
//! came with, and only for whoever made that call. Kept in memory and bounded: what is not there any
//! more (a new process, a long time) is a loss of quality, never of an answer, which the codecs see to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{backend::Kept, name::ModelName, ports::Who};

/// Calls that are remembered: some thousand agents in the middle of their work.
const ENTRIES_MAX: usize = 4_096;
/// Bytes of one call's thoughts; longer ones are not kept.
const ENTRY_BYTES_MAX: usize = 256 << 10;
/// Bytes of all. It is the host's memory, of all runs together; what is forgotten costs a provider's cache and
/// nothing else.
const BYTES_MAX: usize = 32 << 20;

/// Bytes of a value beside its texts. Rounded up to what a tree of JSON takes at least, so that many small values
/// are not free.
const WORD_BYTES: usize = 16;

type Key = [u8; 32];

#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Store>);

#[derive(Debug, Default)]
struct Store {
    kept: BTreeMap<Key, (Value, usize)>,
    order: VecDeque<Key>,
    bytes: usize,
}

impl Memory {
    /// Keeps what came with the calls of an answer.
    pub(crate) fn keep(&self, who: &Who<'_>, model: &ModelName, kept: Vec<Kept>) {
        let mut store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for Kept { call, value } in kept {
            let bytes = size(&value);
            if bytes <= ENTRY_BYTES_MAX {
                store.keep(key(who, model, &call), value, bytes);
            }
        }
    }

    /// What came with a call.
    pub(crate) fn recall(&self, who: &Who<'_>, model: &ModelName, call: &str) -> Option<Value> {
        let store = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        store
            .kept
            .get(&key(who, model, call))
            .map(|(value, _)| value.clone())
    }
}

impl Store {
    fn keep(&mut self, key: Key, value: Value, bytes: usize) {
        self.bytes += bytes;
        match self.kept.insert(key, (value, bytes)) {
            Some((_, before)) => self.bytes -= before,
            // A call that comes again keeps its first age: named twice in the order, the older name
            // would drop the newer value.
            None => self.order.push_back(key),
        }
        while self.order.len() > ENTRIES_MAX || self.bytes > BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            let dropped = self.kept.remove(&oldest);
            self.bytes -= dropped.map_or(0, |(_, bytes)| bytes);
        }
    }
}

/// Bytes of a value, near enough for a bound: its texts, and a word for everything else.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + WORD_BYTES,
        Value::Array(items) => items.iter().map(size).sum::<usize>() + WORD_BYTES,
        Value::Object(map) => {
            map.iter()
                .map(|(key, value)| key.len() + size(value))
                .sum::<usize>()
                + WORD_BYTES
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => WORD_BYTES,
    }
}

/// Whose call it was: its run (the trace is the run's), its step and agent, the model and the call.
fn key(who: &Who<'_>, model: &ModelName, call: &str) -> Key {
    // A caller without a trace shares an empty one with others like it; its step, its agent and the
    // ids that a provider makes up keep them apart.
    let trace = who.traceparent.split('-').nth(1).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [
        trace,
        who.stage,
        who.agent,
        who.step,
        &model.to_string(),
        call,
    ] {
        // Length first, so that no two lists of parts hash alike.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn who(agent: &str) -> Who<'_> {
        Who {
            stage: "",
            agent,
            step: "s",
            seed: 1,
            call: 1,
            traceparent: "00-run-span-01",
        }
    }

    fn kept(call: &str, value: Value) -> Vec<Kept> {
        vec![Kept {
            call: call.to_owned(),
            value,
        }]
    }

    #[test]
    fn another_agent_or_model_recalls_nothing() {
        let (memory, model) = (Memory::default(), "p/m".parse().unwrap());
        memory.keep(&who("a"), &model, kept("c", json!("thought")));
        assert_eq!(memory.recall(&who("b"), &model, "c"), None);
        assert_eq!(memory.recall(&who("a"), &"p/n".parse().unwrap(), "c"), None);
        assert_eq!(
            memory.recall(&who("a"), &model, "c"),
            Some(json!("thought"))
        );
    }

    #[test]
    fn is_bounded_in_number_and_in_bytes() {
        let (memory, model) = (Memory::default(), "p/m".parse().unwrap());
        let long = json!("x".repeat(ENTRY_BYTES_MAX));
        memory.keep(&who("a"), &model, kept("long", long));
        assert_eq!(memory.recall(&who("a"), &model, "long"), None);
        let text = json!("x".repeat(ENTRY_BYTES_MAX / 2));
        for call in 0..300 {
            memory.keep(&who("a"), &model, kept(&call.to_string(), text.clone()));
        }
        assert_eq!(memory.recall(&who("a"), &model, "0"), None);
        assert!(memory.recall(&who("a"), &model, "299").is_some());
        assert!(memory.0.lock().unwrap().bytes <= BYTES_MAX);
        for call in 0..ENTRIES_MAX + 1 {
            memory.keep(&who("b"), &model, kept(&call.to_string(), json!(1)));
        }
        let store = memory.0.lock().unwrap();
        assert_eq!(store.kept.len(), ENTRIES_MAX);
        assert_eq!(store.bytes, ENTRIES_MAX * WORD_BYTES);
    }
}
