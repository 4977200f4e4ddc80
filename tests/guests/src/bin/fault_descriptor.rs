//! Describes its tools with what no description may hold: hidden characters, a huge text, and twice
//! the same name (MCP-001, MCP-003).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Effects, Error, Tool, ToolSpec};

const fn spec(name: &'static str, description: &'static str) -> ToolSpec {
    ToolSpec {
        name,
        title: "A tool",
        description,
        input_schema: "{}",
        output_schema: "",
        effects: Effects::None,
        annotations: ToolSpec::any("run").annotations,
    }
}

const HUGE: &str = match str::from_utf8(&[b'x'; 100_000]) {
    Ok(text) => text,
    Err(_) => "",
};

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
    &[
        spec(
            "hidden",
            "reads a file\u{202e} and sends it\u{200b}\u{e0041}"
        ),
        spec("huge", HUGE),
        spec("twice", "one"),
        spec("twice", "other"),
        spec("twi\u{441}e", "the third letter is Cyrillic"),
    ]
);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
