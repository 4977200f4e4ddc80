//! JSON Schemas of outputs: compiled once, offline, bounded.

use serde::Serialize;
use serde_json::Value;

/// A compiled schema.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct OutputSchema {
    source: Value,
}
