//! Which JSON an envelope may carry: what has exactly one canonical form (RFC 8785, I-JSON).
//!
//! RFC 8785 writes every number as a double, so two integers beyond 2^53 can share their canonical
//! bytes, and with them a hash. Such numbers are refused rather than confused.

use serde_json::{Number, Value};

use crate::envelope::EnvelopeError;

/// Largest magnitude of an integer: 2^53 − 1, the largest that a double tells from its neighbours.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Deepest nesting of arrays and objects. Deeper values are refused, because canonicalising them
/// costs a buffer for each level.
pub const DEPTH_MAX: usize = 160;

/// How a value is brought into its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is written anyway: its maps are sorted by bytes, which for ASCII keys is the canonical
    /// order, and it holds no number whose notation is a matter of taste.
    Plain,
    /// By the rules for keys and doubles.
    Ruled,
}

/// Checks that `value` has one canonical form, and says how to get it.
pub(crate) fn check(value: &Value) -> Result<Form, EnvelopeError> {
    let mut form = Form::Plain;
    let mut open = vec![(value, 0_usize)];
    while let Some((value, depth)) = open.pop() {
        if depth > DEPTH_MAX {
            return Err(EnvelopeError::Depth { allowed: DEPTH_MAX });
        }
        match value {
            Value::Number(number) => {
                check_number(number)?;
                if number.is_f64() {
                    form = Form::Ruled;
                }
            }
            Value::Array(items) => open.extend(items.iter().map(|item| (item, depth + 1))),
            Value::Object(fields) => {
                if !fields.keys().all(|key| key.is_ascii()) {
                    form = Form::Ruled;
                }
                open.extend(fields.values().map(|item| (item, depth + 1)));
            }
            Value::Null | Value::Bool(_) | Value::String(_) => {}
        }
    }
    Ok(form)
}

/// The text of `value` whose hash is the hash of the value: what a message carries, because a tree of
/// many small objects takes up to a hundred times the memory of its text.
///
/// # Errors
/// As [`crate::Draft::seal`], for a value without a canonical form.
///
/// # Examples
///
/// ```
/// let value = serde_json::json!({ "b": 1.0, "a": [true] });
/// assert_eq!(flowhost_bus::canonical_text(&value)?, r#"{"a":[true],"b":1}"#);
/// # Ok::<(), flowhost_bus::EnvelopeError>(())
/// ```
pub fn canonical_text(value: &Value) -> Result<String, EnvelopeError> {
    let text = match check(value)? {
        Form::Plain => serde_json::to_string(value),
        Form::Ruled => serde_json_canonicalizer::to_string(value),
    };
    text.map_err(|error| EnvelopeError::Malformed(error.to_string()))
}

fn check_number(number: &Number) -> Result<(), EnvelopeError> {
    let magnitude = match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => integer.unsigned_abs(),
        (None, Some(integer)) => integer,
        (None, None) => return Ok(()),
    };
    if magnitude > INTEGER_MAX {
        return Err(EnvelopeError::Number(number.to_string()));
    }
    Ok(())
}
