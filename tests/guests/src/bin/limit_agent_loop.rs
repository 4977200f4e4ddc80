//! An agent that takes a message and never comes back.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Agent, Context, Error, Message, Outgoing, Output, Task};

struct Actor;

impl Agent for Actor {
    fn on_plan(_: &Context, _: &Task) -> Result<Output, Error> {
        Ok(Output {
            content: "null".to_owned(),
            notes: Vec::new(),
        })
    }

    fn on_message(_: &Context, _: &Message) -> Result<Vec<Outgoing>, Error> {
        loop {
            std::hint::spin_loop();
        }
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
