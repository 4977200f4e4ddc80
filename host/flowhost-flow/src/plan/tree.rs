//! The YAML file as a tree in which every node knows its place.
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::problem::At;

/// A part of the plan that another crate reads, with the places of its values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Raw {
    /// The value.
    pub value: Value,
    /// Places by JSON pointer (RFC 6901), the root's at `""`. A key's place is that of its value's key.
    #[serde(skip)]
    pub places: BTreeMap<String, At>,
}
