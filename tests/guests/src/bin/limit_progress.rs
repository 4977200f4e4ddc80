//! Reports its progress `reports` times, and tells how often.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json, parse, progress};

#[derive(serde::Deserialize)]
struct Input {
    reports: u32,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    for done in 1..=input.reports {
        progress(f64::from(done), Some(f64::from(input.reports)), "at work");
    }
    answer(&json!({ "reported": input.reports }))
}

flowhost_test_guests::guest!(run);
