//! An agent that hands each message on to the first topic of the `route` that it carries. A `circle`
//! puts that topic behind the others again, so that the message never arrives.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{
    Agent, Context, Error, Message, Outgoing, Output, Task, Value, json, parse,
};

#[derive(serde::Deserialize)]
struct Letter {
    route: Vec<String>,
    #[serde(default)]
    circle: bool,
    #[serde(default)]
    text: Value,
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
        let mut letter: Letter = parse(&message.payload)?;
        if letter.route.is_empty() {
            return Ok(Vec::new());
        }
        let topic = letter.route.remove(0);
        if letter.circle {
            letter.route.push(topic.clone());
        }
        let payload =
            json!({ "route": letter.route, "circle": letter.circle, "text": letter.text });
        Ok(vec![Outgoing {
            topic,
            correlation: String::new(),
            payload: payload.to_string(),
        }])
    }
}

flowhost_test_guests::export_agent!(Actor);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
