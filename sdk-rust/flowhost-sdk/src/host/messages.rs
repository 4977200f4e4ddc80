//! Messages to other agents of the run. The profile names the topics:
//!
//! ```toml
//! [messages]
//! publish = ["agents.reviewer.in"]
//! subscribe = ["agents.self.in"]
//! ```
//!
//! and the manifest `messages = "granted"` in `[needs]`. What arrives comes through the agent's
//! `on_message`.
//!
//! ```
//! use flowhost_sdk::messages;
//! use flowhost_sdk::testing::Fakes;
//!
//! let fakes = Fakes::new().topic("agents.reviewer.in");
//! fakes.run(|| {
//!     messages::publish("agents.reviewer.in", "", r#"{"page":1}"#).unwrap();
//!     assert!(messages::publish("agents.boss.in", "", "{}").is_err());
//! });
//! assert_eq!(fakes.published().len(), 1);
//! ```

#[cfg(target_arch = "wasm32")]
use crate::bindings::flowhost::messaging::messaging as import;
use crate::host::host_call;
use crate::{Error, Message};

/// Publishes a JSON document to a topic and returns the message's id.
///
/// # Errors
/// Denied (topic), limit (a mailbox is full), invalid (not JSON).
pub fn publish(topic: &str, correlation: &str, payload: &str) -> Result<String, Error> {
    host_call!(import::publish(topic, correlation, payload), |fakes| fakes
        .publish(topic, correlation, payload))
}

/// Publishes and waits for one answer, at most `timeout_ms` and never past the call's deadline.
///
/// # Errors
/// As [`publish`], and transient (nobody answered), failed (a cycle of waiting actors).
pub fn request(topic: &str, payload: &str, timeout_ms: f64) -> Result<Message, Error> {
    host_call!(import::request(topic, payload, timeout_ms), |fakes| fakes
        .request(topic, payload, timeout_ms))
}
