//! Hands back what it was given.
#![cfg_attr(target_arch = "wasm32", no_main)]
#![expect(missing_docs, reason="x")]
use flowhost_sdk::{Answer, Context, Error, Tool, ToolSpec};

struct Guest;

impl Tool for Guest {
    fn call(_: &Context, _name: &str, input: &str) -> Result<Answer, Error> {
        Ok(Answer { value: input.to_owned(), text: String::new() })
    }
}

flowhost_sdk::export_tool!(Guest, &[ToolSpec::any("run")]);
#[cfg(not(target_arch = "wasm32"))]
fn main(){}
