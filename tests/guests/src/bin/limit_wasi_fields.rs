//! Makes a header list with `fields` entries through `wasi:http/types` (NETX-010).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json, parse};
use wasip2::http::types::Fields;

#[derive(serde::Deserialize)]
struct Input {
    fields: usize,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let fields = Fields::new();
    for made in 0..input.fields {
        if let Err(error) = fields.append("x-many", b"1") {
            return answer(&json!({ "made": made, "stopped": error.to_string() }));
        }
    }
    answer(&json!({ "made": input.fields, "stopped": null }))
}

flowhost_test_guests::guest!(run);
