//! Headers and bodies of a response, as JSON.

use std::collections::BTreeMap;

use serde_json::Value;

/// Headers by lower-case name; repeated ones joined with `, ` (RFC 9110, section 5.3).
pub(crate) fn headers(pairs: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        joined
            .entry(name.to_ascii_lowercase())
            .and_modify(|all| {
                all.push_str(", ");
                all.push_str(&value);
            })
            .or_insert(value);
    }
    joined
}

/// The body as what it is: JSON where the type says so and it is true, text where it is UTF-8, else
/// only its length.
pub(crate) fn read(content_type: &str, body: &[u8]) -> (&'static str, Value) {
    if is_json(content_type)
        && let Ok(value) = serde_json::from_slice(body)
    {
        return ("json", value);
    }
    match std::str::from_utf8(body) {
        Ok(text) => ("text", Value::from(text)),
        Err(_) => ("bytes", serde_json::json!({ "bytes": body.len() })),
    }
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839).
fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_claims_to_be_json_is_text() {
        assert_eq!(
            read("application/json", b"{ no"),
            ("text", Value::from("{ no"))
        );
    }

    #[test]
    fn what_is_not_utf8_is_only_counted() {
        assert_eq!(read("text/plain", &[0xff, 0xfe]).0, "bytes");
    }

    #[test]
    fn json_is_known_by_its_type_and_suffix() {
        for kind in [
            "application/json; charset=utf-8",
            "application/problem+json",
        ] {
            assert_eq!(read(kind, b"[1]"), ("json", serde_json::json!([1])));
        }
    }

    #[test]
    fn repeated_headers_are_joined_whatever_their_case() {
        let pairs = [("Vary", "a"), ("vary", "b")];
        let joined = headers(pairs.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(joined.get("vary").map(String::as_str), Some("a, b"));
    }
}
