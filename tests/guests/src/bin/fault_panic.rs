//! Panics.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error};

#[expect(clippy::panic, reason = "panicking is what this guest does")]
fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    panic!("the guest gave up")
}

flowhost_test_guests::guest!(run);
