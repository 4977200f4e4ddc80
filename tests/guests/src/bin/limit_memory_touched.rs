//! Allocates and writes `bytes` of memory; without enough of it the allocator gives up.

#![cfg_attr(target_arch = "wasm32", no_main)]

use std::hint::black_box;

use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    bytes: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let held = black_box(vec![7_u8; input.bytes]);
    answer(&held.len())
}

flowhost_test_guests::guest!(run);
