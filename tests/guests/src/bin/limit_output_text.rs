//! Hands back a small value beside a text of `bytes`: the cap counts both.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, Part, parse};

#[derive(serde::Deserialize)]
struct Input {
    bytes: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    Ok(Answer {
        value: "null".to_owned(),
        parts: vec![Part::text("x".repeat(input.bytes))],
    })
}

flowhost_test_guests::guest!(run);
