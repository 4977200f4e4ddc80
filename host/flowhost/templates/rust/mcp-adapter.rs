//! Speaks to one MCP server over the transport that the host owns.

use flowhost_sdk as flowhost;

use flowhost::host::mcp_transport::{Event, cancel, next, open, send};
use flowhost::{Annotations, Answer, Descriptor, Effects, Error, More, Part, Session, ToolPage};
use serde_json::{Value, json};

/// The protocol revision that this adapter speaks.
const PROTOCOL: &str = "2025-11-25";
/// Longest wait for one answer; the call's own deadline may be shorter.
const WAIT_MS: f64 = 30_000.0;

struct {{type}};

#[flowhost::mcp_adapter]
impl {{type}} {
    fn connect() -> Result<Session, Error> {
        let params = json!({
            "protocolVersion": PROTOCOL,
            "capabilities": {},
            "clientInfo": { "name": "{{name}}", "version": env!("CARGO_PKG_VERSION") },
        });
        let session = session(&ask("initialize", &params)?)?;
        // A server may wait for it before it answers anything else.
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        send(&initialized.to_string(), &[])?;
        Ok(session)
    }

    fn list_tools(cursor: &str) -> Result<ToolPage, Error> {
        let params = match cursor {
            "" => json!({}),
            cursor => json!({ "cursor": cursor }),
        };
        page(&ask("tools/list", &params)?)
    }

    fn call_tool(name: &str, input: Value) -> Result<Answer, Error> {
        content(&ask("tools/call", &json!({ "name": name, "arguments": input }))?)
    }
}

/// Sends one request and waits for its answer.
fn ask(method: &str, params: &Value) -> Result<Value, Error> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let stream = open(&request.to_string(), &[])?;
    let answer = answer_on(&stream);
    cancel(&stream);
    answer
}

fn answer_on(stream: &str) -> Result<Value, Error> {
    let streams = [stream.to_owned()];
    let mut json = String::new();
    loop {
        let arrival = next(&streams, WAIT_MS)?;
        let arrival = arrival.ok_or_else(|| Error::transient("the server does not answer"))?;
        match arrival.event {
            Event::Head(head) if !(200..300).contains(&head.status) => {
                return Err(Error::failed(format_args!("the server answered {}", head.status)));
            }
            Event::Head(_) => {}
            Event::Frame(frame) => {
                json.push_str(&frame.json);
                // A large frame comes in pieces.
                if frame.more {
                    continue;
                }
                if let Some(answer) = answer(&std::mem::take(&mut json)) {
                    return answer;
                }
            }
            Event::End(_) => return Err(Error::transient("the server ended the answer")),
        }
    }
}

/// What a frame says to the request; `None` for what is no answer (a notification of the server).
fn answer(frame: &str) -> Option<Result<Value, Error>> {
    let Ok(mut frame) = serde_json::from_str::<Value>(frame) else {
        return Some(Err(Error::failed("the server does not speak JSON")));
    };
    if let Some(error) = frame.get("error") {
        let message = error["message"].as_str().unwrap_or("no reason given");
        return Some(Err(Error::failed(format_args!("the server: {message}"))));
    }
    frame.get_mut("result").map(|result| Ok(result.take()))
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn session(result: &Value) -> Result<Session, Error> {
    let protocol = text(result, "protocolVersion");
    if protocol != PROTOCOL {
        let what = format_args!("the server speaks `{protocol}`, and this adapter {PROTOCOL}");
        return Err(Error::failed(what));
    }
    Ok(Session {
        name: text(&result["serverInfo"], "name"),
        version: text(&result["serverInfo"], "version"),
        protocol,
        capabilities: result["capabilities"].to_string(),
        instructions: text(result, "instructions"),
        state: String::new(),
    })
}

fn page(result: &Value) -> Result<ToolPage, Error> {
    let tools = result["tools"].as_array();
    let tools = tools.ok_or_else(|| Error::failed("the server lists no tools"))?;
    Ok(ToolPage {
        tools: tools.iter().map(descriptor).collect(),
        more: More {
            next: text(result, "nextCursor"),
            ttl_ms: None,
        },
    })
}

fn descriptor(tool: &Value) -> Descriptor {
    let said = |key: &str| tool["annotations"][key].as_bool();
    Descriptor {
        name: text(tool, "name"),
        title: text(tool, "title"),
        description: text(tool, "description"),
        input_schema: tool["inputSchema"].to_string(),
        output_schema: tool.get("outputSchema").map(Value::to_string).unwrap_or_default(),
        // A server's word is no reason to repeat a call.
        effects: Effects::Once,
        annotations: Annotations {
            read_only: said("readOnlyHint"),
            destructive: said("destructiveHint"),
            idempotent: said("idempotentHint"),
            open_world: said("openWorldHint"),
        },
    }
}

fn content(result: &Value) -> Result<Answer, Error> {
    let parts: Vec<Part> = result["content"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|part| part["type"] == "text")
        .map(|part| Part::text(text(part, "text")))
        .collect();
    let answer = Answer {
        value: result["structuredContent"].to_string(),
        parts,
    };
    if result["isError"] == true {
        let said: Vec<&str> = answer.texts().collect();
        return Err(Error::failed(said.join("\n")));
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_server_of_another_revision() {
        let old = json!({ "protocolVersion": "2024-11-05" });
        assert!(matches!(session(&old), Err(Error::Failed(_))));
    }

    #[test]
    fn an_error_of_a_tool_is_an_error_here() {
        let result = json!({ "isError": true, "content": [{ "type": "text", "text": "no" }] });
        assert!(matches!(content(&result), Err(Error::Failed(what)) if what == "no"));
    }

    #[test]
    fn a_notification_is_no_answer_and_a_result_is() {
        assert!(answer(r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#).is_none());
        let said = answer(r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#);
        assert_eq!(said.unwrap().unwrap(), json!({ "tools": [] }));
    }

    #[test]
    fn a_page_has_what_the_server_lists_and_where_it_goes_on() {
        let tool = json!({ "name": "a", "inputSchema": { "type": "object" } });
        let page = page(&json!({ "tools": [tool], "nextCursor": "2" })).unwrap();
        assert_eq!((page.tools.len(), page.more.next.as_str()), (1, "2"));
    }
}
