//! Adds `a` and `b`: a little work on JSON, also what the benchmarks call.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    a: f64,
    b: f64,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    answer(&json!({ "sum": input.a + input.b }))
}

flowhost_test_guests::guest!(run);
