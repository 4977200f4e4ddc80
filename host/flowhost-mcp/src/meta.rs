//! What a request of the modern era says of itself in `params._meta`.

use serde_json::{Map, Value, json};

use crate::frame::{Code, RpcError};
use crate::version::{SUPPORTED, is_supported};

/// The revision that a request is in.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// What the client calls itself: for people, never for decisions.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// What the client can do.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What the server calls itself, in each of its results.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Characters of a revision that a message repeats: more than any has, and the peer chooses it.
const REVISION_CHARS: usize = 32;

/// A request that says in which revision it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modern {
    /// One that is spoken here.
    pub version: &'static str,
}

/// Reads what a request says of itself: nothing, in which case the conversation's handshake counts.
///
/// # Errors
/// A revision that is not spoken, with those that are; a field that is missing beside it.
pub fn modern(params: &Map<String, Value>) -> Result<Option<Modern>, RpcError> {
    let Some(meta) = params.get("_meta") else {
        return Ok(None);
    };
    let Some(said) = meta.get(PROTOCOL_VERSION) else {
        return Ok(None);
    };
    let Some(asked) = said.as_str() else {
        let message = format!("`_meta` has `{PROTOCOL_VERSION}`, which is not a text");
        return Err(RpcError::new(Code::InvalidParams, message));
    };
    if !is_supported(asked) {
        return Err(unspoken(asked));
    }
    if !meta.get(CLIENT_CAPABILITIES).is_some_and(Value::is_object) {
        let message = format!("`_meta` has no object `{CLIENT_CAPABILITIES}`");
        return Err(RpcError::new(Code::InvalidParams, message));
    }
    let version = SUPPORTED.into_iter().find(|version| *version == asked);
    Ok(version.map(|version| Modern { version }))
}

/// That a revision is not spoken here, with those that are.
#[must_use]
pub fn unspoken(asked: &str) -> RpcError {
    let plain = asked.chars().filter(|it| !it.is_control());
    let shown: String = plain.take(REVISION_CHARS).collect();
    let spoken = SUPPORTED.join(", ");
    let message = format!("the revision `{shown}` is not spoken here; these are: {spoken}");
    RpcError {
        data: json!({ "supported": SUPPORTED, "requested": asked }),
        ..RpcError::new(Code::UnsupportedVersion, message)
    }
}

/// The token under which a request wants to hear of its progress.
#[must_use]
pub fn progress_token(params: &Map<String, Value>) -> Option<Value> {
    let token = params.get("_meta")?.get("progressToken")?;
    (token.is_string() || token.is_i64() || token.is_u64()).then(|| token.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(params: Value) -> Result<Option<Modern>, Code> {
        let Value::Object(params) = params else {
            panic!("not an object")
        };
        modern(&params).map_err(|error| error.code)
    }

    #[test]
    fn refuses_a_revision_that_is_not_spoken_and_says_which_are() {
        // MCP-019
        let Value::Object(params) = json!({ "_meta": { PROTOCOL_VERSION: "1900-01-01" } }) else {
            panic!()
        };
        let error = modern(&params).unwrap_err();
        assert_eq!(error.code, Code::UnsupportedVersion);
        assert_eq!(error.data["supported"][0], "2026-07-28");
        assert_eq!(error.data["requested"], "1900-01-01");
    }

    #[test]
    fn refuses_a_request_that_says_only_half_of_what_it_must() {
        let version = json!({ "_meta": { PROTOCOL_VERSION: "2026-07-28" } });
        assert_eq!(read(version), Err(Code::InvalidParams));
        let number = json!({ "_meta": { PROTOCOL_VERSION: 7, CLIENT_CAPABILITIES: {} } });
        assert_eq!(read(number), Err(Code::InvalidParams));
    }

    #[test]
    fn a_request_without_a_revision_is_of_the_legacy_era() {
        assert_eq!(read(json!({})), Ok(None));
        assert_eq!(read(json!({ "_meta": { "progressToken": 1 } })), Ok(None));
    }

    #[test]
    fn takes_a_request_that_says_all_of_it() {
        let params =
            json!({ "_meta": { PROTOCOL_VERSION: "2026-07-28", CLIENT_CAPABILITIES: {} } });
        let read = read(params).unwrap();
        assert_eq!(read.map(|it| it.version), Some("2026-07-28"));
    }
}
