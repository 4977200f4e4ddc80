//! Decode limits for JSON from outside: checked on the text, before anything builds a tree of it.
//!
//! Size alone does not bound the cost: nesting overflows recursive readers, and a document of small
//! values costs far more memory than its text. So depth, number of values and length of a number are
//! bounded too (DOS-045). Everything accepted here parses with `serde_json`'s own recursion limit.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

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
    within("bytes", text.len(), limits.bytes)?;
    shape(text, limits)?;
    serde_json::from_str::<Readable>(text)
        .map(drop)
        .map_err(|error| JsonError::Syntax(error.to_string()))
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
            (quoted, escaped) = (escaped || byte != b'"', !escaped && byte == b'\\');
            continue;
        }
        number = if number_byte(byte) { number + 1 } else { 0 };
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => (depth, values) = (depth + 1, values + 1),
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' | b':' => values += 1,
            _ => {}
        }
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

/// A value that is read in full and kept nowhere. `IgnoredAny` reads less: half a surrogate pair and
/// a number beyond all doubles pass it, and nothing behind this check can read those.
struct Readable;

impl<'de> Deserialize<'de> for Readable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Readable {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self, A::Error> {
        while entries.next_entry::<Self, Self>()?.is_some() {}
        Ok(self)
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
}
