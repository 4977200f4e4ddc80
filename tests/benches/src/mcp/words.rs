//! What a client of the benchmarks says to an MCP server, and what counts as an answer. The same words go to every server.

use std::sync::LazyLock;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What the tool is given: as a client writes it, and so not in the order of canonical JSON.
pub(crate) const GIVEN: &str = r#"{"text":"The quick brown fox","count":3,"tags":["a","b"]}"#;

/// The same, which is what the tool gives back.
static EXPECTED: LazyLock<Value> =
    LazyLock::new(|| json!({ "text": "The quick brown fox", "count": 3, "tags": ["a", "b"] }));

/// Calls that a server answers before it is measured: Node compiles while it runs, and a server with its SDK still became
/// quicker up to some five thousand.
pub(crate) const CALLS_TO_WARM: usize = 5_000;

/// What opens a conversation.
pub(crate) fn opening() -> String {
    let client = json!({ "name": "bench", "version": "1" });
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client });
    json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string()
}

/// What is said when it is open.
pub(crate) const OPENED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// A call of the tool. Each of a session has an id of its own, as the protocol wants.
pub(crate) fn call(id: u64) -> String {
    // Not by a tree of JSON: with many calls in flight the one client must not be what is measured.
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"run","arguments":{GIVEN}}}}}"#
    )
}

/// The id of the call that this answers. Fails unless it is the tool's own answer, and whole.
pub(crate) fn answered(answer: &Value) -> Result<u64> {
    let result = answer.get("result");
    let well = result.is_some_and(|result| {
        result.get("structuredContent") == Some(&*EXPECTED)
            && result.get("content").is_some_and(Value::is_array)
    });
    ensure!(well, "not the answer of the tool: {answer}");
    let id = answer.get("id").and_then(Value::as_u64);
    id.context("an answer without its id")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(structured: &Value) -> Value {
        let content = json!([{ "type": "text", "text": structured.to_string() }]);
        json!({ "jsonrpc": "2.0", "id": 7, "result": { "content": content, "structuredContent": structured } })
    }

    #[test]
    fn what_is_not_what_was_sent_is_no_answer() {
        let failed = json!({ "content": [], "isError": true });
        for other in [
            answer(&json!({ "text": "another", "count": 3, "tags": ["a", "b"] })),
            json!({ "jsonrpc": "2.0", "id": 7, "result": failed }),
            json!({ "jsonrpc": "2.0", "id": 7, "error": { "code": -32602, "message": "no" } }),
            json!({ "jsonrpc": "2.0", "method": "notifications/message" }),
        ] {
            assert!(answered(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_call_is_answered_by_its_id_and_by_what_it_gave() {
        let asked: Value = serde_json::from_str(&call(7)).unwrap();
        let given = &asked["params"]["arguments"];
        assert_eq!(answered(&answer(given)).unwrap(), 7);
    }
}
