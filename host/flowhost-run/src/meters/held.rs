//! What the outputs of steps hold in memory, because later steps may ask for them.
//!
//! Text is no measure of it: a list of many small objects takes up to a hundred times its text as a
//! tree. So a tree is measured as the allocator sees it, and what all of them hold together is bounded. A
//! step that runs again holds what it said last. Must count on the high side where it cannot know.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flowhost_engine::Fault;
use serde_json::Value;

/// What the outputs of one run may hold together: a tenth of a common server's memory, and two thousand
/// outputs of the default size as lists of plain texts.
pub(crate) const OUTPUT_BYTES: u64 = 1 << 30;

/// What an allocation takes beside its content, and its least size. Rounded up: too much counted
/// ends a run earlier, too little leaves the host without memory.
const ALLOCATION_BYTES: u64 = 16;
const ALLOCATION_MIN: u64 = 32;

/// A node of a map's tree has eleven places for an entry, whether they are used or not, and is at least
/// five elevenths full when it is not the only one.
const NODE_PLACES: u64 = 11;
const NODE_FILLED: u64 = 5;

/// The outputs that a run holds.
#[derive(Debug)]
pub(crate) struct Outputs {
    allowed: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    sum: u64,
    by_step: HashMap<String, u64>,
}

impl Outputs {
    pub(crate) fn new(allowed: u64) -> Self {
        Self {
            allowed,
            held: Mutex::default(),
        }
    }

    /// Takes in what `step` hands on, in place of what it handed on before.
    ///
    /// # Errors
    /// The limit `run.outputs`; then the output is not taken in.
    pub(crate) fn keep(&self, step: &str, output: &Value) -> Result<(), Fault> {
        let bytes = bytes_of(output);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.by_step.get(step).copied().unwrap_or_default();
        let used = held.sum.saturating_sub(before).saturating_add(bytes);
        if used > self.allowed {
            return Err(Fault::Limit {
                name: "run.outputs",
                used,
                allowed: self.allowed,
            });
        }
        held.sum = used;
        held.by_step.insert(step.to_owned(), bytes);
        Ok(())
    }
}

/// Bytes of memory that `value` takes as a tree.
fn bytes_of(value: &Value) -> u64 {
    let place = size_of::<Value>() as u64;
    let mut bytes = place;
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        bytes += match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
            Value::String(text) => allocation(text.capacity() as u64),
            Value::Array(items) => {
                open.extend(items);
                allocation(items.capacity() as u64 * place)
            }
            Value::Object(fields) => {
                open.extend(fields.values());
                let keys: u64 = fields
                    .keys()
                    .map(|key| allocation(key.capacity() as u64))
                    .sum();
                keys + nodes(fields.len() as u64)
            }
        };
    }
    bytes
}

fn nodes(entries: u64) -> u64 {
    let entry = (size_of::<String>() + size_of::<Value>()) as u64;
    let nodes = match entries {
        0 => 0,
        1..=NODE_PLACES => 1,
        more => more.div_ceil(NODE_FILLED),
    };
    nodes * allocation(NODE_PLACES * entry)
}

/// What the allocator gives for so many bytes; nothing for nothing.
fn allocation(bytes: u64) -> u64 {
    match bytes {
        0 => 0,
        bytes => (bytes + ALLOCATION_BYTES).max(ALLOCATION_MIN),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_the_output_that_is_one_byte_too_much_and_holds_the_others() {
        let text = |length| Value::String("x".repeat(length));
        let one = bytes_of(&text(100));
        let outputs = Outputs::new(2 * one);
        outputs.keep("a", &text(100)).unwrap();
        assert!(matches!(
            outputs.keep("b", &text(101)),
            Err(Fault::Limit { name: "run.outputs", used, allowed })
                if used == 2 * one + 1 && allowed == 2 * one
        ));
        outputs.keep("b", &text(100)).unwrap();
    }

    #[test]
    fn a_step_that_runs_again_holds_what_it_said_last() {
        let output = json!({ "found": ["a", "b"] });
        let outputs = Outputs::new(bytes_of(&output));
        for _ in 0..1_000 {
            outputs.keep("loop", &output).unwrap();
        }
        assert!(outputs.keep("other", &output).is_err());
    }

    #[test]
    fn small_objects_count_as_what_they_hold_and_not_as_what_they_look_like() {
        let text = format!("[{}0]", "{\"a\":0},".repeat(1_000));
        let tree: Value = serde_json::from_str(&text).unwrap();
        let factor = bytes_of(&tree) / text.len() as u64;
        assert!((80..110).contains(&factor), "{factor} times its text");
        let plain = Value::String(text.clone());
        assert!(bytes_of(&plain) < text.len() as u64 + 64);
    }
}
