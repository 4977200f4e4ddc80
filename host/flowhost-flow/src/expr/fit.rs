//! What of a template cannot fit a JSON Schema whatever its expressions give: told before a run, where
//! the run would refuse it at that step, after everything before it.
//!
//! Says only what is sure. Keywords of a schema all hold at once, so what breaks one of those looked at
//! here breaks the schema, however many others there are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Expr;
use super::kinds::{Kinds, Known};
use super::template::{Node, Template};
use crate::problem::child;
use crate::schema_check::{Compiled, MISFITS_MAX, Misfit};

impl Template {
    /// What cannot fit `schema`, each with its JSON pointer; empty when nothing is sure to be wrong.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_flow::expr::Template;
    /// use serde_json::json;
    ///
    /// let with = json!({ "path": "${{ inputs.path }}", "max": "ten" });
    /// let template = Template::compile(with).unwrap();
    /// let schema = json!({ "type": "object", "required": ["path", "text"],
    ///     "properties": { "max": { "type": "integer" } } });
    /// let misfits = template.misfits(&schema);
    /// assert_eq!(misfits[0].to_string(), "at `/`: `text` is required");
    /// assert_eq!(misfits[1].pointer, "/max");
    /// ```
    #[must_use]
    pub fn misfits(&self, schema: &Value) -> Vec<Misfit> {
        self.misfits_among(schema, &Compiled::default())
    }

    /// The same for one of several templates, with the schemas that were compiled for the others.
    #[must_use]
    pub fn misfits_among<'s>(&self, schema: &'s Value, compiled: &Compiled<'s>) -> Vec<Misfit> {
        self.misfits_of(schema, compiled, &|_| Known::ANYTHING.kinds)
    }

    /// The same, with the schemas that were compiled before, and what kinds of values its expressions can give.
    pub(crate) fn misfits_of<'s>(
        &self,
        schema: &'s Value,
        compiled: &Compiled<'s>,
        kinds: &dyn Fn(&Expr) -> Kinds,
    ) -> Vec<Misfit> {
        let mut found = Found {
            misfits: Vec::new(),
            compiled,
            kinds,
        };
        found.look(self.node(), schema, "");
        if found.misfits.len() > MISFITS_MAX {
            found.misfits.truncate(MISFITS_MAX);
            found.tell("", "more does not fit, and is not listed");
        }
        found.misfits
    }
}

struct Found<'k, 's> {
    misfits: Vec<Misfit>,
    compiled: &'k Compiled<'s>,
    kinds: &'k dyn Fn(&Expr) -> Kinds,
}

