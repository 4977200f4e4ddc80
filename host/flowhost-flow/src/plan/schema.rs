//! The JSON Schema of the plan file, made from the tables that the parser obeys.

use serde_json::{Map, Value, json};

use crate::plan::keys::{KINDS, NODE_TYPES, Section, Shape};

/// JSON Schema (2020-12) of the plan file, for editors and `flowhost plan schema`.
///
/// # Examples
/// ```
/// let schema = flowhost_flow::plan_schema();
/// assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
/// ```
#[must_use]
pub fn plan_schema() -> Value {
    let mut definitions = Map::new();
    let plan = chosen("kind", &KINDS, &mut definitions);
    definitions.insert("plan_of_any_kind".to_owned(), plan);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flowhost plan, v1",
        "$ref": "#/$defs/plan_of_any_kind",
        "$defs": definitions,
    })
}

/// A map whose member `key` says which of the sections it is. As `if` and `then`, because an editor
/// then speaks of the section that was meant, and not of all of them.
fn chosen(
    key: &str,
    sections: &'static [(&'static str, &'static Section)],
    definitions: &mut Map<String, Value>,
) -> Value {
    let words: Vec<&str> = sections.iter().map(|(word, _)| *word).collect();
    let mut cases = Vec::new();
    for (word, section) in sections {
        define(section, definitions);
        cases.push(json!({
            "if": { "properties": { key: { "const": word } }, "required": [key] },
            "then": reference(section.name),
        }));
    }
    json!({
        "type": "object",
        "properties": { key: { "enum": words } },
        "required": [key],
        "allOf": cases,
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{}", definition(name)) })
}

fn definition(name: &str) -> String {
    name.replace(' ', "_")
}

fn define(section: &'static Section, definitions: &mut Map<String, Value>) {
    if definitions.contains_key(&definition(section.name)) {
        return;
    }
    definitions.insert(definition(section.name), Value::Null);
    let mut properties = Map::new();
    for key in section.all() {
        let mut schema = schema_of(&key.shape, definitions);
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), Value::from(key.doc));
        }
        properties.insert(key.name.to_owned(), schema);
    }
    let required: Vec<_> = section
        .all()
        .filter(|key| key.required)
        .map(|key| key.name)
        .collect();
    let schema = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    definitions.insert(definition(section.name), schema);
}

fn schema_of(shape: &'static Shape, definitions: &mut Map<String, Value>) -> Value {
    const NAME: &str = "^[A-Za-z_][A-Za-z0-9_-]{0,63}$";
    match shape {
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Name => json!({ "type": "string", "pattern": NAME }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Count { min, max } => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Shape::Number { min, max } => json!({ "type": "number", "minimum": min, "maximum": max }),
        Shape::Money => json!({ "anyOf": [
            { "type": "number", "minimum": 0 },
            { "type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,6})?$" },
        ]}),
        Shape::Size { .. } => json!({ "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$" }),
        Shape::Duration => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" }),
        Shape::Expr => json!({ "type": ["string", "boolean"] }),
        Shape::Template | Shape::Fixed => json!({}),
        Shape::Sha256 => json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }),
        Shape::Range => json!({ "type": "string", "minLength": 1 }),
        Shape::Require => json!({ "anyOf": [
            { "enum": ["all", "any"] },
            { "type": "integer", "minimum": 1 },
            { "type": "string", "pattern": "^([1-9][0-9]?|100)%$" },
        ]}),
        Shape::Then => {
            json!({ "type": "string", "pattern": "^(halt|continue|goto:[A-Za-z_][A-Za-z0-9_-]*)$" })
        }
        Shape::Schema => json!({ "type": ["string", "object"] }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::ListOf(inner) => {
            let items = schema_of(inner, definitions);
            json!({ "type": "array", "items": items })
        }
        Shape::MapOf(inner) => {
            let values = schema_of(inner, definitions);
            json!({
                "type": "object",
                "propertyNames": { "pattern": NAME },
                "additionalProperties": values,
            })
        }
        Shape::Section(section) => {
            define(section, definitions);
            reference(section.name)
        }
        Shape::Node => {
            if !definitions.contains_key("node") {
                definitions.insert("node".to_owned(), Value::Null);
                let node = chosen("type", &NODE_TYPES, definitions);
                definitions.insert("node".to_owned(), node);
            }
            reference("node")
        }
    }
}
