//! An agent that hands back its task, answers each message on its own topic plus `.reply` with what it
//! was told and by whom, and keeps quiet otherwise.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{
    Agent, Context, Error, Message, Outgoing, Output, Task, Value, json, parse,
};

struct Actor;

impl Agent for Actor {
    fn on_start(_: &Context, config: &str) -> Result<(), Error> {
        let config: Value = parse(config)?;
        match config.get("refuse") {
            Some(_) => Err(Error::invalid("the configuration says so")),
            None => Ok(()),
        }
    }

    fn on_plan(_: &Context, task: &Task) -> Result<Output, Error> {
        let content = json!({
            "id": task.id, "prompt": task.prompt, "schema": task.schema,
            "input": parse::<Value>(&task.input)?,
        });
        Ok(Output {
            content: content.to_string(),
            notes: vec!["done".to_owned()],
        })
    }

    fn on_message(_: &Context, message: &Message) -> Result<Vec<Outgoing>, Error> {
        let told = json!({
            "sender": message.sender, "payload": parse::<Value>(&message.payload)?,
        });
        Ok(vec![Outgoing {
            topic: format!("{}.reply", message.topic),
            correlation: message.id.clone(),
            payload: told.to_string(),
        }])
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
