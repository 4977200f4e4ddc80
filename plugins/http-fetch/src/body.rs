//! Headers and bodies of a response, as JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;

use encoding_rs::{Encoding, UTF_8};
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

/// The body as what it is: JSON where the type says so and it is true, text where it is text of its
/// charset, else only its length.
pub(crate) fn read(content_type: &str, body: &[u8]) -> (&'static str, Value) {
    let essence = essence(content_type);
    let Some(text) = text(content_type, &essence, body) else {
        return ("bytes", serde_json::json!({ "bytes": body.len() }));
    };
    if is_json(&essence)
        && let Ok(value) = serde_json::from_str(&text)
    {
        return ("json", value);
    }
    ("text", Value::from(text))
}

/// The body in the charset of its byte order mark, else in the one that the header names, else in UTF-8. No
/// charset that could mean the bytes otherwise is guessed, and nothing is replaced: what is not text of its
/// charset is none.
fn text<'b>(content_type: &str, essence: &str, body: &'b [u8]) -> Option<Cow<'b, str>> {
    // A mark means something in what is text: a picture may begin with the same two bytes.
    let marked = is_text(essence).then(|| Encoding::for_bom(body)).flatten();
    let (encoding, mark) = marked.unwrap_or_else(|| {
        let named = charset(content_type).and_then(|it| Encoding::for_label(it.as_bytes()));
        (named.unwrap_or(UTF_8), 0)
    });
    encoding.decode_without_bom_handling_and_without_replacement(body.get(mark..)?)
}

/// The parameter `charset` (RFC 9110, section 8.3.2), with or without quotes.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_charset = name.trim().eq_ignore_ascii_case("charset");
        is_charset.then(|| value.trim().trim_matches('"'))
    })
}

/// The type without its parameters, in small letters.
fn essence(content_type: &str) -> String {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839).
fn is_json(essence: &str) -> bool {
    essence == "application/json" || essence.ends_with("+json")
}

fn is_text(essence: &str) -> bool {
    let named = ["application/xml", "application/javascript", ""];
    is_json(essence)
        || essence.starts_with("text/")
        || essence.ends_with("+xml")
        || named.contains(&essence)
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
    fn what_is_not_text_of_its_charset_is_only_counted() {
        let cases: [(&str, &[u8]); 6] = [
            ("text/plain", b"Gr\xfcn"),
            ("text/plain; charset=utf-8", b"Gr\xfcn"),
            ("text/plain; charset=nobody-knows", b"Gr\xfcn"),
            ("text/plain; charset=shift_jis", b"\x82"),
            ("image/png", b"\xff\xfeA\0"),
            ("application/octet-stream", b"\x89PNG"),
        ];
        for (kind, body) in cases {
            let counted = serde_json::json!({ "bytes": body.len() });
            assert_eq!(read(kind, body), ("bytes", counted), "{kind}");
        }
    }

    #[test]
    fn the_header_names_the_charset_and_a_mark_knows_better() {
        let cases: [(&str, &[u8]); 9] = [
            ("text/plain", "Grün".as_bytes()),
            ("text/plain; charset=nobody-knows", "Grün".as_bytes()),
            ("text/plain; charset=ISO-8859-1", b"Gr\xfcn"),
            ("text/html;charset=\"windows-1252\"", b"Gr\xfcn"),
            ("text/plain; format=flowed; Charset=latin1", b"Gr\xfcn"),
            ("text/plain; charset=utf-16le", b"G\0r\0\xfc\0n\0"),
            ("text/plain; charset=latin1", "\u{feff}Grün".as_bytes()),
            ("", b"\xff\xfeG\0r\0\xfc\0n\0"),
            ("text/csv", b"\xfe\xff\0G\0r\0\xfc\0n"),
        ];
        for (kind, body) in cases {
            assert_eq!(read(kind, body), ("text", Value::from("Grün")), "{kind}");
        }
        let japanese = read("text/plain; charset=Shift_JIS", b"\x93\xfa\x96\x7b");
        assert_eq!(japanese, ("text", Value::from("日本")));
    }

    #[test]
    fn json_is_read_behind_a_mark_and_in_its_charset() {
        let wanted = ("json", serde_json::json!({ "a": "ü" }));
        let marked = "\u{feff}{\"a\": \"ü\"}".as_bytes();
        assert_eq!(read("application/json", marked), wanted);
        let latin1 = b"{\"a\": \"\xfc\"}";
        assert_eq!(read("application/json; charset=iso-8859-1", latin1), wanted);
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
