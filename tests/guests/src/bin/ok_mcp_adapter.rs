//! An MCP adapter that asks its server as JSON-RPC says, over the host's transport.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::mcp_transport::{receive, send};
use flowhost_test_guests::{
    Answer, Context, Descriptor, Effects, Error, McpAdapter, ServerInfo, Value, json, parse,
};

struct Adapter;

fn ask(method: &str, params: &Value) -> Result<Value, Error> {
    send(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string())?;
    let reply: Value = parse(&receive(1_000.0)?)?;
    reply
        .get("result")
        .cloned()
        .ok_or_else(|| Error::failed("the server answered without a result"))
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

impl McpAdapter for Adapter {
    fn connect(_: &Context, _: &str) -> Result<ServerInfo, Error> {
        let result = ask("initialize", &json!({ "protocolVersion": "2025-11-25" }))?;
        let server = result.get("serverInfo").cloned().unwrap_or_default();
        Ok(ServerInfo {
            name: text(&server, "name"),
            version: text(&server, "version"),
            protocol: text(&result, "protocolVersion"),
            capabilities: result
                .get("capabilities")
                .cloned()
                .unwrap_or_default()
                .to_string(),
        })
    }

    fn list_tools(_: &Context) -> Result<Vec<Descriptor>, Error> {
        let result = ask("tools/list", &json!({}))?;
        let tools = result
            .get("tools")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        Ok(tools
            .iter()
            .map(|tool| Descriptor {
                name: text(tool, "name"),
                title: text(tool, "title"),
                description: text(tool, "description"),
                input_schema: tool
                    .get("inputSchema")
                    .cloned()
                    .unwrap_or_default()
                    .to_string(),
                output_schema: String::new(),
                effects: Effects::Once,
            })
            .collect())
    }

    fn call_tool(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        let arguments: Value = parse(input)?;
        let result = ask(
            "tools/call",
            &json!({ "name": name, "arguments": arguments }),
        )?;
        Ok(Answer {
            value: result.to_string(),
            text: String::new(),
        })
    }
}

flowhost_test_guests::export_mcp_adapter!(Adapter);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
