//! Hands back JSON nested `depth` deep (DOS-045).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, parse};

#[derive(serde::Deserialize)]
struct Input {
    depth: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let value = "[".repeat(input.depth) + &"]".repeat(input.depth);
    Ok(Answer {
        value,
        parts: Vec::new(),
    })
}

flowhost_test_guests::guest!(run);
