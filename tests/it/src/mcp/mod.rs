//! MCP in both directions. `flowhost mcp serve` as a client meets it, over both transports and in both eras, with clients that
//! misbehave. Clients that others wrote (the TypeScript SDK, the official conformance suite) are asked by
//! `cargo xtask mcp-peers`.

mod client;
mod doubts;
mod drift;
mod http;
mod login;
mod mutual;
mod offers;
mod process;
mod program;
mod session;
mod site;
mod soak;
mod stdio;
mod streams;
mod threats;
mod vouched;

use serde_json::{Value, json};

use crate::support::{Home, repository};

/// A folder with the guest of every kind of answer, as `tools.wasm` with its manifest.
fn home() -> Home {
    let home = Home::new();
    std::fs::copy(
        crate::support::guest("ok_mcp_tools"),
        home.path().join("tools.wasm"),
    )
    .unwrap();
    let manifest =
        std::fs::read_to_string(repository().join("tests/mcp/ok_mcp_tools.toml")).unwrap();
    home.file("tools.toml", manifest);
    home
}

/// What serves it.
const SERVE: [&str; 6] = [
    "mcp",
    "serve",
    "--plugin",
    "tools.wasm",
    "--profile",
    "tool-pure",
];

fn request(id: u32, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn initialize(id: u32) -> Value {
    let client = json!({ "name": "test", "version": "1" });
    request(
        id,
        "initialize",
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client }),
    )
}

/// A request of the modern era.
fn modern(id: u32, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    request(id, method, params)
}

fn call(id: u32, tool: &str, arguments: Value) -> Value {
    request(
        id,
        "tools/call",
        json!({ "name": tool, "arguments": arguments }),
    )
}
