//! A schema's violations as the findings of a verdict.

use flowhost_schema::{Schema, Violation};
use flowhost_sdk::{Error, Finding, Severity};
use serde_json::Value;

/// What does not fit, in the order of the schema.
///
/// # Errors
/// [`Error::Invalid`] when the schema is none.
pub(crate) fn findings(schema: &Value, value: &Value) -> Result<Vec<Finding>, Error> {
    let schema = Schema::compile(schema).map_err(Error::invalid)?;
    let violations = schema.violations(value).into_iter();
    Ok(violations.map(finding).collect())
}

fn finding(violation: Violation) -> Finding {
    Finding {
        severity: Severity::Error,
        code: "schema".to_owned(),
        message: violation.message,
        pointer: violation.pointer,
    }
}
