//! Fills `namespace` with values of `bytes` until the host says no, at most `values`, and tells how
//! many went in and what stopped it.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::state;
use flowhost_test_guests::{Answer, Context, Error, answer, error_of, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    namespace: String,
    bytes: usize,
    values: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let value = vec![b'x'; input.bytes];
    for written in 0..input.values {
        if let Err(error) = state::set(&input.namespace, &format!("k{written}"), &value) {
            return answer(&json!({ "written": written, "stopped": error_of(&error) }));
        }
    }
    answer(&json!({ "written": input.values, "stopped": null }))
}

flowhost_test_guests::guest!(run);
