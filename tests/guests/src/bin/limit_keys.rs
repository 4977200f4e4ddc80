//! Hands back one JSON object with `keys` keys (DOS-045).

#![cfg_attr(target_arch = "wasm32", no_main)]

use std::fmt::Write;

use flowhost_test_guests::{Answer, Context, Error, parse};

#[derive(serde::Deserialize)]
struct Input {
    keys: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let mut value = String::from("{\"first\":0");
    for key in 1..input.keys {
        write!(value, ",\"{key}\":0").map_err(Error::failed)?;
    }
    value.push('}');
    Ok(Answer {
        value,
        parts: Vec::new(),
    })
}

flowhost_test_guests::guest!(run);
