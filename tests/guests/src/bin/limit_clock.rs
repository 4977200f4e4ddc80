//! Reads the clock `times` times.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::clock;
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    times: u32,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let latest = (0..input.times)
        .map(|_| clock::now_ms())
        .fold(0.0, f64::max);
    answer(&latest)
}

flowhost_test_guests::guest!(run);
