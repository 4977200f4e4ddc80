//! Reads the clock `reads` times.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::clock;
use flowhost_test_guests::{Answer, Context, Error, answer, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "once")]
    reads: u32,
}

const fn once() -> u32 {
    1
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let now: Vec<f64> = (0..input.reads).map(|_| clock::now_ms()).collect();
    let elapsed: Vec<f64> = (0..input.reads).map(|_| clock::elapsed_ms()).collect();
    answer(&json!({ "now_ms": now, "elapsed_ms": elapsed }))
}

flowhost_test_guests::guest!(run);
