//! Calls the tool `name` with `input` until the host says no, at most `calls`; with its own name it is a
//! cycle (DOS-032).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::tools;
use flowhost_test_guests::{Answer, Context, Error, Value, answer, error_of, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    name: String,
    #[serde(default)]
    input: Value,
    calls: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let text = input.input.to_string();
    for called in 0..input.calls {
        if let Err(error) = tools::call(&input.name, &text) {
            return answer(&json!({ "called": called, "stopped": error_of(&error) }));
        }
    }
    answer(&json!({ "called": input.calls, "stopped": null }))
}

flowhost_test_guests::guest!(run);
