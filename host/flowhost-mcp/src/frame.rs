//! JSON-RPC frames: one document is one message, and nothing that is not exactly one is taken.
//!
//! Batches are refused (they were in one revision and left again), so are keys that come twice (of the frame, and within
//! its parameters), `null` as an id, and fractions as one: two readers that disagree about such a frame are a way around
//! checks.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use crate::once::Once;

/// Nesting of a frame: the JSON reader refuses what goes deeper, before a stack could overflow.
pub const FRAME_DEPTH_MAX: usize = 127;

/// The id of a request: whoever answers says it again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An integer.
    Number(i64),
    /// A text.
    Text(String),
}

impl Id {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(number) => number.as_i64().map(Self::Number),
            Value::String(text) => Some(Self::Text(text.clone())),
            _ => None,
        }
    }

    /// As it stands in a frame.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Self::Number(number) => Value::from(*number),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

/// What asks for an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Whose answer it is.
    pub id: Id,
    /// What is asked.
    pub method: String,
    /// With what; empty when nothing was given.
    pub params: Map<String, Value>,
}

impl Request {
    /// The frame.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.id.value(), "method": self.method, "params": self.params })
    }
}

/// What asks for none.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// What happened.
    pub method: String,
    /// Its circumstances; empty when none were given.
    pub params: Map<String, Value>,
}

impl Notification {
    /// The frame.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({ "jsonrpc": "2.0", "method": self.method, "params": self.params })
    }
}

/// An answer. Without an id it answers a frame that could not be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The request that it answers.
    pub id: Option<Id>,
    /// What came of it.
    pub outcome: Result<Value, RpcError>,
}

impl Reply {
    /// The frame.
    #[must_use]
    pub fn value(&self) -> Value {
        let id = self.id.as_ref().map(Id::value);
        match &self.outcome {
            Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
            Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error.value() }),
        }
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// Asks for an answer.
    Request(Request),
    /// Asks for none.
    Notification(Notification),
    /// Is one.
    Reply(Reply),
}

/// The error codes in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Not JSON.
    Parse,
    /// JSON, but no frame.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// The parameters are not what the method takes.
    InvalidParams,
    /// The fault is on this side.
    Internal,
    /// What cannot be read is not there (legacy; modern peers get [`Code::InvalidParams`]).
    ResourceNotFound,
    /// Headers and body disagree, or a header is missing.
    HeaderMismatch,
    /// The client did not declare what the answer needs.
    MissingClientCapability,
    /// The revision is not spoken.
    UnsupportedVersion,
    /// A code of the peer's own.
    Other(i64),
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Parse => -32_700,
            Self::InvalidRequest => -32_600,
            Self::MethodNotFound => -32_601,
            Self::InvalidParams => -32_602,
            Self::Internal => -32_603,
            Self::ResourceNotFound => -32_002,
            Self::HeaderMismatch => -32_020,
            Self::MissingClientCapability => -32_021,
            Self::UnsupportedVersion => -32_022,
            Self::Other(number) => number,
        }
    }

    fn of(number: i64) -> Self {
        const KNOWN: [Code; 9] = [
            Code::Parse,
            Code::InvalidRequest,
            Code::MethodNotFound,
            Code::InvalidParams,
            Code::Internal,
            Code::ResourceNotFound,
            Code::HeaderMismatch,
            Code::MissingClientCapability,
            Code::UnsupportedVersion,
        ];
        let known = KNOWN.into_iter().find(|code| code.number() == number);
        known.unwrap_or(Self::Other(number))
    }

    /// Whether only a peer of the modern era says it: an answer with it is no reason to fall back.
    #[must_use]
    pub const fn is_modern(self) -> bool {
        matches!(
            self,
            Self::HeaderMismatch | Self::MissingClientCapability | Self::UnsupportedVersion
        )
    }
}

/// An error as the peer is told.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcError {
    /// Its kind.
    pub code: Code,
    /// For people.
    pub message: String,
    /// For programs; `null` for nothing.
    pub data: Value,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: Value::Null,
        }
    }

    fn value(&self) -> Value {
        let mut error = json!({ "code": self.code.number(), "message": self.message });
        if let (Value::Object(error), false) = (&mut error, self.data.is_null()) {
            error.insert("data".to_owned(), self.data.clone());
        }
        error
    }
}

/// A frame that is refused, with the id of whoever has to hear of it, as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// The request's id.
    pub id: Option<Id>,
    /// What is wrong.
    pub error: RpcError,
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        Self {
            id: refusal.id,
            outcome: Err(refusal.error),
        }
    }
}

/// A frame before it is judged. Serde refuses a key of these that comes twice.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Raw {
    #[serde(default)]
    jsonrpc: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    id: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    method: Option<Value>,
    #[serde(default, deserialize_with = "once")]
    params: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    result: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    error: Option<Value>,
}

