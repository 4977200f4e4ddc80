//! Draws `length` bytes of WASI's randomness in one call.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, parse};
use wasip2::random::random::get_random_bytes;

#[derive(serde::Deserialize)]
struct Input {
    length: u64,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    answer(&get_random_bytes(input.length).len())
}

flowhost_test_guests::guest!(run);
