//! Asks `times` for the names of secrets.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::secrets;
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    times: u32,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let seen: usize = (0..input.times).map(|_| secrets::names().len()).sum();
    answer(&seen)
}

flowhost_test_guests::guest!(run);
