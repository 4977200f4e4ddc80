//! What checking one value against one schema can cost, found by walking through both.
//!
//! The validator has no clock and cannot be stopped: 6,000 patterns over a list of 190,000 texts are a
//! billion searches, though schema and list are both below every bound of their own. So the walk that
//! the validator would make is made here first, without its searches and comparisons, each step paid
//! for; a value whose check would cost too much is refused. Must over-estimate, never the reverse.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::effort::{Meter, Spent};
use crate::expr::pattern_states;

/// Most units of one check: some tenths of a second, and some seconds without optimisation. A list of
/// 200,000 records of ten members under a plain schema costs half of it.
pub(crate) const SCHEMA_COST_MAX: u64 = 16_000_000;
/// States of all patterns of a schema together: they are compiled before anything is checked.
const STATES_MAX: u64 = 60_000;
// The weights here and below were found by measuring: `tests/schema_cost.rs` holds the validator to a microsecond of
// processor time for each unit, without optimisation, on schemas and values that are made to break it. Where a
// keyword takes longer, its weight is what has to grow.
/// Entering a schema, for any value. Looking up its keywords costs it, whether they say anything of the value or
/// not.
const SCHEMA: u64 = 3;
/// Bytes times states of a pattern for one unit: what the slowest of the linear engines takes.
const BYTES_TIMES_STATES: u64 = 8;
/// Looking for an item among those that were there before (`schema_unique`), beside writing it out.
const LOOKED_UP: u64 = 8;

/// The patterns of a schema with the states that each needs, repetitions written out.
pub(crate) type Patterns = HashMap<String, u64>;

/// The patterns of a schema.
///
/// # Errors
/// They are too large to be compiled.
pub(crate) fn patterns(schema: &Value) -> Result<Patterns, String> {
    let mut patterns = Patterns::new();
    collect(schema, &mut patterns);
    let states = patterns
        .values()
        .fold(0_u64, |sum, states| sum.saturating_add(*states));
    if states > STATES_MAX {
        return Err(format!(
            "the patterns of the schema are too large: with repetitions written out they have {states} \
             states, {STATES_MAX} are allowed; repeat less, or use `maxLength`"
        ));
    }
    Ok(patterns)
}

fn collect(part: &Value, patterns: &mut Patterns) {
    match part {
        Value::Object(members) => {
            for (key, member) in members {
                match (key.as_str(), member) {
                    ("pattern", Value::String(pattern)) => add(pattern, patterns),
                    ("patternProperties", Value::Object(keyed)) => {
                        keyed.keys().for_each(|pattern| add(pattern, patterns));
                    }
                    _ => {}
                }
                collect(member, patterns);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, patterns)),
        _ => {}
    }
}

fn add(pattern: &str, patterns: &mut Patterns) {
    if !patterns.contains_key(pattern) {
        patterns.insert(pattern.to_owned(), pattern_states(pattern));
    }
}

/// Pays for a check of `value`.
pub(crate) fn pay(
    schema: &Value,
    patterns: &Patterns,
    value: &Value,
    meter: &mut Meter<'_>,
) -> Result<(), Spent> {
    let mut walk = Walk {
        root: schema,
        patterns,
        meter,
    };
    walk.of(schema, Subject::Value(value))
}

/// What a schema looks at: a value, or the name of a member.
#[derive(Clone, Copy)]
enum Subject<'v> {
    Value(&'v Value),
    Name(&'v str),
}

impl<'v> Subject<'v> {
    fn text(self) -> Option<&'v str> {
        match self {
            Self::Value(Value::String(text)) => Some(text),
            Self::Name(name) => Some(name),
            Self::Value(_) => None,
        }
    }

    fn members(self) -> Option<&'v Map<String, Value>> {
        match self {
            Self::Value(Value::Object(members)) => Some(members),
            _ => None,
        }
    }

    fn items(self) -> &'v [Value] {
        match self {
            Self::Value(Value::Array(items)) => items,
            _ => &[],
        }
    }
}

struct Walk<'a, 'm, 's> {
    root: &'a Value,
    patterns: &'a Patterns,
    meter: &'m mut Meter<'s>,
}

