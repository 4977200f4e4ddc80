//! An MCP adapter whose `connect` sends one frame of `bytes`, and whose `close` waits for an answer.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::mcp_transport::{receive, send};
use flowhost_test_guests::{Answer, Context, Descriptor, Error, McpAdapter, ServerInfo, parse};

#[derive(serde::Deserialize)]
struct Config {
    bytes: usize,
}

struct Adapter;

impl McpAdapter for Adapter {
    fn connect(_: &Context, config: &str) -> Result<ServerInfo, Error> {
        let config: Config = parse(config)?;
        send(&format!("\"{}\"", "x".repeat(config.bytes)))?;
        Err(Error::failed("the frame was sent"))
    }

    fn list_tools(_: &Context) -> Result<Vec<Descriptor>, Error> {
        Ok(Vec::new())
    }

    fn call_tool(_: &Context, _: &str, _: &str) -> Result<Answer, Error> {
        receive(1e12).map(|value| Answer {
            value,
            text: String::new(),
        })
    }
}

flowhost_test_guests::export_mcp_adapter!(Adapter);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
