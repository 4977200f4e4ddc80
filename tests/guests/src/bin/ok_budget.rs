//! Tells what is left.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::budget;
use flowhost_test_guests::{Answer, Context, Error, answer, json};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let left = budget::left();
    answer(&json!({
        "fuel": left.fuel, "host_calls": left.host_calls, "deadline_ms": left.deadline_ms,
        "tokens": left.tokens, "micro_usd": left.micro_usd,
    }))
}

flowhost_test_guests::guest!(run);
