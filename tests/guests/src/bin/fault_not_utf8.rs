//! Takes every file for text, and panics where one is not.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::files;
use flowhost_test_guests::{Answer, Context, Error, answer};

#[expect(
    clippy::panic,
    reason = "not bearing a file that is no text is what this guest does"
)]
fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    match String::from_utf8(files::read("/docs/example.md")?) {
        Ok(text) => answer(&text),
        Err(error) => panic!("every file is text: {error}"),
    }
}

flowhost_test_guests::guest!(run);
