//! What a request of the modern era repeats in its HTTP headers, so that what stands between can route
//! without reading bodies; a server that reads both refuses a request whose two stories differ.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::frame::{Code, Request, RpcError};

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// Bytes of a name that is repeated in a header: more than any name that a server of ours has, and
/// less than servers' limits on headers.
pub const MIRRORED_NAME_MAX: usize = 4_096;

/// What `Mcp-Name` repeats of a request, for the methods that have it.
#[must_use]
pub fn name_of<'a>(method: &str, params: &'a Map<String, Value>) -> Option<&'a str> {
    let key = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return None,
    };
    params.get(key).and_then(Value::as_str)
}

/// A value as it may stand in a header: as it is, or in Base64 where it holds what a header cannot, or
/// what looks as if it were Base64 already.
#[must_use]
pub fn encode(value: &str) -> String {
    let plain = value.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && value.trim_matches(' ') == value
        && !value.is_empty()
        && !(value.starts_with(OPEN) && value.ends_with(CLOSE));
    if plain {
        value.to_owned()
    } else {
        format!("{OPEN}{}{CLOSE}", STANDARD.encode(value))
    }
}

/// What a header's value says; none when it is Base64 of what is no text.
#[must_use]
pub fn decode(value: &str) -> Option<String> {
    let inner = value
        .strip_prefix(OPEN)
        .and_then(|rest| rest.strip_suffix(CLOSE));
    match inner {
        None => Some(value.to_owned()),
        Some(inner) => STANDARD
            .decode(inner)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok()),
    }
}

/// Holds a request of the modern era against its headers. `header` gives the only value of one; a
/// header that came twice is none.
///
/// # Errors
/// A header that is missing, or says something else than the body.
pub fn check<'h>(
    request: &Request,
    version: &str,
    header: impl Fn(&str) -> Option<&'h str>,
) -> Result<(), RpcError> {
    same(
        "MCP-Protocol-Version",
        header("mcp-protocol-version"),
        version,
    )?;
    // As it stands: methods that are spoken here are plain words, and no other is answered.
    same("Mcp-Method", header("mcp-method"), &request.method)?;
    let Some(name) = name_of(&request.method, &request.params) else {
        return Ok(());
    };
    let said = header("mcp-name").and_then(decode);
    same("Mcp-Name", said.as_deref(), name)
}

fn same(name: &str, said: Option<&str>, body: &str) -> Result<(), RpcError> {
    let message = match said {
        Some(said) if said == body => return Ok(()),
        Some(_) => format!("the header {name} does not say what the body says"),
        None => format!("the header {name} is missing, comes twice, or cannot be read"),
    };
    Err(RpcError::new(Code::HeaderMismatch, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::frame::Id;

    fn request() -> Request {
        let Value::Object(params) = json!({ "name": "größe" }) else {
            panic!()
        };
        Request {
            id: Id::Number(1),
            method: "tools/call".to_owned(),
            params,
        }
    }

    fn checked(headers: &[(&str, &str)]) -> Result<(), Code> {
        let find = |name: &str| {
            let found = headers.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| *value)
        };
        check(&request(), "2026-07-28", find).map_err(|error| error.code)
    }

    #[test]
    fn refuses_headers_that_tell_another_story_than_the_body() {
        // MCP-019
        let version = ("mcp-protocol-version", "2026-07-28");
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "=?base64?Z3LDtsOfZQ==?=");
        assert_eq!(checked(&[version, method, name]), Ok(()));
        for headers in [
            vec![method, name],
            vec![version, name],
            vec![version, method],
            vec![("mcp-protocol-version", "2025-11-25"), method, name],
            vec![version, ("mcp-method", "tools/list"), name],
            vec![version, method, ("mcp-name", "other")],
            vec![version, method, ("mcp-name", "=?base64?/w==?=")],
        ] {
            assert_eq!(checked(&headers), Err(Code::HeaderMismatch), "{headers:?}");
        }
    }

    #[test]
    fn a_value_that_looks_encoded_is_encoded() {
        assert_eq!(
            encode("=?base64?literal?="),
            "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="
        );
        assert_eq!(encode("us-west1"), "us-west1");
        assert_eq!(encode(" padded "), "=?base64?IHBhZGRlZCA=?=");
    }

    proptest! {
        #[test]
        fn every_value_survives_a_header(value in ".{0,40}") {
            let encoded = encode(&value);
            prop_assert!(encoded.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            prop_assert_eq!(decode(&encoded), Some(value));
        }
    }
}
