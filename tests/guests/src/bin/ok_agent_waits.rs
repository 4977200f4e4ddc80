//! An agent whose work is one request: it hands back what the server at `url` of its input answers.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::http::{self, Request};
use flowhost_test_guests::{
    Agent, Context, Error, Message, Outgoing, Output, Task, Value, json, parse,
};

struct Waiter;

impl Agent for Waiter {
    fn on_start(_: &Context, _: &str) -> Result<(), Error> {
        Ok(())
    }

    fn on_plan(_: &Context, task: &Task) -> Result<Output, Error> {
        let input: Value = parse(&task.input)?;
        let url = input.get("url").and_then(Value::as_str);
        let url = url.ok_or_else(|| Error::invalid("`url` is missing"))?;
        let response = http::send(&Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 0.0,
        })?;
        let body = String::from_utf8_lossy(&response.body);
        Ok(Output {
            content: json!({ "body": body }).to_string(),
            notes: Vec::new(),
        })
    }

    fn on_message(_: &Context, _: &Message) -> Result<Vec<Outgoing>, Error> {
        Ok(Vec::new())
    }
}

flowhost_test_guests::export_agent!(Waiter);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
