//! Believes that it is alone with its state while a call lasts: it writes whose turn it is, reads it again, and
//! answers otherwise when another call came in between.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::state;
use flowhost_test_guests::{Answer, Context, Error, answer, json};

fn run(ctx: &Context, _: &str) -> Result<Answer, Error> {
    state::set("notes", "turn", ctx.call.as_bytes())?;
    let turn = state::get("notes", "turn")?;
    let own = turn.is_some_and(|entry| entry.value == ctx.call.as_bytes());
    answer(&json!({ "own": own }))
}

flowhost_test_guests::guest!(run);
