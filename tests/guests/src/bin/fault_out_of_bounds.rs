//! Reads memory that it does not have.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer};

#[expect(
    unsafe_code,
    reason = "reading outside of memory is what this guest does"
)]
fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let far = std::ptr::without_provenance::<u8>(0xffff_fff0);
    // SAFETY: there is none; inside the sandbox it traps.
    let byte = unsafe { far.read_volatile() };
    answer(&byte)
}

flowhost_test_guests::guest!(run);
