//! Tells what `wasi:cli/environment` shows: without `[env]` nothing, never the host's own.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json};
use wasip2::cli::environment::{get_arguments, get_environment, initial_cwd};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    answer(&json!({
        "env": get_environment(), "arguments": get_arguments(), "cwd": initial_cwd(),
    }))
}

flowhost_test_guests::guest!(run);
