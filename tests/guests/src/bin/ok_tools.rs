//! Calls other plugins' tools: `op` is list or call, with `name` and `input` or `raw`; takes
//! a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::tools;
use flowhost_test_guests::{Answer, Context, Error, Value, each, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    op: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    input: Value,
    /// The input as it goes over, where it must not be JSON that a library wrote.
    #[serde(default)]
    raw: String,
}

fn work(input: Input) -> Result<Value, Error> {
    if input.op == "list" {
        let names: Vec<String> = tools::list().into_iter().map(|tool| tool.name).collect();
        return Ok(json!(names));
    }
    let arguments = if input.raw.is_empty() {
        input.input.to_string()
    } else {
        input.raw
    };
    let outcome = tools::call(&input.name, &arguments)?;
    let texts: Vec<&str> = outcome.texts().collect();
    Ok(json!({ "value": parse::<Value>(&outcome.value)?, "texts": texts }))
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
