//! Which schemas mean the same in every draft of JSON Schema that we read, so that the draft may be chosen.
//!
//! A schema is held against that of its draft, which is compiled at the first one of a process. For the newest that takes two
//! milliseconds, most of what a schema costs the start of a small run; for draft 7 a third, because its schema is one document
//! without references that depend on where they are followed from. What most tools write down is the same in both.

use serde_json::Value;

/// What may be nested: the bound of what is looked through here, and no bound of a schema.
const DEPTH_MAX: usize = 32;

/// Whether `schema` has nothing but keywords that draft 7 and draft 2020-12 read, and allow, alike. Not among them are what
/// names a draft, references and what they refer to, `format` (which one checks and the other notes), and `pattern`.
pub(crate) fn is_plain(schema: &Value) -> bool {
    plain_at(schema, DEPTH_MAX)
}

fn plain_at(schema: &Value, left: usize) -> bool {
    let Some(left) = left.checked_sub(1) else {
        return false;
    };
    match schema {
        Value::Bool(_) => true,
        Value::Object(members) => {
            let mut members = members.iter();
            members.all(|(key, member)| keyword(key, member, left))
        }
        _ => false,
    }
}

fn keyword(key: &str, member: &Value, left: usize) -> bool {
    match key {
        "type" | "title" | "description" | "default" | "examples" | "enum" | "const"
        | "required" | "minItems" | "maxItems" | "uniqueItems" | "minLength" | "maxLength"
        | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf"
        | "minProperties" | "maxProperties" => true,
        "additionalProperties" | "items" | "not" => plain_at(member, left),
        "properties" => member
            .as_object()
            .is_some_and(|all| all.values().all(|it| plain_at(it, left))),
        "anyOf" | "oneOf" | "allOf" => member
            .as_array()
            .is_some_and(|all| all.iter().all(|it| plain_at(it, left))),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::Draft;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_drafts_read_differently_is_not_plain() {
        for schema in [
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": true } }),
            json!({ "format": "email" }),
            json!({ "items": [true, false] }),
            json!({ "prefixItems": [true] }),
            json!({ "properties": { "a": { "unevaluatedProperties": false } } }),
            json!({ "anyOf": [{ "pattern": "^a" }] }),
            json!({ "x-own": 1 }),
            json!("object"),
        ] {
            assert!(!is_plain(&schema), "{schema}");
        }
        let deep = (0..DEPTH_MAX).fold(json!(true), |inner, _| json!({ "not": inner }));
        assert!(!is_plain(&deep));
    }

    #[test]
    fn what_is_plain_is_the_same_in_both_drafts() {
        let schemas = [
            json!({ "type": "object" }),
            json!({ "type": "object", "required": ["a"], "additionalProperties": false, "minProperties": 1, "maxProperties": 2,
                "properties": { "a": { "type": ["integer", "null"], "minimum": 1, "exclusiveMaximum": 3, "multipleOf": 1 },
                    "$ref": { "title": "no reference", "type": "string", "minLength": 1, "maxLength": 2 } } }),
            json!({ "type": "array", "items": { "enum": [1, "b"] }, "minItems": 1, "maxItems": 2, "uniqueItems": true }),
            json!({ "anyOf": [{ "const": {} }, { "not": { "type": "object" } }], "default": 1, "examples": [1], "description": "d" }),
            json!({ "oneOf": [{ "type": "number" }, { "allOf": [{ "type": "integer" }, true] }], "items": false }),
        ];
        let values = [
            json!(null),
            json!(1),
            json!(1.0),
            json!(2.5),
            json!("b"),
            json!([]),
            json!([1]),
            json!([1, 1]),
            json!([1, "b", 2]),
            json!({}),
            json!({ "a": 1 }),
            json!({ "a": 3, "$ref": "" }),
            json!({ "a": null, "$ref": "ab" }),
            json!({ "a": 1, "b": 2, "$ref": "abc" }),
        ];
        for schema in schemas {
            assert!(is_plain(&schema), "{schema}");
            let of = |draft| {
                let options = jsonschema::options().with_draft(draft);
                options.build(&schema).unwrap()
            };
            let (old, new) = (of(Draft::Draft7), of(Draft::Draft202012));
            for value in &values {
                let said = |validator: &jsonschema::Validator| -> Vec<String> {
                    let errors = validator.iter_errors(value);
                    errors.map(|error| error.to_string()).collect()
                };
                assert_eq!(said(&old), said(&new), "{schema} of {value}");
            }
        }
    }
}
