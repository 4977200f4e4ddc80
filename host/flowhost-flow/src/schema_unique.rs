//! `uniqueItems`, in time that follows from the size of the list.
//!
//! The validator's own hash of an item does not see how lists are nested, nor `false` from `0`: fifty thousand
//! items that differ in that alone are compared each with each, for minutes. Here an item is written so that
//! equal values, and no others, are written alike, and what was written is looked up by a hash that nobody can
//! steer. Must say of every list what the validator would have said in the end.

use std::collections::HashSet;

use jsonschema::paths::Location;
use jsonschema::{Keyword, ValidationError};
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};

/// Takes the place of the validator's own keyword.
pub(crate) fn keyword<'a>(
    _siblings: &'a Map<String, Value>,
    wanted: &'a Value,
    _place: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let wanted = wanted == &Value::Bool(true);
    Ok(Box::new(Unique { wanted }))
}

struct Unique {
    wanted: bool,
}

impl<'i> Keyword<'i> for Unique {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        match self.is_valid(instance) {
            true => Ok(()),
            false => Err(ValidationError::custom("value has non-unique elements")),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        let Value::Array(items) = instance else {
            return true;
        };
        !self.wanted || are_unique(items)
    }
}

fn are_unique(items: &[Value]) -> bool {
    let mut seen = HashSet::with_capacity(items.len());
    let mut written = Vec::new();
    items.iter().all(|item| {
        written.clear();
        write(item, &mut written);
        // As long as a hash whatever the item holds, so that all of them together take no second copy of the list.
        seen.insert(<[u8; 32]>::from(Sha256::digest(&written)))
    })
}

/// Writes a value so that only equal ones are written alike: each part says what it is and how long.
fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(false) => out.push(b'f'),
        Value::Bool(true) => out.push(b't'),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => {
            out.push(b's');
            write_text(text, out);
        }
        Value::Array(items) => {
            out.push(b'a');
            out.extend_from_slice(&items.len().to_le_bytes());
            items.iter().for_each(|item| write(item, out));
        }
        Value::Object(members) => {
            out.push(b'o');
            out.extend_from_slice(&members.len().to_le_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| name.as_str());
            for (name, member) in members {
                write_text(name, out);
                write(member, out);
            }
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&text.len().to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// `1` and `1.0` are one number in JSON Schema, and so are `0` and `-0.0`.
fn write_number(number: &Number, out: &mut Vec<u8>) {
    let whole = match (number.as_u64(), number.as_i64(), number.as_f64()) {
        (Some(whole), _, _) => Some(i128::from(whole)),
        (None, Some(whole), _) => Some(i128::from(whole)),
        (None, None, Some(double)) => whole_of(double),
        (None, None, None) => None,
    };
    match whole {
        Some(whole) => {
            out.push(b'i');
            out.extend_from_slice(&whole.to_le_bytes());
        }
        None => {
            out.push(b'd');
            let bits = number.as_f64().map(f64::to_bits).unwrap_or_default();
            out.extend_from_slice(&bits.to_le_bytes());
        }
    }
}

/// The integer that a double is, where an integer of JSON could be the same one.
fn whole_of(double: f64) -> Option<i128> {
    /// 2^64: integers of JSON documents lie below it here.
    const ABOVE: f64 = 18_446_744_073_709_551_616.0;
    (double.fract() == 0.0 && double.abs() < ABOVE).then_some(double as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unique(items: &Value) -> bool {
        are_unique(items.as_array().unwrap())
    }

    #[test]
    fn equal_values_are_equal_however_they_are_written_and_others_are_not() {
        for same in [
            json!([1, 1.0]),
            json!([0, -0.0]),
            json!([{"a": 1, "b": 2}, {"b": 2.0, "a": 1}]),
            json!([[1, [2]], [1, [2]]]),
            json!([1e300, 1e300]),
            json!(["", ""]),
        ] {
            assert!(!unique(&same), "{same}");
        }
        for different in [
            json!([[[1], 2], [1, [2]], [1, 2], [[1, 2]], [[], 1, 2]]),
            json!([false, 0, null, "", [], {}]),
            json!([true, 1, "1", [1], 5e-324]),
            json!([u64::MAX, u64::MAX - 1, 18_446_744_073_709_551_616.0]),
            json!([i64::MIN, i64::MIN + 1]),
            json!([{"a": "b"}, {"ab": ""}, {"a": ["b"]}]),
            json!(["ab", "a", "b"]),
        ] {
            assert!(unique(&different), "{different}");
        }
    }
}
