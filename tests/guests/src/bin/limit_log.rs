//! Writes `total` bytes of log in lines of `line` bytes (DOS-024).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::log::{Level, write};
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    total: usize,
    #[serde(default = "one")]
    line: usize,
}

const fn one() -> usize {
    1
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let line = "x".repeat(input.line.max(1));
    let lines = input.total / line.len();
    for _ in 0..lines {
        write(Level::Info, &line, &[]);
    }
    answer(&lines)
}

flowhost_test_guests::guest!(run);