/// Tells `null` from nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The same, and refuses a key that comes twice, however deep.
fn once<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Once::deserialize(deserializer).map(|Once(value)| Some(value))
}

/// Reads one frame.
///
/// # Errors
/// What to answer to whoever sent it.
pub fn read(text: &[u8]) -> Result<Message, Refusal> {
    // Serde would read the fields of a frame out of a list as well, in the order of their declaration.
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        let message = "batches are not taken: send one message at a time";
        return Err(refuse(None, Code::InvalidRequest, message));
    }
    let raw: Raw = serde_json::from_slice(text).map_err(|error| unread(text, &error))?;
    judge(raw)
}

/// Why a text is no frame: not JSON at all, JSON of another shape, or JSON with more in it than is read here.
fn unread(text: &[u8], error: &serde_json::Error) -> Refusal {
    if error.is_data() {
        let message = format!("the message is not a JSON-RPC object: {error}");
        return refuse(id_in(text), Code::InvalidRequest, message);
    }
    // Whoever keeps nothing of it needs no bound on its depth, and no value for its numbers.
    let is_json =
        std::str::from_utf8(text).is_ok() && serde_json::from_slice::<IgnoredAny>(text).is_ok();
    if !is_json {
        let message = format!("the message is not JSON: {error}");
        return refuse(None, Code::Parse, message);
    }
    let said = error.to_string();
    let bound = match said.starts_with("recursion limit") {
        true => format!("; objects and lists may nest {FRAME_DEPTH_MAX} deep"),
        false => String::new(),
    };
    let message = format!("a part of the message cannot be taken: {said}{bound}");
    refuse(id_in(text), Code::InvalidRequest, message)
}

/// The id of a frame that cannot be read as a whole: who asked is told, if that much can be.
fn id_in(text: &[u8]) -> Option<Id> {
    #[derive(Deserialize)]
    struct Named {
        id: Value,
    }
    let named: Named = serde_json::from_slice(text).ok()?;
    Id::of(&named.id)
}

fn judge(raw: Raw) -> Result<Message, Refusal> {
    let id = match &raw.id {
        None => None,
        // An error that answers an unreadable frame has `null`; nothing else may.
        Some(Value::Null) if raw.error.is_some() => None,
        Some(value) => match Id::of(value) {
            Some(id) => Some(id),
            None => {
                let message = "`id` is neither a text nor an integer";
                return Err(refuse(None, Code::InvalidRequest, message));
            }
        },
    };
    let bad = |message: &str| refuse(id.clone(), Code::InvalidRequest, message);
    if raw.jsonrpc != Some(Value::from("2.0")) {
        return Err(bad("`jsonrpc` is not \"2.0\""));
    }
    let Some(method) = raw.method else {
        return reply(raw.result, raw.error, id.clone()).ok_or_else(|| {
            bad("the message is neither a request, nor a notification, nor an answer")
        });
    };
    if raw.result.is_some() || raw.error.is_some() {
        return Err(bad("the message is a request and an answer in one"));
    }
    let Value::String(method) = method else {
        return Err(bad("`method` is not a text"));
    };
    let params = match raw.params {
        None => Map::new(),
        Some(Value::Object(params)) => params,
        Some(_) => {
            let message = "`params` is not an object";
            return Err(refuse(id, Code::InvalidParams, message));
        }
    };
    Ok(match id {
        Some(id) => Message::Request(Request { id, method, params }),
        None => Message::Notification(Notification { method, params }),
    })
}

fn reply(result: Option<Value>, error: Option<Value>, id: Option<Id>) -> Option<Message> {
    let outcome = match (result, error) {
        (Some(result), None) => {
            id.as_ref()?; // a result answers something
            Ok(result)
        }
        (None, Some(error)) => Err(RpcError {
            code: Code::of(error.get("code")?.as_i64()?),
            message: error.get("message")?.as_str()?.to_owned(),
            data: error.get("data").cloned().unwrap_or_default(),
        }),
        _ => return None,
    };
    Some(Message::Reply(Reply { id, outcome }))
}

