//! Schemas of plain words (types, members, lists, lengths, choices), which are asked as they stand.
//!
//! To compile a schema costs a component some seventy thousand units of fuel for each small schema in it, in every new
//! instance, and most answers fit. What is said here is only "it fits": whatever else may be the case (a word that is not
//! plain, a number between two kinds, a value that does not fit and has to be told why) is the compiled schema's. So this must
//! never let a value pass that the compiled one does not, and may send any value there.

use serde_json::{Map, Number, Value};

/// Whole numbers up to this are the same as floating ones.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Whether all that the schema says is said in plain words, with values as the metaschema wants them.
pub(crate) fn is_plain(schema: &Value) -> bool {
    match schema {
        Value::Bool(_) => true,
        Value::Object(words) => words.iter().all(|(word, value)| is_plain_word(word, value)),
        _ => false,
    }
}

fn is_plain_word(word: &str, value: &Value) -> bool {
    match word {
        "title" | "description" | "$comment" => value.is_string(),
        "default" | "const" => true,
        "examples" | "enum" => value.is_array(),
        "type" => match value {
            Value::String(name) => is_type(name),
            Value::Array(names) => names.iter().all(|name| name.as_str().is_some_and(is_type)),
            _ => false,
        },
        "required" => match value {
            Value::Array(names) => names.iter().all(Value::is_string),
            _ => false,
        },
        "properties" => match value {
            Value::Object(members) => members.values().all(is_plain),
            _ => false,
        },
        "additionalProperties" | "items" => is_plain(value),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
            value.is_u64()
        }
        "minimum" | "maximum" => value.as_number().is_some_and(|it| exact(it).is_some()),
        _ => false,
    }
}

fn is_type(name: &str) -> bool {
    matches!(
        name,
        "null" | "boolean" | "object" | "array" | "number" | "string" | "integer"
    )
}

/// Whether the value fits a plain schema for certain.
pub(crate) fn fits(schema: &Value, value: &Value) -> bool {
    match schema {
        Value::Bool(fits) => *fits,
        Value::Object(words) => words
            .iter()
            .all(|(word, asks)| says(words, word, asks, value)),
        _ => false,
    }
}

/// Whether a word of a schema lets the value pass.
fn says(words: &Map<String, Value>, word: &str, asks: &Value, value: &Value) -> bool {
    let most = |count: usize| asks.as_u64().is_some_and(|most| count as u64 <= most);
    let least = |count: usize| asks.as_u64().is_some_and(|least| count as u64 >= least);
    match (word, value) {
        ("const", _) => asks == value,
        ("enum", _) => asks.as_array().is_some_and(|all| all.contains(value)),
        ("type", _) => match asks {
            Value::String(name) => is_of(name, value),
            Value::Array(names) => {
                let mut names = names.iter().filter_map(Value::as_str);
                names.any(|name| is_of(name, value))
            }
            _ => false,
        },
        ("minLength", Value::String(text)) => least(text.chars().count()),
        ("maxLength", Value::String(text)) => most(text.chars().count()),
        ("minItems", Value::Array(items)) => least(items.len()),
        ("maxItems", Value::Array(items)) => most(items.len()),
        ("items", Value::Array(items)) => items.iter().all(|item| fits(asks, item)),
        ("minProperties", Value::Object(members)) => least(members.len()),
        ("maxProperties", Value::Object(members)) => most(members.len()),
        ("required", Value::Object(members)) => asks.as_array().is_some_and(|names| {
            let mut names = names.iter();
            names.all(|name| name.as_str().is_some_and(|name| members.contains_key(name)))
        }),
        ("properties", Value::Object(members)) => asks.as_object().is_some_and(|asked| {
            let mut both = asked.iter();
            both.all(|(name, asks)| members.get(name).is_none_or(|it| fits(asks, it)))
        }),
        ("additionalProperties", Value::Object(members)) => {
            let named = words.get("properties").and_then(Value::as_object);
            let is_named = |name: &String| named.is_some_and(|named| named.contains_key(name));
            let mut others = members.iter().filter(|(name, _)| !is_named(name));
            others.all(|(_, it)| fits(asks, it))
        }
        ("minimum", Value::Number(number)) => {
            both(number, asks).is_some_and(|(it, least)| it >= least)
        }
        ("maximum", Value::Number(number)) => {
            both(number, asks).is_some_and(|(it, most)| it <= most)
        }
        // A word about values of another kind, or one for people.
        _ => true,
    }
}

fn is_of(kind: &str, value: &Value) -> bool {
    match value {
        Value::Null => kind == "null",
        Value::Bool(_) => kind == "boolean",
        Value::Object(_) => kind == "object",
        Value::Array(_) => kind == "array",
        Value::String(_) => kind == "string",
        // 1.0 is an integer, too; the compiled schema says which others are.
        Value::Number(number) => {
            kind == "number" || kind == "integer" && (number.is_u64() || number.is_i64())
        }
    }
}

