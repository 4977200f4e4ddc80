//! Imports `flowhost:clock` and uses it once: without the grant it must not even be instantiated
//! (CAP-001).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::clock;
use flowhost_test_guests::{Answer, Context, Error, answer};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    answer(&clock::now_ms())
}

flowhost_test_guests::guest!(run);
