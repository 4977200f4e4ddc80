//! What somebody who only carries frames has to know of one: whose it is. Nothing else of it is kept, so
//! that whoever carries them is no second reader who could understand them otherwise.

use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::frame::Id;

/// Whose a frame is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its id; none for a notification, and for an answer to what could not be read.
    pub id: Option<Id>,
    /// Whether it is an answer.
    pub answers: bool,
    /// The token of progress that it gives or is about.
    pub token: Option<Id>,
    /// Whether it says that the server's tools are others now: who holds them to what they were has to look.
    pub changes_tools: bool,
    /// Whether it asks for a new session, and so belongs to none.
    pub begins: bool,
    /// Whether it asks a tool to do something.
    pub calls: bool,
}

/// What says that tools have changed.
const TOOLS_CHANGED: &str = "notifications/tools/list_changed";
/// What asks a tool to do something.
const CALL: &str = "tools/call";
/// What asks for a session.
const INITIALIZE: &str = "initialize";

/// Where a frame belongs; none for what is no frame.
///
/// # Examples
///
/// ```
/// use flowhost_mcp::{Id, route};
///
/// let answer = route(br#"{"jsonrpc":"2.0","id":7,"result":{}}"#).unwrap();
/// assert_eq!((answer.id, answer.answers), (Some(Id::Number(7)), true));
/// assert!(route(b"listening on port 8080").is_none());
/// assert!(route(br#"[{"jsonrpc":"2.0","id":7,"result":{}}]"#).is_none());
/// ```
#[must_use]
pub fn route(frame: &[u8]) -> Option<Route> {
    // A list would be read as the fields of the struct, in order.
    if !frame.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let head: Head = serde_json::from_slice(frame).ok()?;
    if head.jsonrpc != "2.0" {
        return None;
    }
    let answers = head.result.is_some() || head.error.is_some();
    // Either it asks and says for what, or it answers.
    if answers == head.method.is_some() {
        return None;
    }
    let method = head.method.and_then(Word::id);
    let says = |word: &str| matches!(&method, Some(Id::Text(method)) if method == word);
    let changes_tools = head.id.is_none() && says(TOOLS_CHANGED);
    let begins = head.id.is_some() && says(INITIALIZE);
    let params = head.params.unwrap_or_default();
    let given = params.meta.and_then(|meta| meta.token);
    Some(Route {
        id: head.id.and_then(Word::id),
        answers,
        token: given.or(params.token).and_then(Word::id),
        changes_tools,
        begins,
        calls: says(CALL),
    })
}

/// What is looked at; a key that comes twice is an error of the reader.
#[derive(Deserialize)]
struct Head {
    jsonrpc: String,
    #[serde(default)]
    id: Option<Word>,
    #[serde(default)]
    method: Option<Word>,
    #[serde(default)]
    params: Option<Params>,
    // `null` is a result, too.
    #[serde(default, deserialize_with = "there")]
    result: Option<IgnoredAny>,
    #[serde(default, deserialize_with = "there")]
    error: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Params {
    /// Of a notification of progress.
    #[serde(default, rename = "progressToken")]
    token: Option<Word>,
    #[serde(default, rename = "_meta")]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    /// Of a request.
    #[serde(default, rename = "progressToken")]
    token: Option<Word>,
}

/// What may be an id.
#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Number(i64),
    Text(String),
    Other(IgnoredAny),
}

impl Word {
    fn id(self) -> Option<Id> {
        match self {
            Self::Number(number) => Some(Id::Number(number)),
            Self::Text(text) => Some(Id::Text(text)),
            Self::Other(IgnoredAny) => None,
        }
    }
}

fn there<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<IgnoredAny>, D::Error> {
    IgnoredAny::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Message, read};

    fn of(text: &str) -> Option<Route> {
        route(text.as_bytes())
    }

    #[test]
    fn no_line_of_a_log_is_a_frame() {
        // MCP-022
        for line in [
            "Server running on stdio",
            "{\"level\":\"info\",\"msg\":\"hello\"}",
            "{\"jsonrpc\":\"2.0\"}",
            "{\"jsonrpc\":\"1.0\",\"id\":1,\"result\":1}",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1,\"method\":\"x\"}",
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":NaN}",
            "[\"2.0\",1,\"ping\"]",
            "",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn progress_belongs_to_the_token_that_a_request_gave() {
        let request = "{\"jsonrpc\":\"2.0\",\"id\":\"12-1\",\"method\":\"tools/call\",\"params\":{\"_meta\":{\"progressToken\":\"12-1\"}}}";
        let told = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":\"12-1\",\"progress\":1}}";
        let token = Some(Id::Text("12-1".to_owned()));
        assert_eq!(of(request).unwrap().token, token);
        let told = of(told).unwrap();
        assert_eq!((told.id, told.answers, told.token), (None, false, token));
    }

    #[test]
    fn that_tools_have_changed_is_said_by_nothing_but_its_own_notification() {
        let said = of("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}");
        assert!(said.unwrap().changes_tools);
        for other in [
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notifications/tools/list_changed\"}",
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/resources/list_changed\"}",
            "{\"jsonrpc\":\"2.0\",\"method\":7}",
        ] {
            assert!(!of(other).unwrap().changes_tools, "{other}");
        }
    }

    #[test]
    fn an_answer_that_is_null_is_one() {
        let answer = of("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}").unwrap();
        assert!(answer.answers);
    }

    proptest! {
        #[test]
        fn whoever_reads_a_frame_finds_the_same_id(id in prop_oneof![any::<i64>().prop_map(Id::Number), ".{0,12}".prop_map(Id::Text)], asks in any::<bool>()) {
            let frame = match asks {
                true => serde_json::json!({ "jsonrpc": "2.0", "id": id.value(), "method": "ping" }),
                false => serde_json::json!({ "jsonrpc": "2.0", "id": id.value(), "result": {} }),
            };
            let frame = frame.to_string();
            let routed = route(frame.as_bytes()).unwrap();
            prop_assert_eq!(routed.id.as_ref(), Some(&id));
            prop_assert_eq!(routed.answers, !asks);
            let read = match read(frame.as_bytes()).unwrap() {
                Message::Request(request) => Some(request.id),
                Message::Reply(reply) => reply.id,
                Message::Notification(_) => None,
            };
            prop_assert_eq!(read, Some(id));
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _whatever = route(&bytes);
        }
    }
}
