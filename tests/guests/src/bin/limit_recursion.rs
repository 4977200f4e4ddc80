//! Calls itself `depth` times, by default for ever, and makes a host call at the end (DOS-004, DOS-005).

#![cfg_attr(target_arch = "wasm32", no_main)]

use std::hint::black_box;

use flowhost_test_guests::host::log::{Level, write};
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "endless")]
    depth: u32,
}

const fn endless() -> u32 {
    u32::MAX
}

#[inline(never)]
fn deeper(left: u32) -> u32 {
    if left == 0 {
        write(Level::Info, "at the bottom", &[]);
        return 0;
    }
    black_box(deeper(black_box(left - 1))) + 1
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    answer(&deeper(input.depth))
}

flowhost_test_guests::guest!(run);