fn both(number: &Number, bound: &Value) -> Option<(f64, f64)> {
    Some((exact(number)?, exact(bound.as_number()?)?))
}

/// The number, where it is certain that nothing is lost of it.
fn exact(number: &Number) -> Option<f64> {
    number.as_f64().filter(|it| it.abs() < EXACT_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Schema;

    /// What an arbiter of agents is asked for.
    fn arbiter() -> Value {
        let text = json!({ "type": "string", "minLength": 1, "maxLength": 9 });
        let positions = json!({ "type": "object", "additionalProperties": text });
        let conflict = json!({
            "type": "object", "additionalProperties": false, "required": ["issue", "positions"],
            "properties": { "issue": text, "positions": positions },
        });
        json!({
            "type": "object", "additionalProperties": false, "required": ["agreements", "conflicts", "output"],
            "properties": {
                "agreements": { "type": "array", "maxItems": 2, "items": text },
                "conflicts": { "type": "array", "items": conflict },
                "output": { "type": ["object", "null"], "required": ["n"], "properties": {
                    "n": { "type": "integer", "minimum": 0, "maximum": 9 }, "of": { "enum": ["a", null, 1] },
                    "share": { "type": "number" }, "never": false, "any": true, "one": { "const": [1] },
                } },
            },
        })
    }

    /// Values of all kinds, most of them near to what is asked for.
    fn values() -> Vec<Value> {
        let odd = [
            json!(null),
            json!(true),
            json!(0),
            json!(1.0),
            json!(9.5),
            json!(-1),
            json!(9_007_199_254_740_993_u64),
            json!(1e300),
            json!(""),
            json!("a"),
            json!("äöüäöüäöü"),
            json!("äöüäöüäöüä"),
            json!([]),
            json!([1]),
            json!(["a", "b"]),
            json!(["a", "b", "c"]),
            json!({}),
            json!({ "a": "b" }),
            json!({ "a": "" }),
            json!({ "n": 1 }),
        ];
        let mut values = odd.to_vec();
        for it in &odd {
            let outputs = [
                it.clone(),
                json!({ "n": it }),
                json!({ "n": 4, "of": it }),
                json!({ "n": 4, "share": it, "any": it }),
                json!({ "n": 4, "never": it }),
                json!({ "n": 4, "one": it, "more": it }),
            ];
            values.extend(
                outputs
                    .map(|output| json!({ "agreements": [], "conflicts": [], "output": output })),
            );
            let conflict = json!([{ "issue": it, "positions": { "a": it } }]);
            values.push(json!({ "agreements": it, "conflicts": conflict, "output": null }));
            values.push(json!({ "agreements": [it], "conflicts": it, "output": null }));
            values
                .push(json!({ "agreements": ["a"], "conflicts": [], "output": null, "more": it }));
            let conflict = json!([{ "issue": "a", "positions": it }]);
            values.push(json!({ "agreements": ["a"], "conflicts": conflict, "output": null }));
        }
        values
    }

    #[test]
    fn nothing_fits_that_the_compiled_schema_does_not_let_pass() {
        let (schema, mut fit) = (arbiter(), 0);
        assert!(is_plain(&schema));
        let compiled = Schema::compile(&schema).expect("a schema");
        for value in values() {
            let found = compiled.violations(&value);
            let said = fits(&schema, &value);
            assert!(!said || found.is_empty(), "{value}: {found:?}");
            // What it does not see are whole numbers that are written with a fraction.
            let text = value.to_string();
            let sees = !text.contains(".0") && !text.contains("e300");
            assert!(said || !found.is_empty() || !sees, "{value}");
            fit += usize::from(said);
        }
        assert!(fit > 10, "{fit}");
    }

    #[test]
    fn a_word_that_is_not_plain_or_says_what_no_schema_says_is_not_asked_here() {
        for schema in [
            json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
            json!({ "$ref": "#" }),
            json!({ "properties": { "a": { "pattern": "^a" } } }),
            json!({ "items": [{ "type": "string" }] }),
            json!({ "anyOf": [true] }),
            json!({ "format": "date" }),
            json!({ "multipleOf": 2 }),
            json!({ "type": "text" }),
            json!({ "maxLength": -1 }),
            json!({ "minimum": 1e300 }),
            json!({ "nobody": "knows" }),
            json!([]),
        ] {
            assert!(!is_plain(&schema), "{schema}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_as_the_compiled_schema_tells_it() {
        let checked = Schema::compile_checked(&arbiter()).expect("a schema");
        let compiled = Schema::compile(&arbiter()).expect("a schema");
        for value in values() {
            assert_eq!(
                checked.violations(&value),
                compiled.violations(&value),
                "{value}"
            );
        }
    }
}
