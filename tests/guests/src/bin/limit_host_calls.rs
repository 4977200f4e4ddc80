//! Makes `calls` host calls that do nothing (DOS-027).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::config;
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "ten_million")]
    calls: u32,
}

const fn ten_million() -> u32 {
    10_000_000
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    for _ in 0..input.calls {
        let _asked = config::get("");
    }
    answer(&input.calls)
}

flowhost_test_guests::guest!(run);
