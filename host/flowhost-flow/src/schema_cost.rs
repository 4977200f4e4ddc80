//! What checking a value against a schema can cost, from the schema alone.
//!
//! A validator has no clock: forty definitions that each name the next one twice are a trillion
//! checks. So references are followed here first, with a count, and one that comes back is refused.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Parts of a schema on all ways through its references: those that people write have some hundred.
const PARTS_MAX: u64 = 20_000;
/// Depth on one such way: the validator recurses over it.
const DEPTH_MAX: usize = 128;

/// Why a schema may cost more than its size says, if it may.
pub(crate) fn too_costly(schema: &Value) -> Option<String> {
    let mut cost = Cost {
        root: schema,
        known: BTreeMap::new(),
        open: BTreeSet::new(),
    };
    match cost.of(schema, 0) {
        Err(message) => Some(message),
        Ok(parts) if parts > PARTS_MAX => Some(format!(
            "followed through its references the schema has more than {PARTS_MAX} parts"
        )),
        Ok(_) => None,
    }
}

struct Cost<'a> {
    root: &'a Value,
    known: BTreeMap<&'a str, u64>,
    open: BTreeSet<&'a str>,
}

impl<'a> Cost<'a> {
    /// Every member counts, a property named like a keyword too: too strict is safe here.
    fn of(&mut self, part: &'a Value, depth: usize) -> Result<u64, String> {
        if depth > DEPTH_MAX {
            return Err(format!(
                "the schema is more than {DEPTH_MAX} levels deep, references followed"
            ));
        }
        let mut parts = 1_u64;
        match part {
            Value::Object(members) => {
                for (key, member) in members {
                    let more = match (key.as_str(), member.as_str()) {
                        ("$ref", Some(reference)) => self.follow(reference, depth)?,
                        ("$dynamicRef" | "$recursiveRef", Some(_)) => {
                            return Err(format!("`{key}` is not followed; write `$ref`"));
                        }
                        ("$id", Some(_)) if depth > 0 => {
                            return Err("`$id` stands only at the top".to_owned());
                        }
                        ("$schema", Some(draft)) if draft.contains("draft-04") => {
                            return Err("draft 4 is not read; write a newer one".to_owned());
                        }
                        _ => self.of(member, depth + 1)?,
                    };
                    parts = parts.saturating_add(more);
                }
            }
            Value::Array(items) => {
                for item in items {
                    parts = parts.saturating_add(self.of(item, depth + 1)?);
                }
            }
            _ => {}
        }
        Ok(parts)
    }

    fn follow(&mut self, reference: &'a str, depth: usize) -> Result<u64, String> {
        if let Some(known) = self.known.get(reference) {
            return Ok(*known);
        }
        let pointer = reference.strip_prefix('#').filter(|it| !it.contains('%'));
        let target = pointer
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| format!("`$ref: {reference}` names nothing; write `#/$defs/NAME`"))?;
        if !self.open.insert(reference) {
            return Err(format!("`$ref: {reference}` comes back to itself"));
        }
        let parts = self.of(target, depth + 1)?;
        self.open.remove(reference);
        self.known.insert(reference, parts);
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn doubling(levels: usize) -> Value {
        let mut defs = Map::new();
        for level in 0..levels {
            let next = json!({ "$ref": format!("#/$defs/d{}", level + 1) });
            defs.insert(format!("d{level}"), json!({ "anyOf": [next, next] }));
        }
        defs.insert(format!("d{levels}"), json!({ "type": "integer" }));
        json!({ "$defs": defs, "properties": { "const": { "$ref": "#/$defs/d0" } } })
    }

    #[test]
    fn mcp_007_refuses_a_schema_that_doubles_at_each_reference() {
        assert!(too_costly(&doubling(40)).unwrap().contains("20000 parts"));
        assert_eq!(too_costly(&doubling(5)), None);
    }

    #[test]
    fn mcp_007_refuses_references_that_come_back_or_lead_nowhere() {
        for schema in [
            json!({ "$ref": "#" }),
            json!({ "properties": { "x": { "items": { "$ref": "#/properties/x" } } } }),
            json!({ "$ref": "#/$defs/none" }),
            json!({ "$ref": "#name", "$defs": { "a": { "$anchor": "name" } } }),
            json!({ "$ref": "#/%24defs/a", "$defs": { "a": {} } }),
            json!({ "$dynamicRef": "#x" }),
            json!({ "items": { "$id": "urn:x", "$ref": "#/$defs/a" }, "$defs": { "a": {} } }),
            json!({ "$schema": "http://json-schema.org/draft-04/schema#" }),
        ] {
            assert!(too_costly(&schema).is_some(), "{schema}");
        }
    }

    #[test]
    fn mcp_007_refuses_a_chain_that_is_too_long_without_following_all_of_it() {
        let mut defs = Map::new();
        for level in 0..5_000 {
            let next = format!("#/$defs/d{}", level + 1);
            defs.insert(format!("d{level}"), json!({ "$ref": next }));
        }
        let chain = json!({ "$ref": "#/$defs/d0", "$defs": defs });
        assert!(too_costly(&chain).unwrap().contains("levels deep"));
    }

    #[test]
    fn lets_references_through_that_are_used_twice() {
        let schema = json!({
            "$id": "urn:x", "$defs": { "a": { "type": "string" } }, "default": { "id": "x" },
            "properties": { "l": { "$ref": "#/$defs/a" }, "r": { "$ref": "#/$defs/a" } },
        });
        assert_eq!(too_costly(&schema), None);
    }
}
