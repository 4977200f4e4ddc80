//! Inputs for a trial: some that fit a schema, as a caller would send them, and some that no caller should.
//!
//! Examples that the schema itself gives come first, because only an author knows which values mean
//! something. The rest is the smallest and the largest that the schema's plain keywords allow; nothing is
//! random, so that two trials are the same.

use serde_json::{Map, Value, json};

use crate::plugin::trial;

/// Depth to which a schema is followed; one that refers to itself ends there. People nest no deeper than half of it.
const DEPTH_MAX: usize = 12;
/// Values and letters that are made of one schema. The schema is the component's, which may be a stranger's: one that
/// refers to itself in lists of a hundred, or wants a text of a terabyte, would take all memory before its component is
/// asked anything. What is left out then does not fit, and the component says so.
const ROOM: u64 = 1 << 20;
/// Items of a list that has no upper bound, or a high one: enough to come to a second page, few enough to be read.
const ITEMS_MAX: u64 = 100;
/// Letters of a text that has no upper bound, or a high one.
const TEXT_MAX: u64 = 10_000;
/// Letters of a long text: more than a guest's stack or a fixed buffer should have to bear.
const LONG: usize = 64 * 1024;

/// How much of what a schema leaves open is filled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    /// Only what is required, and little of it.
    Small,
    /// All properties, and much of each.
    Large,
}

/// Values that a schema asks for: its examples, a small one and a large one, each once.
pub(super) fn fitting(schema: &Value) -> Vec<Value> {
    let mut values: Vec<Value> = examples(schema).cloned().collect();
    for size in [Size::Small, Size::Large] {
        let mut making = Making {
            root: schema,
            size,
            room: ROOM,
        };
        let value = making.value_of(schema, 0);
        if !values.contains(&value) {
            values.push(value);
        }
    }
    if is_open(schema) {
        // It takes anything, so anything may come.
        values.extend([json!(null), json!([1, 2]), json!("text")]);
    }
    values
}

/// Values for a role without a schema: what steps hand over.
pub(super) fn common() -> Vec<Value> {
    vec![
        json!({}),
        json!({ "text": "A text.", "count": 2, "list": ["a", "b"] }),
        json!("a text"),
        json!(null),
    ]
}

/// What no caller should send, with a word for each.
pub(super) fn hostile() -> Vec<(&'static str, Value)> {
    // Below what readers of JSON take (128 levels, as a rule), so that it comes to the component.
    let mut deep = json!(0);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        ("null", json!(null)),
        ("a number too large for most", json!(1e308)),
        ("a negative fraction", json!(-0.5)),
        ("an empty text", json!("")),
        ("a text with every control character", controls()),
        (
            "characters that change direction or are not seen",
            json!("\u{202e}\u{200b}\u{feff}\u{1f4a9}"),
        ),
        ("a long text", json!("x".repeat(LONG))),
        ("many levels", deep),
        ("many items", json!(vec![0; 10_000])),
        (
            "keys that mean something elsewhere",
            json!({ "__proto__": {}, "$ref": "#", "": 1 }),
        ),
    ]
}

fn controls() -> Value {
    let all: String = (0_u8..32).map(char::from).collect();
    Value::from(all)
}

fn examples(schema: &Value) -> impl Iterator<Item = &Value> {
    let list = schema.get("examples").and_then(Value::as_array);
    list.into_iter().flatten()
}

/// Whether a schema says nothing of the value's form.
fn is_open(schema: &Value) -> bool {
    let says = [
        "type",
        "const",
        "enum",
        "$ref",
        "oneOf",
        "anyOf",
        "allOf",
        "properties",
    ];
    !says.iter().any(|key| schema.get(key).is_some())
}

/// A value that is being made of a schema.
struct Making<'a> {
    root: &'a Value,
    size: Size,
    /// What may still be made.
    room: u64,
}