fn refuse(id: Option<Id>, code: Code, message: impl Into<String>) -> Refusal {
    Refusal {
        id,
        error: RpcError::new(code, message),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> Code {
        read(text.as_bytes()).unwrap_err().error.code
    }

    #[test]
    fn refuses_what_is_not_exactly_one_frame() {
        // MCP-020
        let cases = [
            (r#"["2.0",1,"ping"]"#, Code::InvalidRequest),
            (
                r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
                Code::InvalidRequest,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
                Code::InvalidRequest,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
                Code::InvalidRequest,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
                Code::InvalidRequest,
            ),
            (
                r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
                Code::InvalidRequest,
            ),
            (r#"{"id":1,"method":"ping"}"#, Code::InvalidRequest),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
                Code::InvalidRequest,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
                Code::InvalidRequest,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}"#,
                Code::InvalidRequest,
            ),
            (r#"{"jsonrpc":"2.0","result":{}}"#, Code::InvalidRequest),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[1]}"#,
                Code::InvalidParams,
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":NaN}}"#,
                Code::Parse,
            ),
            ("", Code::Parse),
            ("\u{feff}{}", Code::Parse),
            ("7", Code::InvalidRequest),
        ];
        for (text, expected) in cases {
            assert_eq!(code(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_a_million_levels_without_a_stack_for_them() {
        let deep = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}1"#,
            r#"{"a":"#.repeat(1_000_000)
        );
        assert_eq!(code(&deep), Code::Parse);
    }

    #[test]
    fn what_is_json_is_not_called_something_else_and_no_word_of_this_program_is_said() {
        let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
        for (params, says) in [
            (deep.as_str(), "objects and lists may nest 127 deep"),
            (r#"{"n":1e999}"#, "number out of range"),
            (r#"{"t":"\ud800"}"#, "a part of the message cannot be taken"),
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":7,"method":"a","params":{params}}}"#);
            let refusal = read(text.as_bytes()).unwrap_err();
            assert_eq!(refusal.error.code, Code::InvalidRequest, "{params}");
            assert_eq!(refusal.id, Some(Id::Number(7)), "{params}");
            let message = refusal.error.message;
            assert!(message.contains(says), "{message}");
            assert!(!message.contains("not JSON"), "{message}");
        }
        for text in ["7", "null", "\"x\"", "true"] {
            let message = read(text.as_bytes()).unwrap_err().error.message;
            assert!(message.contains("expected an object"), "{message}");
            assert!(!message.contains("struct"), "{message}");
        }
    }

    #[test]
    fn refuses_a_key_that_comes_twice_within_the_parameters_and_says_whose_request_it_was() {
        for params in [
            r#"{"name":"headings","name":"nope"}"#,
            r#"{"name":"a","arguments":{"b":[{"c":1,"d":2,"c":3}]}}"#,
        ] {
            let text = format!(r#"{{"jsonrpc":"2.0","id":"x","method":"a","params":{params}}}"#);
            let refusal = read(text.as_bytes()).unwrap_err();
            assert_eq!(refusal.error.code, Code::InvalidRequest, "{params}");
            assert_eq!(refusal.id, Some(Id::Text("x".to_owned())), "{params}");
            let message = refusal.error.message;
            assert!(message.contains("stands twice in one object"), "{message}");
        }
        let apart = br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"a":{"k":1},"b":{"k":-1.5,"l":[null,true]}}}"#;
        let Ok(Message::Request(request)) = read(apart) else {
            panic!("no key comes twice in one object");
        };
        let meant = json!({ "a": { "k": 1 }, "b": { "k": -1.5, "l": [null, true] } });
        assert_eq!(Value::Object(request.params), meant);
    }

    #[test]
    fn refuses_bytes_that_are_not_utf_8() {
        let refusal = read(b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\",\"method\":\"a\"}").unwrap_err();
        assert_eq!(refusal.error.code, Code::Parse);
    }

    #[test]
    fn a_refusal_names_the_request_when_its_id_can_be_read() {
        let refusal = read(br#"{"jsonrpc":"2.0","id":"x","method":1}"#).unwrap_err();
        assert_eq!(refusal.id, Some(Id::Text("x".to_owned())));
    }

    #[test]
    fn reads_the_three_kinds_of_frames() {
        let request = read(br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#);
        assert!(matches!(request, Ok(Message::Request(it)) if it.id == Id::Number(7)));
        let note = read(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        assert!(matches!(note, Ok(Message::Notification(_))));
        let error = read(br#"{"jsonrpc":"2.0","id":null,"error":{"code":-32022,"message":"m"}}"#);
        assert!(
            matches!(error, Ok(Message::Reply(Reply { id: None, outcome: Err(error) }))
            if error.code == Code::UnsupportedVersion && error.code.is_modern())
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(number in any::<i64>(), text in ".{0,12}", method in "[a-z/]{1,20}", value in ".{0,20}") {
            for id in [Id::Number(number), Id::Text(text)] {
                let params = Map::from_iter([("v".to_owned(), Value::from(value.as_str()))]);
                let request = Request { id: id.clone(), method: method.clone(), params };
                let read_again = read(request.value().to_string().as_bytes());
                prop_assert_eq!(read_again, Ok(Message::Request(request)));
                let reply = Reply { id: Some(id), outcome: Err(RpcError::new(Code::Internal, value.clone())) };
                let read_again = read(reply.value().to_string().as_bytes());
                prop_assert_eq!(read_again, Ok(Message::Reply(reply)));
            }
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _refused_or_not = read(&bytes);
        }
    }
}
