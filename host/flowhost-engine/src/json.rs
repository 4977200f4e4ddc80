//! JSON from outside: bounded on the text, before anything builds a tree of it, and read in one way only.
//!
//! Size alone does not bound the cost: nesting overflows recursive readers, and a document of small
//! values costs far more memory than its text. So depth, number of values and length of a number are
//! bounded too (DOS-045). A document in which a key stands twice says one thing to a reader that keeps
//! the first and another to one that keeps the last, so it is refused; and what was checked is handed
//! on as the canonical text of the value that was read, never as the text that came.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::text::neutralise;

mod plain;

/// Bounds of one JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Bytes of text.
    pub bytes: usize,
    /// Nesting of arrays and objects; 127 is what `serde_json` reads.
    pub depth: usize,
    /// Values and keys together.
    pub values: usize,
    /// Characters of one number.
    pub number: usize,
}

impl Default for JsonLimits {
    /// 16 MiB, depth 64, 200,000 values, numbers of 64 characters.
    fn default() -> Self {
        // As long as a payload of the ledger may be. Half the depth that can be read leaves the other half to
        // what a plan and an envelope put around a value; 200,000 values are some 20 MiB as a tree; no double
        // needs 64 characters.
        Self {
            bytes: 16 << 20,
            depth: 64,
            values: 200_000,
            number: 64,
        }
    }
}

/// Why a document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// One of the bounds.
    #[error("JSON over the limit: {what} {used}, allowed {allowed}")]
    Limit {
        /// `bytes`, `depth`, `values` or `number`.
        what: &'static str,
        /// What was found, at least.
        used: usize,
        /// The bound.
        allowed: usize,
    },
    /// Not JSON.
    #[error("not JSON: {0}")]
    Syntax(String),
    /// JSON that two readers can read in two ways.
    #[error("ambiguous JSON: {0}")]
    Twice(String),
}

/// Checks that `text` is one JSON document within `limits`.
///
/// # Errors
/// [`JsonError`], limits first.
///
/// # Examples
/// ```
/// use flowhost_engine::{JsonLimits, check_json};
/// assert!(check_json(r#"{"a":[1,2]}"#, &JsonLimits::default()).is_ok());
/// assert!(check_json(&"[".repeat(100_000), &JsonLimits::default()).is_err());
/// ```
pub fn check_json(text: &str, limits: &JsonLimits) -> Result<(), JsonError> {
    parse_json(text, limits).map(drop)
}

/// Reads one JSON document within `limits`.
///
/// # Errors
/// As [`check_json`].
///
/// # Examples
/// ```
/// use flowhost_engine::{JsonError, JsonLimits, parse_json};
/// let twice = parse_json(r#"{"do":"drop","do":"list"}"#, &JsonLimits::default());
/// assert!(matches!(twice, Err(JsonError::Twice(_))));
/// ```
pub fn parse_json(text: &str, limits: &JsonLimits) -> Result<Value, JsonError> {
    // First, because the pass over the bytes is itself a cost.
    within("bytes", text.len(), limits.bytes)?;
    shape(text, limits)?;
    let value = serde_json::from_str::<Unambiguous>(text).map_err(|error| {
        // A reader of any value has one complaint of its own; everything else is the parser's.
        if error.is_data() {
            JsonError::Twice(error.to_string())
        } else {
            JsonError::Syntax(error.to_string())
        }
    })?;
    Ok(value.0)
}

/// The canonical text of one JSON document within the default limits: sorted keys, no space, each
/// number and string in one notation. Whoever reads it reads what was checked.
///
/// # Errors
/// As [`check_json`].
///
/// # Examples
/// ```
/// assert_eq!(flowhost_engine::canonical_json(r#"{ "b": 1e2, "a": "\u0041" }"#).unwrap(), r#"{"a":"A","b":100.0}"#);
/// ```
pub fn canonical_json(text: &str) -> Result<String, JsonError> {
    let limits = JsonLimits::default();
    if plain::is_canonical(text, &limits) {
        return Ok(text.to_owned());
    }
    parse_json(text, &limits).map(|value| value.to_string())
}

fn within(what: &'static str, used: usize, allowed: usize) -> Result<(), JsonError> {
    if used > allowed {
        Err(JsonError::Limit {
            what,
            used,
            allowed,
        })
    } else {
        Ok(())
    }
}

