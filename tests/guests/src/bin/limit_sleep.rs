//! Sleeps in the host for `milliseconds`, by default a year, where neither fuel nor epoch see it
//! (DOS-029).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, parse};
use wasip2::clocks::monotonic_clock::subscribe_duration;

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default = "year")]
    milliseconds: u64,
}

const fn year() -> u64 {
    365 * 24 * 3_600 * 1_000
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    subscribe_duration(input.milliseconds.saturating_mul(1_000_000)).block();
    answer(&"awake")
}

flowhost_test_guests::guest!(run);
