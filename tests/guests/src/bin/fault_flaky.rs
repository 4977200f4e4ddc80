//! Fails with `transient` until the attempt is at least `good_from`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    good_from: i32,
}

fn run(ctx: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    if ctx.attempt < input.good_from {
        return Err(Error::transient(format_args!(
            "attempt {} is too early",
            ctx.attempt
        )));
    }
    answer(&ctx.attempt)
}

flowhost_test_guests::guest!(run);
