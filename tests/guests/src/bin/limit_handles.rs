//! Opens `handles` timers and drops none of them; with `poll` it waits for all of them (DOS-014,
//! DOS-029).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, parse};
use wasip2::clocks::monotonic_clock::{Pollable, subscribe_duration};
use wasip2::io::poll::poll;

#[derive(serde::Deserialize)]
struct Input {
    handles: usize,
    #[serde(default)]
    poll: bool,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let held: Vec<Pollable> = (0..input.handles).map(|_| subscribe_duration(0)).collect();
    if input.poll {
        let all: Vec<&Pollable> = held.iter().collect();
        return answer(&poll(&all).len());
    }
    answer(&held.len())
}

flowhost_test_guests::guest!(run);
