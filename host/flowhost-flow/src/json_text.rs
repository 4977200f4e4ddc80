//! JSON that people write for a plan: inputs of the command line, schema files.
//!
//! A key that stands twice says one thing to whoever wrote it and another to a reader that keeps the last;
//! a whole number beyond 2^53 loses digits on the way to plugins. YAML's are refused for both, and so are
//! these. (`flowhost_engine` has bounds of its own for JSON that comes out of guests.)

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::units::INTEGER_MAX;

/// Reads one JSON document.
///
/// # Errors
/// What is wrong with it, with line and column where they are known.
///
/// # Examples
/// ```
/// use flowhost_flow::parse_json_text;
///
/// assert_eq!(parse_json_text("[1, 2.5]").unwrap(), serde_json::json!([1, 2.5]));
/// assert!(parse_json_text(r#"{"a": 1, "a": 2}"#).unwrap_err().to_string().contains("`a`"));
/// assert!(parse_json_text("9007199254740993").is_err());
/// ```
pub fn parse_json_text(text: &str) -> Result<Value, serde_json::Error> {
    parse(text, Numbers::Kept)
}

/// As [`parse_json_text`], with whatever numbers: a schema may say `maximum: 18446744073709551615`.
///
/// # Errors
/// As [`parse_json_text`].
pub fn parse_json_schema(text: &str) -> Result<Value, serde_json::Error> {
    parse(text, Numbers::Any)
}

fn parse(text: &str, numbers: Numbers) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict(numbers).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Which numbers are taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// Those that every reader of JSON keeps.
    Kept,
    Any,
}

#[derive(Clone, Copy)]
struct Strict(Numbers);

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// A number as JSON readers hand it over: the largest whole number that all of them keep is 2^53 − 1.
fn kept<E: Error>(
    numbers: Numbers,
    whole: bool,
    size: f64,
    number: Option<Number>,
) -> Result<Value, E> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "2^53 - 1 is the largest integer that has no loss"
    )]
    let max = INTEGER_MAX as f64;
    if numbers == Numbers::Kept && whole && size > max {
        return Err(E::custom(
            "whole numbers beyond 2^53 lose digits on the way to plugins; as a text it keeps them",
        ));
    }
    number
        .map(Value::Number)
        .ok_or_else(|| E::custom("the number is not finite"))
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "only its size is asked")]
        let size = value.unsigned_abs() as f64;
        kept(self.0, true, size, Some(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        #[expect(clippy::cast_precision_loss, reason = "only its size is asked")]
        let size = value as f64;
        kept(self.0, true, size, Some(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        // A double of this size is whole, whether it was written with an exponent or in digits that no
        // integer type holds: both lose what comes after the sixteenth.
        kept(
            self.0,
            value.fract() == 0.0,
            value.abs(),
            Number::from_f64(value),
        )
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` is given twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_key_given_twice_however_it_is_written_and_wherever() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"[{"b":{"a":1,"a":2}}]"#,
        ] {
            let error = parse_json_text(text).unwrap_err().to_string();
            assert!(
                error.contains("the key `a` is given twice at line 1"),
                "{error}"
            );
        }
        assert!(parse_json_text(r#"[{"a":1},{"a":2}]"#).is_ok());
    }

    #[test]
    fn refuses_whole_numbers_that_lose_digits_and_keeps_the_others() {
        for text in [
            "9007199254740992",
            "-9007199254740992",
            "18446744073709551616",
            "[1e22]",
        ] {
            assert!(parse_json_text(text).is_err(), "{text}");
        }
        for text in [
            "9007199254740991",
            "-9007199254740991",
            "0.1",
            "1e3",
            "-2.5",
        ] {
            let expected: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse_json_text(text).unwrap(), expected, "{text}");
        }
        assert!(parse_json_schema("18446744073709551615").is_ok());
        assert!(parse_json_schema(r#"{"a":1,"a":2}"#).is_err());
        assert!(parse_json_text("1e400").is_err());
        assert!(parse_json_text("1 2").is_err());
    }
}
