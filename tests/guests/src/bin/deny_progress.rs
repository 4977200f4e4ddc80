//! Imports `flowhost:progress` and uses it once: without the grant it must not even be instantiated
//! (CAP-001).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, progress};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    progress(1.0, None, "once");
    answer(&true)
}

flowhost_test_guests::guest!(run);