impl<'s> Found<'_, 's> {
    fn look(&mut self, node: &Node, schema: &'s Value, pointer: &str) {
        if !self.has_room() {
            return;
        }
        match node {
            Node::One(expr) => self.given(expr, schema, pointer),
            Node::Fixed(value) => self.constant(value, schema, pointer),
            Node::Text(_) => self.kind(schema, pointer, "string", "a text"),
            Node::List(nodes) => {
                self.kind(schema, pointer, "array", "a list");
                if let Some(items) = schema.get("items") {
                    for (index, node) in nodes.iter().enumerate() {
                        self.look(node, items, &format!("{pointer}/{index}"));
                    }
                }
            }
            Node::Object(members) => self.object(members, schema, pointer),
        }
    }

    /// What an expression gives, where no value of its kinds fits.
    fn given(&mut self, expr: &Expr, schema: &Value, pointer: &str) {
        let (kinds, wanted) = ((self.kinds)(expr), Kinds::of_schema(schema));
        // What is no value of JSON is told of the expression itself.
        if kinds.meets(Kinds::JSON) && !kinds.meets(wanted) {
            let (source, told) = (expr.shown(), kinds.told());
            let what = format!("`{source}` gives {told}, and {} is wanted", wanted.told());
            self.tell(pointer, &what);
        }
    }

    fn has_room(&self) -> bool {
        self.misfits.len() <= MISFITS_MAX
    }

    fn constant(&mut self, value: &Value, schema: &'s Value, pointer: &str) {
        // A part that refers to the whole does not stand alone, and is judged when the step runs.
        let Ok(schema) = self.compiled.of(schema) else {
            return;
        };
        let room = (MISFITS_MAX + 1).saturating_sub(self.misfits.len());
        let misfits = schema.misfits(value).into_iter().take(room);
        self.misfits.extend(misfits.map(|misfit| Misfit {
            pointer: format!("{pointer}{}", misfit.pointer),
            ..misfit
        }));
    }

    fn kind(&mut self, schema: &Value, pointer: &str, kind: &str, what: &str) {
        let wanted: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(some)) => some.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        if !wanted.contains(&kind) {
            let wanted = wanted.join("` or `");
            self.tell(
                pointer,
                &format!("{what} stands where `{wanted}` is wanted"),
            );
        }
    }

    fn object(&mut self, members: &[(String, Node)], schema: &'s Value, pointer: &str) {
        self.kind(schema, pointer, "object", "a mapping");
        // Both lists may be as long as their files allow.
        let given: BTreeSet<&str> = members.iter().map(|(key, _)| key.as_str()).collect();
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !given.contains(name) && self.has_room() {
                self.tell(pointer, &format!("`{name}` is required"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false))
            && schema.get("patternProperties").is_none();
        for (key, node) in members {
            match properties.and_then(|it| it.get(key)) {
                Some(property) => self.look(node, property, &child(pointer, key)),
                None if closed && self.has_room() => {
                    self.misfits.push(Misfit {
                        pointer: pointer.to_owned(),
                        member: Some(key.clone()),
                        what: format!("`{key}` is not taken"),
                    });
                }
                None => {}
            }
        }
    }

    fn tell(&mut self, pointer: &str, what: &str) {
        self.misfits.push(Misfit {
            pointer: pointer.to_owned(),
            member: None,
            what: what.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn misfits(with: Value, schema: Value) -> Vec<String> {
        let found = Template::compile(with).unwrap().misfits(&schema);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_a_key_that_is_missing_one_that_is_not_taken_and_a_constant_of_another_type() {
        let schema = json!({
            "type": "object", "required": ["path"], "additionalProperties": false,
            "properties": {
                "path": { "type": "string" }, "max": { "type": "integer" },
                "deep": { "type": "object", "properties": { "a": { "type": "boolean" } } },
            },
        });
        let found = misfits(
            json!({ "pth": "${{ inputs.p }}", "max": "x", "deep": { "a": [1], "b": "${{ 1 }}" } }),
            schema,
        );
        assert_eq!(found.len(), 4, "{found:?}");
        assert_eq!(found[0], "at `/`: `path` is required");
        assert!(found.iter().any(|it| it == "at `/`: `pth` is not taken"));
        assert!(found.iter().any(|it| it.starts_with("at `/max`: ")));
        assert!(found.iter().any(|it| it.starts_with("at `/deep/a`: ")));
    }

    #[test]
    fn a_text_with_values_in_it_is_a_text() {
        let number = json!({ "properties": { "n": { "type": ["integer", "null"] } } });
        let found = misfits(json!({ "n": "${{ 1 }} of ${{ 2 }}" }), number.clone());
        assert_eq!(
            found,
            ["at `/n`: a text stands where `integer` or `null` is wanted"]
        );
        assert!(misfits(json!({ "n": "${{ 1 }}" }), number).is_empty());
    }

    #[test]
    fn a_part_that_refers_to_the_whole_is_left_to_the_run() {
        let schema = json!({
            "$defs": { "n": { "type": "integer" } },
            "properties": { "a": { "$ref": "#/$defs/n" }, "b": {} },
        });
        assert!(misfits(json!({ "a": "x", "b": "${{ 1 }}" }), schema).is_empty());
    }

    #[test]
    fn says_no_more_than_a_screen_of_it_and_that_there_is_more() {
        let keys: Map<String, Value> = (0..100)
            .map(|n| (format!("k{n}"), json!("${{ 1 }}")))
            .collect();
        let schema = json!({ "properties": {}, "additionalProperties": false });
        let texts = json!((0..100).map(|_| json!("${{ 1 }} x")).collect::<Vec<_>>());
        let constants = json!(vec!["x"; 100]);
        let nulls = json!({ "items": { "type": "null" } });
        for found in [
            misfits(Value::Object(keys), schema),
            misfits(texts, nulls.clone()),
            misfits(constants, nulls.clone()),
        ] {
            assert_eq!(found.len(), MISFITS_MAX + 1, "{found:?}");
            let more = "at `/`: more does not fit, and is not listed";
            assert_eq!(found[MISFITS_MAX], more);
        }
        let few = json!(vec!["x"; MISFITS_MAX]);
        assert_eq!(misfits(few, nulls).len(), MISFITS_MAX);
    }
}
