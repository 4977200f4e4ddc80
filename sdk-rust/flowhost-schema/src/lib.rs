//! A JSON Schema against a value (JSON Schema 2020-12, or what `$schema` names), for components that
//! have no entropy, no files and no network.
//!
//! Patterns take linear time, and there is no way to reach another document: a schema stands alone.
//! What a check may cost is bounded by the fuel of the plugin that makes it.
//!
//! # Examples
//!
//! ```
//! let schema = flowhost_schema::Schema::compile(&serde_json::json!({ "type": "integer" })).unwrap();
//! assert!(schema.violations(&serde_json::json!(1)).is_empty());
//! assert_eq!(schema.violations(&serde_json::json!("one")).len(), 1);
//! ```

#[cfg(target_arch = "wasm32")]
mod entropy;

use boon::{Compiler, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

/// Most violations of one check; the first ones are enough to act on.
pub const VIOLATIONS_MAX: usize = 50;
/// Longest message of one violation, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 512;
/// The schema's own name. No other one can be loaded.
const SCHEMA: &str = "flowhost:///schema.json";

/// The schema is none, or refers to another document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema: {0}")]
pub struct SchemaError(String);

/// One place that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 pointer into the value; empty for the whole.
    pub pointer: String,
    /// At most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

/// A schema that values can be checked against.
pub struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    /// Reads a schema. Formats are asserted.
    ///
    /// # Errors
    /// When it is none, or needs another document.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        let wrong = |error: &dyn std::fmt::Display| SchemaError(format!("{error:#}"));
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.use_loader(Box::new(NothingElse));
        compiler
            .add_resource(SCHEMA, schema.clone())
            .map_err(|error| wrong(&error))?;
        let mut schemas = Schemas::new();
        let index = compiler
            .compile(SCHEMA, &mut schemas)
            .map_err(|error| wrong(&error))?;
        Ok(Self { schemas, index })
    }

    /// What does not fit, in the order of the schema, at most [`VIOLATIONS_MAX`].
    #[must_use]
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        if let Err(error) = self.schemas.validate(value, self.index) {
            collect(&error, &mut found);
        }
        found
    }
}

/// The errors that have no cause of their own, which are the places to look at.
fn collect(error: &ValidationError<'_, '_>, found: &mut Vec<Violation>) {
    if found.len() >= VIOLATIONS_MAX {
        return;
    }
    if error.causes.is_empty() {
        found.push(Violation {
            pointer: error.instance_location.to_string(),
            message: shortened(error.kind.to_string()),
        });
    }
    for cause in &error.causes {
        collect(cause, found);
    }
}

fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    message
}

/// Loads nothing.
struct NothingElse;

impl UrlLoader for NothingElse {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("`{url}` is another document, and a schema stands alone").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_a_schema_that_is_none_or_refers_to_another_document() {
        for schema in [
            json!({ "type": "nonsense" }),
            json!({ "$ref": "https://example.org/schema.json" }),
        ] {
            assert!(Schema::compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn points_at_each_place_that_does_not_fit() {
        let schema = json!({ "properties": { "a": { "type": "integer" } }, "required": ["b"] });
        let schema = Schema::compile(&schema).expect("a schema");
        let found = schema.violations(&json!({ "a": "one" }));
        let places: Vec<&str> = found.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(places, ["", "/a"]);
        assert!(schema.violations(&json!({ "a": 1, "b": 2 })).is_empty());
    }

    #[test]
    fn a_thousand_faults_are_shown_up_to_a_bound() {
        let schema = Schema::compile(&json!({ "items": { "type": "string" } })).expect("a schema");
        assert_eq!(
            schema.violations(&json!(vec![1; 1_000])).len(),
            VIOLATIONS_MAX
        );
    }
}
