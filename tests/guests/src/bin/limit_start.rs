//! Never comes back from its initialiser, so not even instantiation ends (DOS-023).

#![cfg_attr(target_arch = "wasm32", no_main)]

use std::hint::black_box;

use flowhost_test_guests::{Answer, Context, Error, answer};

/// `wit-component` calls this when the component is instantiated.
#[expect(unsafe_code, reason = "an initialiser is a raw export")]
#[unsafe(no_mangle)]
pub extern "C" fn _initialize() {
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns = turns.wrapping_add(1);
    }
}

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    answer(&"never reached")
}

flowhost_test_guests::guest!(run);
