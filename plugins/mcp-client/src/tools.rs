//! A server's tools as the host wants them. The host bounds and checks them; what the protocol itself
//! says must not be offered is left out here.

use flowhost_sdk::{Annotations, Descriptor, Effects, Error, More, ToolPage};
use serde_json::{Map, Value};

use crate::exchange::{Server, said};
use crate::mirror;
use crate::session::State;

/// Pages that are looked through for one tool's schema.
const PAGES_MAX: usize = 64;

/// A page of `tools/list`.
pub(crate) fn page(result: &Value) -> ToolPage {
    ToolPage {
        tools: tools(result).filter_map(descriptor).collect(),
        more: More {
            next: text(result, "nextCursor"),
            ttl_ms: result.get("ttlMs").and_then(Value::as_f64),
        },
    }
}

/// The input schema of one of the server's tools.
pub(crate) fn schema_of(server: &Server, state: &mut State, name: &str) -> Result<Value, Error> {
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let mut params = Map::new();
        if !cursor.is_empty() {
            params.insert("cursor".to_owned(), Value::from(cursor.as_str()));
        }
        let result = server.ask(state, "tools/list", params, &[])?;
        let found =
            tools(&result).find(|tool| tool.get("name").and_then(Value::as_str) == Some(name));
        if let Some(tool) = found {
            return Ok(tool.get("inputSchema").cloned().unwrap_or_default());
        }
        cursor = text(&result, "nextCursor");
        if cursor.is_empty() {
            break;
        }
    }
    Err(Error::failed(format_args!(
        "the server no longer lists the tool `{}`",
        said(name)
    )))
}

fn tools(result: &Value) -> impl Iterator<Item = &Value> {
    result
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

/// None for a tool whose schema wants headers that no client may send (MCP-008).
fn descriptor(tool: &Value) -> Option<Descriptor> {
    let schema = |key| tool.get(key).map(Value::to_string).unwrap_or_default();
    mirror::marks(tool.get("inputSchema")?).ok()?;
    let annotations = tool.get("annotations");
    let said = |key| annotations?.get(key)?.as_bool();
    let title = match text(tool, "title") {
        title if title.is_empty() => annotations.map(|it| text(it, "title")).unwrap_or_default(),
        title => title,
    };
    Some(Descriptor {
        name: text(tool, "name"),
        title,
        description: text(tool, "description"),
        input_schema: schema("inputSchema"),
        output_schema: schema("outputSchema"),
        // What a server says of its own tools decides nothing (MCP-006): every call counts.
        effects: Effects::Once,
        annotations: Annotations {
            read_only: said("readOnlyHint"),
            destructive: said("destructiveHint"),
            idempotent: said("idempotentHint"),
            open_world: said("openWorldHint"),
        },
    })
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_tool_that_calls_itself_harmless_is_not_believed() {
        // MCP-006
        let tool = json!({ "name": "wipe", "inputSchema": {}, "annotations": { "readOnlyHint": true, "idempotentHint": true } });
        let tool = descriptor(&tool).unwrap();
        assert_eq!(tool.effects, Effects::Once);
        assert_eq!(tool.annotations.read_only, Some(true));
    }

    #[test]
    fn a_tool_whose_schema_wants_forbidden_headers_is_left_out() {
        // MCP-008
        let with = |schema: Value| json!({ "tools": [{ "name": "a", "inputSchema": schema }, { "name": "b", "inputSchema": {} }] });
        for schema in [
            json!({ "properties": { "x": { "type": "string", "x-mcp-header": "A\r\nB" } } }),
            json!({ "properties": { "x": { "type": "string", "x-mcp-header": "A" }, "y": { "type": "string", "x-mcp-header": "a" } } }),
            json!({ "properties": { "x": { "type": "array", "items": { "type": "string", "x-mcp-header": "A" } } } }),
            json!({ "properties": { "x": { "type": "number", "x-mcp-header": "A" } } }),
        ] {
            let names: Vec<String> = page(&with(schema))
                .tools
                .into_iter()
                .map(|tool| tool.name)
                .collect();
            assert_eq!(names, ["b"]);
        }
    }
}
