//! A server's tools as the host wants them. The host bounds and checks them; what is not a list of tools is refused here,
//! and what the protocol itself says must not be offered is left out and told of.

use flowhost_sdk::{Annotations, Descriptor, Effects, Error, More, ToolPage};
use serde_json::{Map, Value};

use crate::exchange::{Server, said};
use crate::mirror;
use crate::session::State;

/// Pages that are looked through for one tool's schema.
const PAGES_MAX: usize = 64;
/// Tools whose leaving out is told of at once: a server may have a thousand, and the text is its own.
const TOLD_MAX: usize = 5;

/// A page of `tools/list`, and what of it is not offered: a line for the log, empty where all is.
///
/// # Errors
/// When it is not what MCP says that a list of tools is.
pub(crate) fn page(result: &Value) -> Result<(ToolPage, String), Error> {
    let listed = result.get("tools").and_then(Value::as_array);
    let listed = listed.ok_or_else(|| malformed("`tools` is not a list"))?;
    let (mut tools, mut left_out) = (Vec::new(), Vec::new());
    for tool in listed {
        let (name, schema) = formed(tool)?;
        match mirror::marks(schema) {
            Ok(_) => tools.push(descriptor(tool)),
            // A client must not offer a tool whose schema wants headers that nobody may send (MCP-008).
            Err(why) => left_out.push(format!("`{}` ({why})", said(name))),
        }
    }
    let more = More {
        next: text(result, "nextCursor"),
        ttl_ms: result.get("ttlMs").and_then(Value::as_f64),
    };
    Ok((ToolPage { tools, more }, without(&left_out)))
}

/// The name of a tool in a list, and the schema of its input.
fn formed(tool: &Value) -> Result<(&str, &Value), Error> {
    if !tool.is_object() {
        return Err(malformed("one of them is not an object"));
    }
    let name = tool.get("name").and_then(Value::as_str);
    let name = name.ok_or_else(|| malformed("one of them has no `name`"))?;
    match tool.get("inputSchema") {
        Some(schema) => Ok((name, schema)),
        None => Err(malformed(&format!(
            "the tool `{}` has no `inputSchema`",
            said(name)
        ))),
    }
}

fn malformed(what: &str) -> Error {
    Error::failed(format_args!(
        "the server lists its tools in a form that is not MCP's: {what}"
    ))
}

fn without(left_out: &[String]) -> String {
    let told: Vec<&str> = left_out.iter().take(TOLD_MAX).map(String::as_str).collect();
    if told.is_empty() {
        return String::new();
    }
    let more = match left_out.len().saturating_sub(TOLD_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "tools of the server are not offered, because of the headers that their schemas want: {}{more}",
        told.join(", ")
    )
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

fn descriptor(tool: &Value) -> Descriptor {
    let schema = |key| tool.get(key).map(Value::to_string).unwrap_or_default();
    let annotations = tool.get("annotations");
    let said = |key| annotations?.get(key)?.as_bool();
    let title = match text(tool, "title") {
        title if title.is_empty() => annotations.map(|it| text(it, "title")).unwrap_or_default(),
        title => title,
    };
    Descriptor {
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
    }
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
        let tool = descriptor(&tool);
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
            let (page, without) = page(&with(schema)).unwrap();
            let names: Vec<String> = page.tools.into_iter().map(|tool| tool.name).collect();
            assert_eq!(names, ["b"]);
            assert!(
                without.contains("not offered") && without.contains("`a` ("),
                "{without}"
            );
        }
        let (page, without) = page(&with(json!({ "type": "object" }))).unwrap();
        assert_eq!((page.tools.len(), without.as_str()), (2, ""));
    }

    #[test]
    fn what_is_no_list_of_tools_is_refused_and_not_taken_for_an_empty_one() {
        for (list, says) in [
            (json!({}), "`tools` is not a list"),
            (json!({ "tools": { "echo": 1 } }), "`tools` is not a list"),
            (json!({ "tools": ["echo"] }), "one of them is not an object"),
            (
                json!({ "tools": [{ "inputSchema": {} }] }),
                "one of them has no `name`",
            ),
            (
                json!({ "tools": [{ "name": "echo" }] }),
                "the tool `echo` has no `inputSchema`",
            ),
        ] {
            let Err(Error::Failed(told)) = page(&list) else {
                panic!("{list} is a list of tools");
            };
            assert!(told.contains("not MCP's") && told.contains(says), "{told}");
        }
        let (page, _) = page(&json!({ "tools": [] })).unwrap();
        assert!(page.tools.is_empty());
    }
}