impl Making<'_> {
    /// Takes room for as many as are wanted, or as there is.
    fn takes(&mut self, wanted: u64) -> u64 {
        let taken = wanted.min(self.room);
        self.room -= taken;
        taken
    }

    fn value_of(&mut self, schema: &Value, depth: usize) -> Value {
        // Room first: what is too deep is a value as well, and there may be a hundred times as many of them.
        if self.takes(1) == 0 || depth > DEPTH_MAX {
            return Value::Null;
        }
        let given = [
            schema.get("const"),
            schema.get("default"),
            examples(schema).next(),
        ];
        if let Some(value) = given.into_iter().flatten().next() {
            return value.clone();
        }
        if let Some(one) = schema.get("enum").and_then(Value::as_array) {
            let one = match self.size {
                Size::Small => one.first(),
                Size::Large => one.last(),
            };
            return one.cloned().unwrap_or(Value::Null);
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let (root, pointer) = (self.root, target.strip_prefix('#'));
            // A reference out of the document is nobody's to follow here.
            let target = pointer.and_then(|pointer| root.pointer(pointer));
            return target.map_or(Value::Null, |it| self.value_of(it, depth + 1));
        }
        for key in ["oneOf", "anyOf"] {
            let branches = schema.get(key).and_then(Value::as_array);
            if let Some(branch) = branches.and_then(|it| it.first()) {
                return self.value_of(branch, depth + 1);
            }
        }
        match type_of(schema, self.size) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => self.text(schema),
            "integer" => json!(number(schema, self.size) as i64),
            "number" => json!(number(schema, self.size)),
            "boolean" => json!(self.size == Size::Large),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema.get("required").and_then(Value::as_array);
        let required: Vec<&str> = required
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let properties = schema.get("properties").and_then(Value::as_object);
        let mut made = Map::new();
        for (name, property) in properties.into_iter().flatten() {
            if self.size == Size::Large || required.contains(&name.as_str()) {
                made.insert(name.clone(), self.value_of(property, depth + 1));
            }
        }
        Value::Object(made)
    }

    fn array(&mut self, schema: &Value, depth: usize) -> Value {
        let bound = |key| schema.get(key).and_then(Value::as_u64);
        let least = bound("minItems").unwrap_or(0);
        let count = match self.size {
            Size::Small => least,
            // More than one, where nothing is said: a component that looks at the first alone is found out.
            Size::Large => bound("maxItems")
                .unwrap_or(3)
                .clamp(least, least.max(ITEMS_MAX)),
        };
        let open = json!({ "type": "string" });
        let item = schema.get("items").unwrap_or(&open);
        let mut items = Vec::new();
        for _ in 0..count {
            if self.room == 0 {
                break;
            }
            items.push(self.value_of(item, depth + 1));
        }
        items.into()
    }

    fn text(&mut self, schema: &Value) -> Value {
        let bound = |key| schema.get(key).and_then(Value::as_u64);
        let least = bound("minLength").unwrap_or(0);
        let most = bound("maxLength").unwrap_or(TEXT_MAX);
        let wanted = match self.size {
            Size::Small => least.max(1).min(most),
            Size::Large => most.min(TEXT_MAX).max(least),
        };
        let known = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => Some("2026-11-26T12:00:00Z"),
            Some("date") => Some("2026-11-26"),
            Some("uri" | "url") => Some(trial::SERVER),
            Some("uuid") => Some("00000000-0000-4000-8000-000000000000"),
            Some("email") => Some("someone@example.org"),
            _ => None,
        };
        match known {
            Some(known) => json!(known),
            None => json!("a".repeat(usize::try_from(self.takes(wanted)).unwrap_or(LONG))),
        }
    }
}

/// The type; of several the first when small and the last when large.
fn type_of(schema: &Value, size: Size) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(all)) => {
            let one = match size {
                Size::Small => all.first(),
                Size::Large => all.last(),
            };
            one.and_then(Value::as_str).unwrap_or("null")
        }
        // Most schemas that say no type list properties.
        _ => "object",
    }
}

fn number(schema: &Value, size: Size) -> f64 {
    let bound = |key| schema.get(key).and_then(Value::as_f64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|it| it + 1.0));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|it| it - 1.0));
    match size {
        Size::Small => least.unwrap_or(0.0_f64.min(most.unwrap_or(0.0))),
        Size::Large => most.unwrap_or_else(|| least.unwrap_or(0.0).max(f64::from(i32::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_gets_its_examples_then_the_least_and_the_most() {
        let schema = json!({
            "type": "object", "required": ["n"],
            "properties": { "n": { "type": "integer", "minimum": 2, "maximum": 9 },
                "t": { "type": "string", "maxLength": 3 } },
            "examples": [{ "n": 5 }]
        });
        let expected = [json!({ "n": 5 }), json!({ "n": 5 })];
        assert_eq!(fitting(&schema).first(), expected.first());
        let mut plain = schema;
        plain.as_object_mut().unwrap().remove("examples");
        assert_eq!(
            fitting(&plain),
            [json!({ "n": 2 }), json!({ "n": 9, "t": "aaa" })]
        );
    }

    #[test]
    fn references_are_followed_and_one_to_itself_ends() {
        let schema = json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": { "type": "object", "required": ["next"],
                "properties": { "next": { "$ref": "#/$defs/node" } } } }
        });
        assert!(fitting(&schema).first().unwrap().is_object());
    }

    #[test]
    fn a_schema_that_wants_more_than_there_is_room_for_gets_what_there_is() {
        let list = json!({ "type": "array", "minItems": 100, "items": { "$ref": "#" } });
        let text = json!({ "type": "string", "minLength": 1_000_000_000_000_000_u64 });
        for schema in [list, text] {
            for value in fitting(&schema) {
                assert!(value.to_string().len() < 10 << 20, "{schema}");
            }
        }
    }

    #[test]
    fn where_anything_fits_anything_is_tried() {
        assert!(fitting(&json!({})).contains(&json!(null)));
    }

    #[test]
    fn what_is_hostile_is_still_json_that_a_host_would_hand_over() {
        for (what, value) in hostile() {
            let text = value.to_string();
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{what}");
        }
    }
}
