//! An instance of a JSON Schema, found in a simple way.
//!
//! It satisfies `type`, `properties`, `required`, `items`, `enum`, `const`, lengths, counts and ranges,
//! `anyOf`, `oneOf`, the first of `allOf` merged with its siblings, and local `$ref`. It does not try to
//! satisfy `pattern`, `format`, `not` or conditions: a prompt that needs those wants a script.

use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Number, Value, json};

use super::seeded;

/// Depth at which a schema is answered with `null`: recursive ones would never end.
const DEPTH_MAX: usize = 16;
/// Items and characters at most, whatever the schema asks for. A schema may ask for a million, and the mock
/// answers in a test.
const SIZE_MAX: usize = 256;
/// Depth below which only what is required is made: four levels show a reader the shape of an answer, and a
/// recursive schema ends there by itself.
const OPTIONAL_DEPTH: usize = 4;
/// Values of one instance: a schema that names itself twice would double at every depth.
const VALUES_MAX: usize = 512;

/// A value that satisfies `schema` in the keywords above.
pub(super) fn instance(schema: &Value, random: &mut ChaCha8Rng) -> Value {
    let mut maker = Maker {
        root: schema,
        random,
        left: VALUES_MAX,
    };
    maker.value(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    random: &'a mut ChaCha8Rng,
    left: usize,
}

impl Maker<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth > DEPTH_MAX || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        // The first and not a random one: an author can then put the answer that a dry run should
        // take in front.
        if let Some(first) = list(schema, "enum").first() {
            return first.clone();
        }
        if let Some(target) = self.target(schema) {
            return self.value(&target, depth + 1);
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            if let Some(first) = list(schema, choice).first() {
                return self.value(&merged(schema, first, choice), depth + 1);
            }
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "integer" => json!(integer(schema)),
            "number" => number(schema),
            "boolean" => Value::Bool(true),
            "null" => Value::Null,
            _ => Value::String(self.string(schema)),
        }
    }

    fn target(&self, schema: &Value) -> Option<Value> {
        let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer).cloned()
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let mut out = Map::new();
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = list(schema, "required")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        for (name, property) in properties.unwrap_or(&none).iter().take(SIZE_MAX) {
            if depth < OPTIONAL_DEPTH || required.contains(&name.as_str()) {
                out.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        for name in required.iter().take(SIZE_MAX) {
            if !out.contains_key(*name) {
                out.insert(
                    (*name).to_owned(),
                    Value::String(seeded::word(self.random).to_owned()),
                );
            }
        }
        Value::Object(out)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let least = size(schema, "minItems").unwrap_or(0);
        let most = size(schema, "maxItems").unwrap_or(SIZE_MAX);
        let wanted = usize::from(depth < OPTIONAL_DEPTH);
        let items = schema.get("items").cloned().unwrap_or(json!({}));
        let count = least.max(wanted).min(most).min(SIZE_MAX);
        Value::Array((0..count).map(|_| self.value(&items, depth + 1)).collect())
    }

    fn string(&mut self, schema: &Value) -> String {
        let least = size(schema, "minLength").unwrap_or(0).min(SIZE_MAX);
        let most = size(schema, "maxLength").unwrap_or(SIZE_MAX);
        let mut text = seeded::word(self.random).to_owned();
        while text.len() < least {
            text.push(' ');
            text.push_str(seeded::word(self.random));
        }
        text.truncate(most.max(least));
        // A blank at the end would be cut by readers that trim.
        if text.ends_with(' ') && !text.is_empty() {
            text.pop();
            text.push('x');
        }
        text
    }
}

fn list<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn size(schema: &Value, key: &str) -> Option<usize> {
    schema
        .get(key)?
        .as_u64()
        .and_then(|size| usize::try_from(size).ok())
}

/// The schema's type: its own word, the first of several, or what its keywords are about.
fn kind(schema: &Value) -> &str {
    let own = match schema.get("type") {
        Some(Value::Array(several)) => several.first().and_then(Value::as_str),
        Some(one) => one.as_str(),
        None => None,
    };
    own.unwrap_or_else(|| {
        if schema.get("properties").is_some() || schema.get("required").is_some() {
            "object"
        } else if schema.get("items").is_some() {
            "array"
        } else {
            "string"
        }
    })
}

/// The keywords beside a choice hold together with those of the chosen one.
fn merged(schema: &Value, chosen: &Value, choice: &str) -> Value {
    let mut all = schema.as_object().cloned().unwrap_or_default();
    all.remove(choice);
    for (key, value) in chosen.as_object().into_iter().flatten() {
        match (all.get_mut(key), value) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => mine.extend(theirs.clone()),
            (Some(Value::Array(mine)), Value::Array(theirs)) => mine.extend(theirs.clone()),
            _ => {
                all.insert(key.clone(), value.clone());
            }
        }
    }
    Value::Object(all)
}