impl<'a> Walk<'a, '_, '_> {
    /// References do not come back to themselves (`schema_cost`), so this ends.
    fn of(&mut self, schema: &'a Value, subject: Subject<'_>) -> Result<(), Spent> {
        self.meter.charge(SCHEMA)?;
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        for (keyword, part) in keywords {
            self.meter.charge(1)?;
            self.keyword(keywords, keyword, part, subject)?;
        }
        let unseen = ["unevaluatedProperties", "unevaluatedItems"];
        match unseen.iter().any(|keyword| keywords.contains_key(*keyword)) {
            true => self.marks(schema, subject),
            false => Ok(()),
        }
    }

    /// Where members or items are wanted that no other keyword saw, all keywords below are asked which they
    /// saw; and of each schema within is asked first whether it holds, which marks on its own account where
    /// it has such a keyword too. Nested, that grows faster than by two with each level.
    fn marks(&mut self, schema: &'a Value, subject: Subject<'_>) -> Result<(), Spent> {
        self.meter.charge(SCHEMA)?;
        let Value::Object(keywords) = schema else {
            return Ok(());
        };
        for (keyword, part) in keywords {
            self.meter.charge(1)?;
            match keyword.as_str() {
                "$ref" => {
                    if let Some(target) = self.target(part) {
                        self.marks(target, subject)?;
                    }
                }
                "allOf" | "anyOf" | "oneOf" => {
                    for schema in part.as_array().into_iter().flatten() {
                        self.of(schema, subject)?;
                        self.marks(schema, subject)?;
                    }
                }
                "if" | "then" | "else" => {
                    self.of(part, subject)?;
                    self.marks(part, subject)?;
                }
                "dependentSchemas" | "dependencies" => {
                    for schema in part.as_object().into_iter().flat_map(Map::values) {
                        self.marks(schema, subject)?;
                    }
                }
                "properties"
                | "patternProperties"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "items"
                | "prefixItems"
                | "additionalItems"
                | "unevaluatedItems"
                | "contains" => self.keyword(keywords, keyword, part, subject)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn keyword(
        &mut self,
        keywords: &'a Map<String, Value>,
        keyword: &str,
        part: &'a Value,
        subject: Subject<'_>,
    ) -> Result<(), Spent> {
        match keyword {
            "$ref" => match self.target(part) {
                Some(target) => self.of(target, subject),
                None => Ok(()),
            },
            "allOf" => self.each(part, subject),
            // Asked whether one holds, and then each again for what it has to say.
            "anyOf" | "oneOf" => {
                self.each(part, subject)?;
                self.each(part, subject)
            }
            "not" | "if" | "then" | "else" => self.of(part, subject),
            "enum" | "const" => self.equality(part, subject),
            "pattern" => match (part, subject.text()) {
                (Value::String(pattern), Some(text)) => self.search(pattern, text),
                _ => Ok(()),
            },
            "format" | "minLength" | "maxLength" | "contentEncoding" | "contentMediaType" => self
                .meter
                .charge(subject.text().map_or(0, |text| 8 + text.len() as u64 / 4)),
            // Decimals are compared as fractions of large numbers.
            "multipleOf" | "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                self.meter.charge(40)
            }
            "required" => self
                .meter
                .charge(2 * part.as_array().map_or(0, Vec::len) as u64),
            "items" | "prefixItems" | "additionalItems" | "unevaluatedItems" | "contains" => {
                self.list(part, subject.items())
            }
            "uniqueItems" if part == &Value::Bool(true) => self.unique(subject.items()),
            _ => match subject.members() {
                Some(members) => self.object(keywords, keyword, part, members, subject),
                None => Ok(()),
            },
        }
    }

    fn object(
        &mut self,
        keywords: &'a Map<String, Value>,
        keyword: &str,
        part: &'a Value,
        members: &Map<String, Value>,
        subject: Subject<'_>,
    ) -> Result<(), Spent> {
        match keyword {
            "properties" => {
                for (name, schema) in part.as_object().into_iter().flatten() {
                    self.meter.charge(2)?;
                    if let Some(member) = members.get(name) {
                        self.of(schema, Subject::Value(member))?;
                    }
                }
                Ok(())
            }
            "patternProperties" => {
                for (pattern, schema) in part.as_object().into_iter().flatten() {
                    for (name, member) in members {
                        self.search(pattern, name)?;
                        self.of(schema, Subject::Value(member))?;
                    }
                }
                Ok(())
            }
            "additionalProperties" | "unevaluatedProperties" => {
                // Each name is looked for among those that are known, by the patterns too.
                let known = keywords.get("properties").and_then(Value::as_object);
                let patterns = keywords.get("patternProperties").and_then(Value::as_object);
                for (name, member) in members {
                    self.meter.charge(2)?;
                    for pattern in patterns.into_iter().flat_map(Map::keys) {
                        self.search(pattern, name)?;
                    }
                    let seen = known.is_some_and(|known| known.contains_key(name));
                    if keyword != "additionalProperties" || !seen {
                        self.of(part, Subject::Value(member))?;
                    }
                }
                Ok(())
            }
            "propertyNames" => members
                .keys()
                .try_for_each(|name| self.of(part, Subject::Name(name))),
            "dependentSchemas" | "dependencies" | "dependentRequired" => {
                for (name, schema) in part.as_object().into_iter().flatten() {
                    let wanted = schema.as_array().map_or(0, Vec::len);
                    self.meter.charge(2 + wanted as u64)?;
                    if members.contains_key(name) && schema.is_object() {
                        // The whole object is looked at again.
                        self.of(schema, subject)?;
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn each(&mut self, schemas: &'a Value, subject: Subject<'_>) -> Result<(), Spent> {
        let schemas = schemas.as_array().map_or(&[][..], Vec::as_slice);
        schemas
            .iter()
            .try_for_each(|schema| self.of(schema, subject))
    }

    fn list(&mut self, part: &'a Value, items: &[Value]) -> Result<(), Spent> {
        if let Value::Array(schemas) = part {
            return schemas
                .iter()
                .zip(items)
                .try_for_each(|(schema, item)| self.of(schema, Subject::Value(item)));
        }
        items
            .iter()
            .try_for_each(|item| self.of(part, Subject::Value(item)))
    }

    /// A comparison with each of the values that are allowed, down to their last member.
    fn equality(&mut self, allowed: &Value, subject: Subject<'_>) -> Result<(), Spent> {
        let deep = matches!(subject, Subject::Value(Value::Array(_) | Value::Object(_)));
        match allowed {
            Value::Array(options) if !deep => {
                let text = subject.text().map_or(0, str::len) as u64;
                // Most options differ in their first bytes; the rest are compared many bytes at once.
                self.meter
                    .charge((options.len() as u64).saturating_mul(2 + text / 64))
            }
            _ => self.nodes(allowed, 1),
        }
    }

    fn unique(&mut self, items: &[Value]) -> Result<(), Spent> {
        items.iter().try_for_each(|item| {
            self.meter.charge(LOOKED_UP)?;
            // Written out, member names sorted, and then hashed.
            self.nodes(item, 3)
        })
    }

    /// Reading a value to its last member, so many times.
    fn nodes(&mut self, value: &Value, times: u64) -> Result<(), Spent> {
        match value {
            Value::String(text) => self.meter.charge(times * (2 + text.len() as u64 / 16)),
            Value::Array(items) => {
                self.meter.charge(2 * times)?;
                items.iter().try_for_each(|item| self.nodes(item, times))
            }
            Value::Object(members) => {
                self.meter.charge(2 * times)?;
                members.iter().try_for_each(|(name, member)| {
                    self.meter.charge(times * (2 + name.len() as u64 / 16))?;
                    self.nodes(member, times)
                })
            }
            _ => self.meter.charge(2 * times),
        }
    }

    fn search(&mut self, pattern: &str, text: &str) -> Result<(), Spent> {
        let states = self.patterns.get(pattern).copied();
        debug_assert!(
            states.is_some(),
            "every `pattern` of the schema was collected"
        );
        let states = states.unwrap_or(STATES_MAX);
        let work = (text.len() as u64).saturating_mul(states) / BYTES_TIMES_STATES;
        self.meter.charge(4 + work)
    }

    /// None for what is no reference here: one that names nothing was refused with the schema (`schema_cost`).
    fn target(&self, reference: &Value) -> Option<&'a Value> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        self.root.pointer(pointer)
    }
}
