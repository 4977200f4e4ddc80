//! One message of a test: published, or a request that waits for its answer.

use serde::Deserialize;
use serde_json::{Value, json};

use flowhost_sdk::host::messaging;
use flowhost_sdk::{Error, parse};

/// What to send: `op` is `publish` or `request`.
#[derive(Deserialize)]
pub struct Talk {
    op: String,
    topic: String,
    #[serde(default)]
    correlation: String,
    #[serde(default)]
    payload: Value,
    #[serde(default = "second")]
    timeout_ms: f64,
    /// Sends the same so often; the last outcome counts.
    #[serde(default = "once")]
    times: u32,
}

const fn second() -> f64 {
    1_000.0
}

const fn once() -> u32 {
    1
}

/// Sends it, and tells the message's id or the answer.
///
/// # Errors
/// What the host says.
pub fn talk(input: Talk) -> Result<Value, Error> {
    for _ in 1..input.times {
        send(&input)?;
    }
    send(&input)
}

fn send(input: &Talk) -> Result<Value, Error> {
    let payload = input.payload.to_string();
    if input.op == "publish" {
        let id = messaging::publish(&input.topic, &input.correlation, &payload)?;
        return Ok(json!(id));
    }
    let reply = messaging::request(&input.topic, &payload, input.timeout_ms)?;
    Ok(json!({
        "id": reply.id, "topic": reply.topic, "sender": reply.sender,
        "correlation": reply.correlation, "payload": parse::<Value>(&reply.payload)?,
    }))
}
