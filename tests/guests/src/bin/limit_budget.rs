//! Asks `times` what is left.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::budget;
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    times: u32,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let lowest = (0..input.times)
        .map(|_| budget::left().deadline_ms)
        .fold(f64::MAX, f64::min);
    answer(&lowest)
}

flowhost_test_guests::guest!(run);
