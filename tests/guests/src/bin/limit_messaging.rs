//! Publishes payloads of `bytes` to `topic` until the host says no, at most `messages`, and tells how
//! many went out and what stopped it.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::messaging;
use flowhost_test_guests::{Answer, Context, Error, answer, error_of, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    topic: String,
    bytes: usize,
    messages: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let payload = format!("\"{}\"", "x".repeat(input.bytes));
    for sent in 0..input.messages {
        if let Err(error) = messaging::publish(&input.topic, "", &payload) {
            return answer(&json!({ "sent": sent, "stopped": error_of(&error) }));
        }
    }
    answer(&json!({ "sent": input.messages, "stopped": null }))
}

flowhost_test_guests::guest!(run);
