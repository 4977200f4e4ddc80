//! An agent that answers one message with `messages` of its own.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Agent, Context, Error, Message, Outgoing, Output, Task, parse};

#[derive(serde::Deserialize)]
struct Payload {
    messages: usize,
}

struct Actor;

impl Agent for Actor {
    fn on_plan(_: &Context, _: &Task) -> Result<Output, Error> {
        Ok(Output {
            content: "null".to_owned(),
            notes: Vec::new(),
        })
    }

    fn on_message(_: &Context, message: &Message) -> Result<Vec<Outgoing>, Error> {
        let payload: Payload = parse(&message.payload)?;
        let one = Outgoing {
            topic: message.topic.clone(),
            correlation: message.id.clone(),
            payload: message.payload.clone(),
        };
        Ok(vec![one; payload.messages])
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
