//! An MCP adapter whose `connect` sends one frame of `bytes`, and whose `call-tool` waits for ever.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::mcp_transport::{next, open, send};
use flowhost_test_guests::{
    Answer, Context, Error, McpAdapter, More, Session, ToolPage, answer, parse,
};

#[derive(serde::Deserialize)]
struct Config {
    bytes: usize,
}

struct Adapter;

impl McpAdapter for Adapter {
    fn connect(_: &Context, config: &str) -> Result<Session, Error> {
        let config: Config = parse(config)?;
        send(&format!("\"{}\"", "x".repeat(config.bytes)), &[])?;
        Err(Error::failed("the frame was sent"))
    }

    fn list_tools(_: &Context, _: &Session, _: &str) -> Result<ToolPage, Error> {
        Ok(ToolPage {
            tools: Vec::new(),
            more: More::end(),
        })
    }

    fn call_tool(_: &Context, _: &Session, _: &str, input: &str) -> Result<Answer, Error> {
        let stream = open(input, &[])?;
        let came = next(&[stream], 1e12)?;
        answer(&came.is_some())
    }
}

flowhost_test_guests::export_mcp_adapter!(Adapter);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
