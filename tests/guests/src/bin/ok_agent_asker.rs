//! An agent that answers a message with what it got when it asked the topic that the message names.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::talk::{Talk, talk};
use flowhost_test_guests::{Agent, Context, Error, Message, Outgoing, Output, Task, parse, told};

struct Actor;

impl Agent for Actor {
    fn on_plan(_: &Context, _: &Task) -> Result<Output, Error> {
        Ok(Output {
            content: "null".to_owned(),
            notes: Vec::new(),
        })
    }

    fn on_message(_: &Context, message: &Message) -> Result<Vec<Outgoing>, Error> {
        let asked = told(talk(parse::<Talk>(&message.payload)?));
        Ok(vec![Outgoing {
            topic: message.topic.clone(),
            correlation: message.id.clone(),
            payload: asked.to_string(),
        }])
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
