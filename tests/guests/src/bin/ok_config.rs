//! Reads its configuration: one `key`, or all of it.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::config;
use flowhost_test_guests::{Answer, Context, Error, Value, answer, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    key: Option<String>,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    match input.key {
        Some(key) => {
            let found: Option<Value> = config::get(&key).map(|text| parse(&text)).transpose()?;
            answer(&json!({ "found": found.is_some(), "value": found }))
        }
        None => answer(&parse::<Value>(&config::all())?),
    }
}

flowhost_test_guests::guest!(run);
