//! Asks `times` for a configuration key of `bytes`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::config;
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    times: u32,
    bytes: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let key = "k".repeat(input.bytes);
    let found = (0..input.times)
        .filter(|_| config::get(&key).is_some())
        .count();
    answer(&found)
}

flowhost_test_guests::guest!(run);
