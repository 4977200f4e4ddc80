//! Hands back the text that it is given as `text`, whether it is JSON or not.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, parse};

#[derive(serde::Deserialize)]
struct Input {
    text: String,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    Ok(Answer {
        value: input.text,
        parts: Vec::new(),
    })
}

flowhost_test_guests::guest!(run);
