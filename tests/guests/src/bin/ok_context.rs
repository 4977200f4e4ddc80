//! Tells the context that it was called with.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json};

fn run(ctx: &Context, _: &str) -> Result<Answer, Error> {
    answer(&json!({
        "run": ctx.run, "call": ctx.call, "key": ctx.key, "step": ctx.step, "attempt": ctx.attempt, "actor": ctx.actor,
        "traceparent": ctx.traceparent, "deadline_ms": ctx.deadline_ms, "seed": ctx.seed,
    }))
}

flowhost_test_guests::guest!(run);
