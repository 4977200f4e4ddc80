//! Reads the clocks and the randomness of WASI, which stand under the same grants as ours.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json};
use wasip2::clocks::{monotonic_clock, wall_clock};
use wasip2::random::random::get_random_bytes;

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let wall = wall_clock::now();
    answer(&json!({
        "wall_seconds": wall.seconds.to_string(),
        "monotonic_ns": monotonic_clock::now().to_string(),
        "random": get_random_bytes(16),
    }))
}

flowhost_test_guests::guest!(run);
