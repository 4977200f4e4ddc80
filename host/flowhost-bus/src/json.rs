//! Which JSON an envelope may carry: what has exactly one canonical form (RFC 8785, I-JSON).
//!
//! RFC 8785 writes every number as a double, so two integers beyond 2^53 can share their canonical
//! bytes, and with them a hash. Such numbers are refused rather than confused.

use serde_json::{Number, Value};

use crate::envelope::EnvelopeError;

/// Largest magnitude of an integer: 2^53 − 1, the largest that a double tells from its neighbours.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Deepest nesting of arrays and objects: `serde_json` reads 127 levels, and an envelope on the wire puts two
/// around its payload. A deeper one could be sealed and recorded, and never be read again.
pub const DEPTH_MAX: usize = 125;

/// How a value is brought into its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is written anyway: its maps are sorted by bytes, which for ASCII keys is the canonical
    /// order, and it holds no number whose notation is a matter of taste.
    Plain,
    /// By the rules for keys and doubles.
    Ruled,
}

/// What a look at a value has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) form: Form,
    /// About the length of its text: escapes and signs of numbers are not looked for.
    pub(crate) bytes: usize,
}

/// Checks that `value`, which stands `depth` levels deep in its payload, has one canonical form, and says how
/// to get it.
pub(crate) fn check(value: &Value, depth: usize) -> Result<Checked, EnvelopeError> {
    let mut found = Checked {
        form: Form::Plain,
        bytes: 0,
    };
    look(value, depth, &mut found)?;
    Ok(found)
}

/// Calls itself for what is inside, which [`DEPTH_MAX`] bounds: most payloads are small and flat, and a list of
/// what is still to be seen would be all the memory that a look needs.
fn look(value: &Value, depth: usize, found: &mut Checked) -> Result<(), EnvelopeError> {
    if depth > DEPTH_MAX {
        return Err(EnvelopeError::Depth { allowed: DEPTH_MAX });
    }
    match value {
        // Each as the longest of its kind in common use, since the sum is held against a bound.
        Value::Null | Value::Bool(_) => found.bytes += 5,
        Value::String(text) => found.bytes += text.len() + 2,
        Value::Number(number) => {
            check_number(number)?;
            found.bytes += 8;
            // 1e2, 100.0 and 100 are one double, of which RFC 8785 writes one form alone.
            if number.is_f64() {
                found.form = Form::Ruled;
            }
        }
        Value::Array(items) => {
            found.bytes += items.len() + 2;
            for item in items {
                look(item, depth + 1, found)?;
            }
        }
        Value::Object(fields) => {
            found.bytes += 2;
            for (key, item) in fields {
                // The rule sorts by UTF-16 units, a map by bytes: beyond ASCII the orders differ.
                if !key.is_ascii() {
                    found.form = Form::Ruled;
                }
                found.bytes += key.len() + 4;
                look(item, depth + 1, found)?;
            }
        }
    }
    Ok(())
}

/// The text of `value` whose hash is the hash of the value: what a message carries, because a tree of
/// many small objects takes up to a hundred times the memory of its text.
///
/// # Errors
/// As [`crate::Head::seal`], for a value without a canonical form.
///
/// # Examples
///
/// ```
/// let value = serde_json::json!({ "b": 1.0, "a": [true] });
/// assert_eq!(flowhost_bus::canonical_text(&value)?, r#"{"a":[true],"b":1}"#);
/// # Ok::<(), flowhost_bus::EnvelopeError>(())
/// ```
pub fn canonical_text(value: &Value) -> Result<String, EnvelopeError> {
    let text = match check(value, 0)?.form {
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