fn integer(schema: &Value) -> i64 {
    let bound = |key: &str| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").or(bound("exclusiveMinimum").map(|it| it.saturating_add(1)));
    let most = bound("maximum").or(bound("exclusiveMaximum").map(|it| it.saturating_sub(1)));
    let step = bound("multipleOf").unwrap_or(1).max(1);
    match (least, most) {
        (Some(least), _) => up_to(least, step),
        (None, Some(most)) => {
            let most = most.min(1);
            most.saturating_sub(most.rem_euclid(step))
        }
        (None, None) => step,
    }
}

/// By remainders: a bound is whatever a plugin wrote, and the multiple below the least integer is none.
fn up_to(least: i64, step: i64) -> i64 {
    match least.rem_euclid(step) {
        0 => least,
        over => least.saturating_add(step - over),
    }
}

fn number(schema: &Value) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let value = match (
        bound("minimum"),
        bound("maximum"),
        bound("exclusiveMinimum"),
    ) {
        // Between the bounds, so that it does not matter whether they are exclusive.
        (Some(least), Some(most), _) => least.midpoint(most),
        (Some(least), None, _) => least,
        (None, Some(most), Some(least)) => least.midpoint(most),
        (None, None, Some(least)) => least + 1.0,
        (None, most, None) => most.map_or(1.0, |most| most.min(1.0)),
    };
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn made(schema: Value) -> Value {
        instance(&schema, &mut ChaCha8Rng::from_seed([1; 32]))
    }

    #[test]
    fn makes_what_the_keywords_ask_for() {
        let value = made(json!({
            "type": "object",
            "required": ["verdict", "extra"],
            "properties": {
                "verdict": {"enum": ["pass", "fail"]},
                "score": {"type": "number", "minimum": 0, "maximum": 1},
                "line": {"type": "integer", "minimum": 7, "multipleOf": 5},
                "title": {"type": "string", "minLength": 30, "maxLength": 31},
                "findings": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/finding"}},
                "either": {"anyOf": [{"type": "null"}, {"type": "string"}]},
                "fixed": {"const": {"a": 1}},
            },
            "$defs": {"finding": {"type": "object", "properties": {"ok": {"type": "boolean"}}}},
        }));
        assert_eq!(value["verdict"], "pass");
        assert_eq!(value["score"], 0.5);
        assert_eq!(value["line"], 10);
        assert!((30..=31).contains(&value["title"].as_str().unwrap().len()));
        assert_eq!(value["findings"], json!([{"ok": true}, {"ok": true}]));
        assert_eq!(value["either"], Value::Null);
        assert_eq!(value["fixed"], json!({"a": 1}));
        assert!(value["extra"].is_string());
    }

    #[test]
    fn bounds_at_the_end_of_the_integers_are_met() {
        let made = |bound: &str| made(json!({"type": "integer", bound: i64::MIN, "multipleOf": 3}));
        assert_eq!(made("minimum"), i64::MIN + 2);
        assert_eq!(made("maximum"), i64::MIN);
    }

    #[test]
    fn a_recursive_schema_ends() {
        let node = json!({"$ref": "#"});
        let schema =
            json!({"type": "object", "properties": {"next": node, "list": {"items": node}}});
        assert!(made(schema)["next"].is_object());
        let endless = json!({"type": "object", "required": ["next"], "properties": {"next": node}});
        assert!(made(endless).is_object());
        assert_eq!(made(json!({"$ref": "#"})), Value::Null);
        let names: Vec<String> = (0..100).map(|number| format!("n{number}")).collect();
        let properties: Map<String, Value> = names
            .iter()
            .map(|name| (name.clone(), json!({"$ref": "#"})))
            .collect();
        let wide = json!({"type": "object", "required": names, "properties": properties});
        assert!(made(wide).to_string().len() < 1 << 20);
    }

    #[test]
    fn all_of_joins_its_siblings() {
        let value = made(json!({
            "type": "object",
            "properties": {"a": {"type": "integer"}},
            "allOf": [{"properties": {"b": {"type": "boolean"}}}],
        }));
        assert_eq!(value, json!({"a": 1, "b": true}));
    }

    #[test]
    fn a_size_without_end_is_cut() {
        let value = made(json!({"type": "array", "minItems": 1_000_000_000_u64}));
        assert_eq!(value.as_array().unwrap().len(), SIZE_MAX);
    }
}
