//! Says that it answers with an object, and answers with whatever it is given.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, Tool, ToolSpec};

struct Guest;

impl Tool for Guest {
    fn call(_: &Context, _: &str, input: &str) -> Result<Answer, Error> {
        Ok(Answer {
            value: input.to_owned(),
            parts: Vec::new(),
        })
    }
}

flowhost_sdk::export_tool!(
    Guest,
    &[ToolSpec {
        output_schema: r#"{"type":"object"}"#,
        ..ToolSpec::any("run")
    }]
);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
