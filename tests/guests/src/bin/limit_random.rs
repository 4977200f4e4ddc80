//! Draws `length` bytes `times` times, and ends with the first refusal.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::random;
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    length: i32,
    times: u32,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let mut drawn = 0;
    for _ in 0..input.times {
        drawn += random::bytes(input.length)?.len();
    }
    answer(&drawn)
}

flowhost_test_guests::guest!(run);
