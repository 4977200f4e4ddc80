//! Writes log lines: `level`, `message`, `fields` (an object of texts), `times`.

#![cfg_attr(target_arch = "wasm32", no_main)]

use std::collections::BTreeMap;

use flowhost_test_guests::host::log::{Field, Level, write};
use flowhost_test_guests::{Answer, Context, Error, answer, parse};

#[derive(serde::Deserialize)]
struct Input {
    #[serde(default)]
    level: String,
    message: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default = "once")]
    times: u32,
}

const fn once() -> u32 {
    1
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let level = match input.level.as_str() {
        "trace" => Level::Trace,
        "debug" => Level::Debug,
        "warn" => Level::Warn,
        "error" => Level::Error,
        _ => Level::Info,
    };
    let fields: Vec<Field> = input
        .fields
        .into_iter()
        .map(|(key, value)| Field { key, value })
        .collect();
    for _ in 0..input.times {
        write(level, &input.message, &fields);
    }
    answer(&input.times)
}

flowhost_test_guests::guest!(run);
