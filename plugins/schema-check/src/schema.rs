//! A JSON Schema against a value (JSON Schema 2020-12, or what `$schema` names), with patterns that
//! take linear time and no way to reach another document.

use boon::{Compiler, Schemas, UrlLoader, ValidationError};
use flowhost_sdk::{Error, Finding, Severity};
use serde_json::Value;

/// Most findings of one verdict; the first ones are enough to act on.
pub(crate) const FINDINGS_MAX: usize = 50;
/// Longest message of one finding, in bytes.
const MESSAGE_BYTES_MAX: usize = 512;
/// The schema's own name. No other one can be loaded.
const SCHEMA: &str = "flowhost:///schema.json";

/// What does not fit, in the order of the schema.
///
/// # Errors
/// [`Error::Invalid`] when the schema is none.
pub(crate) fn findings(schema: &Value, value: &Value) -> Result<Vec<Finding>, Error> {
    let invalid =
        |error: &dyn std::fmt::Display| Error::invalid(format_args!("the schema: {error:#}"));
    let mut compiler = Compiler::new();
    compiler.enable_format_assertions();
    compiler.use_loader(Box::new(NothingElse));
    compiler
        .add_resource(SCHEMA, schema.clone())
        .map_err(|error| invalid(&error))?;
    let mut schemas = Schemas::new();
    let index = compiler
        .compile(SCHEMA, &mut schemas)
        .map_err(|error| invalid(&error))?;
    let mut findings = Vec::new();
    if let Err(error) = schemas.validate(value, index) {
        collect(&error, &mut findings);
    }
    Ok(findings)
}

/// The errors that have no cause of their own, which are the places to look at.
fn collect(error: &ValidationError<'_, '_>, findings: &mut Vec<Finding>) {
    if findings.len() >= FINDINGS_MAX {
        return;
    }
    if error.causes.is_empty() {
        findings.push(Finding {
            severity: Severity::Error,
            code: "schema".to_owned(),
            message: shortened(error.kind.to_string()),
            pointer: error.instance_location.to_string(),
        });
    }
    for cause in &error.causes {
        collect(cause, findings);
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
