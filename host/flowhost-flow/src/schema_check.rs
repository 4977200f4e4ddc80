//! JSON Schemas of outputs and of tools' inputs: compiled once, offline, bounded.
//!
//! A schema is input from the plan's author and its subject comes from a plugin: no reference leaves
//! the document or comes back to itself, and patterns run on an engine that takes linear time.

use std::fmt;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Bytes of a schema as JSON.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Violations that a message names; more say nothing new.
const VIOLATIONS_SHOWN: usize = 3;

/// A compiled schema.
#[derive(Clone)]
pub struct OutputSchema {
    source: Arc<Value>,
    validator: Arc<Validator>,
}

impl OutputSchema {
    /// Compiles a schema (draft 2020-12 unless it says otherwise). The one way to a validator: it
    /// bounds what a check can cost, for schemas of plans and of plugins alike.
    ///
    /// # Errors
    /// What is wrong with the schema, in one line.
    pub fn compile(source: Value) -> Result<Self, String> {
        let size = source.to_string().len();
        if size > SCHEMA_BYTES_MAX {
            return Err(format!(
                "the schema has {size} bytes; {SCHEMA_BYTES_MAX} are allowed"
            ));
        }
        if !matches!(source, Value::Object(_) | Value::Bool(_)) {
            return Err("a JSON Schema is an object".to_owned());
        }
        if let Some(reference) = outside_reference(&source) {
            return Err(format!(
                "`$ref: {reference}` leaves the document; only `#…` is followed"
            ));
        }
        if let Some(message) = crate::schema_cost::too_costly(&source) {
            return Err(message);
        }
        let validator = jsonschema::options()
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
            .build(&source)
            .map_err(|error| format!("the schema is not valid: {error}"))?;
        Ok(Self {
            source: Arc::new(source),
            validator: Arc::new(validator),
        })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn source(&self) -> Arc<Value> {
        Arc::clone(&self.source)
    }

    /// What is wrong with `value`, in one line that shows none of it, or nothing.
    #[must_use]
    pub fn violations(&self, value: &Value) -> Option<String> {
        let mut errors = self.validator.iter_errors(value);
        let shown: Vec<String> = errors
            .by_ref()
            .take(VIOLATIONS_SHOWN)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() {
                    "/".to_owned()
                } else {
                    place
                };
                format!("at `{place}`: {}", error.masked())
            })
            .collect();
        if shown.is_empty() {
            return None;
        }
        let more = if errors.next().is_some() {
            " and more"
        } else {
            ""
        };
        Some(format!("{}{more}", shown.join("; ")))
    }
}

fn outside_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            let names = matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
            match member.as_str() {
                Some(reference) if names && !reference.starts_with('#') => Some(reference),
                _ => outside_reference(member),
            }
        }),
        Value::Array(items) => items.iter().find_map(outside_reference),
        _ => None,
    }
}

impl fmt::Debug for OutputSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputSchema({})", self.source)
    }
}

impl Serialize for OutputSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_a_schema_that_leaves_the_document() {
        for reference in [
            "https://example.com/s.json",
            "file:///etc/passwd",
            "other.json#/a",
        ] {
            let error = OutputSchema::compile(json!({ "items": { "$ref": reference } }));
            assert!(
                error.unwrap_err().contains("leaves the document"),
                "{reference}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_a_schema() {
        assert!(OutputSchema::compile(json!([])).is_err());
        assert!(OutputSchema::compile(json!({ "type": "strin" })).is_err());
        assert!(OutputSchema::compile(json!({ "pattern": "(" })).is_err());
    }

    #[test]
    fn says_where_a_value_differs_without_showing_it() {
        let schema = json!({
            "properties": { "n": { "type": "integer" } }, "required": ["n", "m"],
            "$defs": { "x": {} }, "additionalProperties": { "$ref": "#/$defs/x" },
        });
        let schema = OutputSchema::compile(schema).unwrap();
        let violations = schema.violations(&json!({ "n": "secret" })).unwrap();
        assert!(violations.contains("at `/n`"), "{violations}");
        assert!(!violations.contains("secret"), "{violations}");
        assert_eq!(schema.violations(&json!({ "n": 1, "m": 2 })), None);
    }
}
