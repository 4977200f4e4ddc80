//! Looks at secrets: `op` is names or reveal, with `name`; takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::secrets;
use flowhost_test_guests::{Answer, Context, Error, Value, each, json};

#[derive(serde::Deserialize)]
struct Input {
    op: String,
    #[serde(default)]
    name: String,
}

fn work(input: Input) -> Result<Value, Error> {
    if input.op == "names" {
        return Ok(json!(secrets::names()));
    }
    Ok(json!(secrets::reveal(&input.name)?))
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
