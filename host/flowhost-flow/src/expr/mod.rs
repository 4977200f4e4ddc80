//! `${{ … }}`: CEL expressions with a bounded cost, and JSON with expressions in it.

use serde::Serialize;
use serde_json::Value;

/// A compiled expression.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Expr {
    source: String,
}

/// JSON in which strings may hold expressions.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Template {
    source: Value,
}
