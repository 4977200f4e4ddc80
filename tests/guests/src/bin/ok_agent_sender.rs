//! An agent whose work is to send messages: see `flowhost_test_guests::talk`; takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::talk::talk;
use flowhost_test_guests::{Agent, Context, Error, Output, Task, each};

struct Actor;

impl Agent for Actor {
    fn on_plan(_: &Context, task: &Task) -> Result<Output, Error> {
        Ok(Output {
            content: each(&task.input, talk)?.value,
            notes: Vec::new(),
        })
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
