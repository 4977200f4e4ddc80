//! An MCP adapter that asks its server as JSON-RPC says, over the host's transport.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::mcp_transport::{Event, cancel, next, open};
use flowhost_test_guests::{
    Annotations, Answer, Context, Descriptor, Effects, Error, McpAdapter, More, Part, Session,
    ToolPage, Value, json, parse,
};

struct Adapter;

fn ask(method: &str, params: &Value) -> Result<Value, Error> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let streams = [open(&request.to_string(), &[])?];
    let result = answer_on(&streams);
    let [stream] = &streams;
    cancel(stream);
    result
}

fn answer_on(streams: &[String]) -> Result<Value, Error> {
    let mut json = String::new();
    loop {
        let Some(arrival) = next(streams, 1_000.0)? else {
            return Err(Error::transient("the server does not answer"));
        };
        match arrival.event {
            Event::Head(_) => {}
            Event::Frame(frame) => {
                json.push_str(&frame.json);
                if frame.more {
                    continue;
                }
                let reply: Value = parse(&json)?;
                let without = || Error::failed("the server answered without a result");
                return reply.get("result").cloned().ok_or_else(without);
            }
            Event::End(_) => return Err(Error::transient("the server hung up")),
        }
    }
}

fn text(value: &Value, key: &str) -> String {
    let text = value.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    let list = value.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

fn tool(tool: &Value) -> Descriptor {
    let said = |key| tool.get("annotations")?.get(key)?.as_bool();
    let schema = |key| tool.get(key).map(Value::to_string).unwrap_or_default();
    Descriptor {
        name: text(tool, "name"),
        title: text(tool, "title"),
        description: text(tool, "description"),
        input_schema: schema("inputSchema"),
        output_schema: schema("outputSchema"),
        effects: Effects::Once,
        annotations: Annotations {
            read_only: said("readOnlyHint"),
            destructive: said("destructiveHint"),
            idempotent: said("idempotentHint"),
            open_world: said("openWorldHint"),
        },
    }
}

impl McpAdapter for Adapter {
    fn connect(_: &Context, _: &str) -> Result<Session, Error> {
        let result = ask("initialize", &json!({ "protocolVersion": "2025-11-25" }))?;
        let server = result.get("serverInfo").cloned().unwrap_or_default();
        let capabilities = result.get("capabilities").cloned().unwrap_or(json!({}));
        Ok(Session {
            name: text(&server, "name"),
            version: text(&server, "version"),
            protocol: text(&result, "protocolVersion"),
            capabilities: capabilities.to_string(),
            instructions: text(&result, "instructions"),
            state: String::new(),
        })
    }

    fn list_tools(_: &Context, _: &Session, cursor: &str) -> Result<ToolPage, Error> {
        let params = match cursor {
            "" => json!({}),
            cursor => json!({ "cursor": cursor }),
        };
        let result = ask("tools/list", &params)?;
        Ok(ToolPage {
            tools: list(&result, "tools").iter().map(tool).collect(),
            more: More {
                next: text(&result, "nextCursor"),
                ttl_ms: result.get("ttlMs").and_then(Value::as_f64),
            },
        })
    }

    fn call_tool(_: &Context, _: &Session, name: &str, input: &str) -> Result<Answer, Error> {
        let arguments: Value = parse(input)?;
        let params = json!({ "name": name, "arguments": arguments });
        let result = ask("tools/call", &params)?;
        let value = result.get("structuredContent").cloned().unwrap_or_default();
        let texts = list(&result, "content").iter();
        Ok(Answer {
            value: value.to_string(),
            parts: texts.map(|part| Part::text(text(part, "text"))).collect(),
        })
    }
}

flowhost_test_guests::export_mcp_adapter!(Adapter);

#[cfg(not(target_arch = "wasm32"))]
fn main() {}
