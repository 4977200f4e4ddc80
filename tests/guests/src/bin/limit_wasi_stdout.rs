//! Writes `total` bytes to WASI's standard output, which become log lines (DOS-024).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, parse};
use wasip2::cli::stdout::get_stdout;

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
    let out = get_stdout();
    let line = vec![b'x'; input.line.clamp(1, 4_096)];
    let mut written = 0;
    while written < input.total {
        out.blocking_write_and_flush(&line)
            .map_err(|error| Error::failed(error.to_string()))?;
        written += line.len();
    }
    answer(&written)
}

flowhost_test_guests::guest!(run);