/// One pass over the bytes that knows strings from structure and nothing else.
fn shape(text: &str, limits: &JsonLimits) -> Result<(), JsonError> {
    let (mut depth, mut values, mut number) = (0_usize, 0_usize, 0_usize);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text.bytes() {
        if quoted {
            // By bytes: no byte of a letter beyond ASCII is a quote or a backslash in UTF-8.
            (quoted, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        number = if number_byte(byte) { number + 1 } else { 0 };
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
            // More ends than beginnings are the parser's to complain of.
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
        // One comparison for the three in the loop over every byte; which it was is found out once.
        if depth > limits.depth || values > limits.values || number > limits.number {
            within("depth", depth, limits.depth)?;
            within("values", values, limits.values)?;
            within("number", number, limits.number)?;
        }
    }
    Ok(())
}

fn number_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E')
}

/// Characters of a key that an error shows: a guest chooses the key, and an error is a line of a log.
const KEY_CHARS: usize = 64;

/// A value none of whose objects holds a key twice: `serde_json` alone keeps the last and says nothing.
struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Unambiguous;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Unambiguous, E> {
        Ok(Unambiguous(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unambiguous, E> {
        Ok(Unambiguous(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Unambiguous, E> {
        let number =
            Number::from_f64(value).ok_or_else(|| E::custom("a number without a value"))?;
        Ok(Unambiguous(Value::Number(number)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Unambiguous, E> {
        Ok(Unambiguous(value.into()))
    }

    fn visit_string<E>(self, value: String) -> Result<Unambiguous, E> {
        Ok(Unambiguous(Value::String(value)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unambiguous, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Unambiguous(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Unambiguous, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if map.contains_key(&key) {
                let key = neutralise(&key, KEY_CHARS);
                return Err(A::Error::custom(format_args!(
                    "the key `{key}` stands twice in one object"
                )));
            }
            let Unambiguous(value) = entries.next_value()?;
            map.insert(key, value);
        }
        Ok(Unambiguous(Value::Object(map)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> &'static str {
        match check_json(text, &JsonLimits::default()) {
            Err(JsonError::Limit { what, .. }) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dos_045_refuses_a_hundred_thousand_levels() {
        assert_eq!(refused(&"[".repeat(100_000)), "depth");
        assert_eq!(refused(&"{\"a\":".repeat(100_000)), "depth");
    }

    #[test]
    fn dos_045_refuses_a_million_keys_and_an_endless_number() {
        assert_eq!(
            refused(&format!("{{{}}}", "\"k\":1,".repeat(1_000_000))),
            "values"
        );
        assert_eq!(refused(&"9".repeat(1_000)), "number");
        assert_eq!(refused(&format!("\"{}\"", "x".repeat(17 << 20))), "bytes");
    }

    #[test]
    fn refuses_what_is_not_one_document() {
        for text in ["", "{", "nul", "1 2", "{'a':1}", "\u{feff}1", "[1,]"] {
            let error = check_json(text, &JsonLimits::default()).unwrap_err();
            assert!(matches!(error, JsonError::Syntax(_)), "{text}: {error}");
        }
    }

    #[test]
    fn refuses_what_no_reader_behind_it_can_read() {
        for text in [r#""\ud800""#, r#"{"\udc00x":1}"#, "[1e400]", "-1e999"] {
            let error = check_json(text, &JsonLimits::default()).unwrap_err();
            assert!(matches!(error, JsonError::Syntax(_)), "{text}: {error}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err());
        }
    }

    #[test]
    fn counts_nothing_inside_strings() {
        let text = serde_json::to_string(&"[{\"\\,:9".repeat(100_000)).unwrap();
        assert_eq!(check_json(&text, &JsonLimits::default()), Ok(()));
    }

    #[test]
    fn what_passes_also_parses() {
        let deep = format!("{}1{}", "[".repeat(64), "]".repeat(64));
        assert_eq!(check_json(&deep, &JsonLimits::default()), Ok(()));
        assert!(serde_json::from_str::<serde_json::Value>(&deep).is_ok());
    }

    #[test]
    fn refuses_a_key_that_stands_twice_however_it_is_written_and_wherever() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":1}"#,
            r#"[{"x":{"b":1,"c":2,"b":null}}]"#,
            r#"{"":1,"":1}"#,
        ] {
            let error = check_json(text, &JsonLimits::default()).unwrap_err();
            assert!(matches!(error, JsonError::Twice(_)), "{text}: {error}");
        }
        let apart = r#"{"a":{"a":1},"A":1,"b":[{"a":1},{"a":1}]}"#;
        assert_eq!(check_json(apart, &JsonLimits::default()), Ok(()));
    }

    #[test]
    fn the_canonical_text_is_what_was_read_and_stays_itself() {
        let canonical =
            canonical_json("{ \"b\": [1e2, 1.00000000000000000001],\n\"a\": \"\\u0041\" }");
        let canonical = canonical.unwrap();
        assert_eq!(canonical, r#"{"a":"A","b":[100.0,1.0]}"#);
        assert_eq!(canonical_json(&canonical).as_ref(), Ok(&canonical));
    }
}
