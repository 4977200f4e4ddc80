//! Answers with an error of `bytes`: the cap holds for errors too.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, parse};

#[derive(serde::Deserialize)]
struct Input {
    bytes: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    Err(Error::failed("x".repeat(input.bytes)))
}

flowhost_test_guests::guest!(run);
