//! Hands back what it was given.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error};

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    Ok(Answer {
        value: input.to_owned(),
        parts: Vec::new(),
    })
}

flowhost_test_guests::guest!(run);
