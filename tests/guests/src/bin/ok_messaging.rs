//! Sends messages as a tool: see `flowhost_test_guests::talk`; takes a table of `cases`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::talk::talk;
use flowhost_test_guests::{Answer, Context, Error, each};

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, talk)
}

flowhost_test_guests::guest!(run);
