//! An agent that fails where its task says: `{"fail": true}`, hands back what is no JSON with
//! `{"garbage": true}`, and always fails at the end.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Agent, Context, Error, Outcome, Output, Task, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default)]
    fail: bool,
    #[serde(default)]
    garbage: bool,
}

struct Actor;

impl Agent for Actor {
    fn on_plan(_: &Context, task: &Task) -> Result<Output, Error> {
        let input: Input = parse(&task.input)?;
        if input.fail {
            return Err(Error::failed("the work could not be done"));
        }
        let content = if input.garbage { "{ not json" } else { "null" };
        Ok(Output {
            content: content.to_owned(),
            notes: Vec::new(),
        })
    }

    fn on_finish(_: &Context, outcome: &Outcome) -> Result<(), Error> {
        Err(Error::failed(format_args!(
            "at the end: {}",
            outcome.status
        )))
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
