//! Sends messages: `op` is publish or request, with `topic`, `correlation`, `payload` and
//! `timeout_ms`; takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::messaging;
use flowhost_test_guests::{Answer, Context, Error, Value, each, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    op: String,
    topic: String,
    #[serde(default)]
    correlation: String,
    #[serde(default)]
    payload: Value,
    #[serde(default = "second")]
    timeout_ms: f64,
}

const fn second() -> f64 {
    1_000.0
}

fn work(input: Input) -> Result<Value, Error> {
    let payload = input.payload.to_string();
    if input.op == "publish" {
        return Ok(json!(messaging::publish(
            &input.topic,
            &input.correlation,
            &payload
        )?));
    }
    let reply = messaging::request(&input.topic, &payload, input.timeout_ms)?;
    Ok(json!({
        "id": reply.id, "topic": reply.topic, "sender": reply.sender,
        "correlation": reply.correlation, "payload": parse::<Value>(&reply.payload)?,
    }))
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
