//! Draws `length` random bytes and tells them in hexadecimal; takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::random;
use flowhost_test_guests::{Answer, Context, Error, Value, each, json};

#[derive(serde::Deserialize)]
struct Input {
    length: i32,
}

fn work(input: Input) -> Result<Value, Error> {
    let bytes = random::bytes(input.length)?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(json!(digits))
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
