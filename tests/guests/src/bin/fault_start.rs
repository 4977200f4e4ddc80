//! Traps in its initialiser.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer};

/// `wit-component` calls this when the component is instantiated.
#[expect(unsafe_code, reason = "an initialiser is a raw export")]
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    std::process::abort();
}

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    answer(&"never reached")
}

flowhost_test_guests::guest!(run);
