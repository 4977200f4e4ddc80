//! Grows its memory by `step` pages until the host says no, or `pages` are there, and tells how many
//! it got (DOS-006).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "all")]
    pages: usize,
    #[serde(default = "sixteen")]
    step: usize,
}

const fn all() -> usize {
    65_536
}

const fn sixteen() -> usize {
    16
}

#[cfg(target_arch = "wasm32")]
fn grow(pages: usize) -> bool {
    core::arch::wasm32::memory_grow(0, pages) != usize::MAX
}

#[cfg(not(target_arch = "wasm32"))]
const fn grow(_: usize) -> bool {
    false
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let mut grown = 0;
    while grown < input.pages && grow(input.step) {
        grown += input.step;
    }
    answer(&json!({ "pages": grown, "refused": grown < input.pages }))
}

flowhost_test_guests::guest!(run);
