//! Hands back a JSON text of `bytes` (DOS-018).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, parse};

#[derive(serde::Deserialize)]
struct Input {
    bytes: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let value = format!("\"{}\"", "x".repeat(input.bytes.saturating_sub(2)));
    Ok(Answer {
        value,
        parts: Vec::new(),
    })
}

flowhost_test_guests::guest!(run);
