//! Never comes back (DOS-001).

#![cfg_attr(target_arch = "wasm32", no_main)]

use std::hint::black_box;

use flowhost_test_guests::{Answer, Context, Error};

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let mut turns = 0_u64;
    loop {
        turns = black_box(turns.wrapping_add(1));
    }
}

flowhost_test_guests::guest!(run);
