//! JSON Schemas of outputs and of tools' inputs: compiled once, offline, bounded.
//!
//! A schema is input from the plan's author and its subject comes from a plugin: no reference leaves
//! the document or comes back to itself, patterns run on an engine that takes linear time, and a value
//! is looked at only after the work of its check was found to be bounded (`schema_work`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use flowhost_words::nearest;
use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::effort::{Limits, Meter, Spent};
use crate::problem::child;
use crate::schema_plain::is_plain;
use crate::schema_unique;
use crate::schema_work::{self, Patterns, SCHEMA_COST_MAX};

/// Bytes of a schema as JSON: as much as a manifest may hold in all.
const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Violations that a message names; more say nothing new.
const VIOLATIONS_SHOWN: usize = 3;
/// Misfits that are told before a run, where each is a line's work to mend: as much as fits a screen.
pub(crate) const MISFITS_MAX: usize = 12;
/// Units of a check up to which the validator may collect all violations: it does so in memory, some
/// hundred bytes for each.
const COLLECTED_MAX: u64 = 100_000;

/// A compiled schema.
#[derive(Clone)]
pub struct OutputSchema {
    source: Arc<Value>,
    validator: Arc<Validator>,
    patterns: Arc<Patterns>,
}

impl OutputSchema {
    /// Compiles a schema (draft 2020-12 unless it says otherwise). The one way to a validator: it
    /// bounds what a check can cost, for schemas of plans and of plugins alike.
    ///
    /// # Errors
    /// What is wrong with the schema, in one line.
    pub fn compile(source: Value) -> Result<Self, String> {
        let size = source.to_string().len();
        if size > SCHEMA_BYTES_MAX {
            return Err(format!(
                "the schema has {size} bytes; {SCHEMA_BYTES_MAX} are allowed"
            ));
        }
        if !matches!(source, Value::Object(_) | Value::Bool(_)) {
            return Err("a JSON Schema is an object".to_owned());
        }
        if let Some(reference) = outside_reference(&source) {
            return Err(format!(
                "`$ref: {reference}` leaves the document; only `#…` is followed"
            ));
        }
        if let Some(message) = crate::schema_cost::too_costly(&source) {
            return Err(message);
        }
        let patterns = schema_work::patterns(&source)?;
        let validator = validator(&source).map_err(|error| no_schema(&error))?;
        Ok(Self {
            source: Arc::new(source),
            validator: Arc::new(validator),
            patterns: Arc::new(patterns),
        })
    }

    /// The schema as it was written.
    #[must_use]
    pub fn source(&self) -> Arc<Value> {
        Arc::clone(&self.source)
    }

    /// The same, borrowed.
    pub(crate) fn written(&self) -> &Value {
        &self.source
    }

    /// What is wrong with `value`, in one line that shows none of it, or nothing. A check that would
    /// cost too much, or that was stopped, is a violation too: it says so.
    #[must_use]
    pub fn violations(&self, value: &Value) -> Option<String> {
        self.checked(
            value,
            SCHEMA_COST_MAX,
            &mut Meter::of_thread(SCHEMA_COST_MAX),
        )
    }

    /// As [`OutputSchema::violations`], within limits of the caller's. Once its work is known to be
    /// bounded the check itself runs to its end: `stop` is heard before, and after some tenths of a
    /// second at most.
    #[must_use]
    pub fn violations_within(&self, value: &Value, limits: &Limits<'_>) -> Option<String> {
        self.checked(value, limits.cost, &mut Meter::new(limits))
    }

    fn checked(&self, value: &Value, cost: u64, meter: &mut Meter<'_>) -> Option<String> {
        match schema_work::pay(&self.source, &self.patterns, value, meter) {
            Err(Spent::Cost) => Some(format!(
                "checking it would cost more than {cost} steps: the value is too large for this \
                 schema; give it less data, or a schema with fewer and smaller patterns and choices"
            )),
            Err(Spent::Stopped) => Some("the check was stopped before its end".to_owned()),
            Ok(()) if self.validator.is_valid(value) => None,
            Ok(()) if cost - meter.left() <= COLLECTED_MAX => Some(self.collected(value)),
            Ok(()) => Some(self.first(value)),
        }
    }

    /// What is wrong with a value that a person wrote, each with its place, as far as that can be told.
    pub(crate) fn misfits(&self, value: &Value) -> Vec<Misfit> {
        let mut meter = Meter::of_thread(SCHEMA_COST_MAX);
        let paid = schema_work::pay(&self.source, &self.patterns, value, &mut meter).is_ok();
        if paid && SCHEMA_COST_MAX - meter.left() <= COLLECTED_MAX {
            let errors = self.validator.iter_errors(value);
            // One more says that there are more.
            let shown = errors.take(MISFITS_MAX + 1);
            return shown.map(|it| told(&it)).collect();
        }
        let whole = |what| Misfit {
            pointer: String::new(),
            member: None,
            what,
        };
        self.violations(value).map(whole).into_iter().collect()
    }

    /// The first violations, of all.
    fn collected(&self, value: &Value) -> String {
        let mut errors = self.validator.iter_errors(value);
        let shown: Vec<_> = errors
            .by_ref()
            .take(VIOLATIONS_SHOWN)
            .map(|error| told(&error).to_string())
            .collect();
        let more = if errors.next().is_some() {
            " and more"
        } else {
            ""
        };
        format!("{}{more}", shown.join("; "))
    }

    /// One violation. Below `anyOf` and its like the validator would collect all of them to find it.
    fn first(&self, value: &Value) -> String {
        if has_choices(&self.source) {
            return "it does not fit; it is too large to say where, because the schema has choices \
                    (`anyOf`, `oneOf`)"
                .to_owned();
        }
        match self.validator.validate(value) {
            Err(error) => format!("{} and perhaps more", told(&error)),
            Ok(()) => "it does not fit".to_owned(),
        }
    }
}

/// Compiled schemas, by where they stand: the steps of a plan are held against the same few, and each takes as long to
/// compile as a step takes to run.
#[derive(Debug, Default)]
pub struct Compiled<'s> {
    by_place: RefCell<HashMap<usize, Result<OutputSchema, String>>>,
    /// What stands in a place stays there as long as this lives, and neither more nor less.
    stands: PhantomData<Cell<&'s Value>>,
}

impl<'s> Compiled<'s> {
    /// As [`OutputSchema::compile`].
    pub(crate) fn of(&self, schema: &'s Value) -> Result<OutputSchema, String> {
        let place = std::ptr::from_ref(schema).addr();
        let mut by_place = self.by_place.borrow_mut();
        let compiled = by_place.entry(place);
        compiled
            .or_insert_with(|| OutputSchema::compile(schema.clone()))
            .clone()
    }
}

/// A schema that means the same in both is compiled as one of draft 7, whose own schema takes less to compile; what is wrong
/// with one is told in the words of the newest draft.
fn validator(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let options = || {
        jsonschema::options()
            .with_pattern_options(PatternOptions::regex().size_limit(1 << 20))
            .with_keyword("uniqueItems", schema_unique::keyword)
    };
    if is_plain(schema)
        && let Ok(validator) = options().with_draft(Draft::Draft7).build(schema)
    {
        return Ok(validator);
    }
    options().build(schema)
}

/// Why a schema is not valid. A wrong word for a type is what people write, and the validator says of it that no
/// alternative of its own schema holds.
fn no_schema(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let word = error.instance().as_str();
    match word.filter(|_| place.ends_with("/type")) {
        Some(word) => {
            let near = nearest(word, TYPES).map(|near| format!("; did you mean `{near}`?"));
            format!(
                "the schema is not valid: at `{place}`: `{word}` is not a type of JSON Schema; types are `{}`{}",
                TYPES.join("`, `"),
                near.unwrap_or_default()
            )
        }
        None => format!("the schema is not valid: {error}"),
    }
}

/// The types that JSON Schema knows.
const TYPES: [&str; 7] = [
    "object", "array", "string", "number", "integer", "boolean", "null",
];

/// One thing that does not fit a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// JSON pointer (RFC 6901) to what is wrong; of a member that is missing or not taken, to the object.
    pub pointer: String,
    /// The member that is not taken, the first of several.
    pub member: Option<String>,
    /// What is wrong with it, in words that show none of the value.
    pub what: String,
}

impl Misfit {
    /// JSON pointer to what a person has to look at.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.member {
            Some(member) => child(&self.pointer, member),
            None => self.pointer.clone(),
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.pointer.as_str() {
            "" => "/",
            place => place,
        };
        write!(f, "at `{place}`: {}", self.what)
    }
}

/// The validator's words, but for those that only a reader of its language understands.
fn told(error: &ValidationError<'_>) -> Misfit {
    let mut member = None;
    let what = match error.kind() {
        ValidationErrorKind::Required { property } => match property.as_str() {
            Some(name) => format!("`{name}` is required"),
            None => error.masked().to_string(),
        },
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let are = if unexpected.len() == 1 { "is" } else { "are" };
            member = unexpected.first().cloned();
            format!("`{}` {are} not taken", unexpected.join("`, `"))
        }
        _ => error.masked().to_string(),
    };
    Misfit {
        pointer: error.instance_path().to_string(),
        member,
        what,
    }
}

fn has_choices(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members
            .iter()
            .any(|(key, member)| matches!(key.as_str(), "anyOf" | "oneOf") || has_choices(member)),
        Value::Array(items) => items.iter().any(has_choices),
        _ => false,
    }
}

fn outside_reference(schema: &Value) -> Option<&str> {
    match schema {
        Value::Object(members) => members.iter().find_map(|(key, member)| {
            let names = matches!(key.as_str(), "$ref" | "$dynamicRef" | "$recursiveRef");
            match member.as_str() {
                Some(reference) if names && !reference.starts_with('#') => Some(reference),
                _ => outside_reference(member),
            }
        }),
        Value::Array(items) => items.iter().find_map(outside_reference),
        _ => None,
    }
}

impl fmt::Debug for OutputSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutputSchema({})", self.source)
    }
}

impl Serialize for OutputSchema {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.source.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::expr::Template;

    #[test]
    fn a_schema_is_compiled_once_where_it_stands_and_another_for_itself() {
        let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
        let compiled = Compiled::default();
        let first = compiled.of(&text).unwrap();
        let again = compiled.of(&text).unwrap();
        assert!(Arc::ptr_eq(&first.validator, &again.validator));
        let other = compiled.of(&number).unwrap();
        assert_eq!(first.violations(&json!("a")), None);
        assert!(other.violations(&json!("a")).is_some());
    }

    #[test]
    fn templates_that_are_held_against_one_schema_share_it() {
        let schema = json!({ "required": ["n"], "properties": { "n": { "type": "integer" } } });
        let compiled = Compiled::default();
        for (with, misfits) in [
            (json!({ "n": 1 }), 0),
            (json!({}), 1),
            (json!({ "n": "a" }), 1),
        ] {
            let found = Template::fixed(with).misfits_among(&schema, &compiled);
            assert_eq!(found.len(), misfits, "{found:?}");
        }
        assert_eq!(compiled.by_place.borrow().len(), 1);
    }

    #[test]
    fn refuses_a_schema_that_leaves_the_document() {
        for reference in [
            "https://example.com/s.json",
            "file:///etc/passwd",
            "other.json#/a",
        ] {
            let error = OutputSchema::compile(json!({ "items": { "$ref": reference } }));
            assert!(
                error.unwrap_err().contains("leaves the document"),
                "{reference}"
            );
        }
    }

    #[test]
    fn refuses_what_is_not_a_schema() {
        assert!(OutputSchema::compile(json!([])).is_err());
        let why = OutputSchema::compile(json!({ "type": "strin" })).unwrap_err();
        assert!(why.contains("did you mean `string`?"), "{why}");
        assert!(OutputSchema::compile(json!({ "pattern": "(" })).is_err());
    }

    #[test]
    fn says_where_a_value_differs_without_showing_it() {
        let schema = json!({
            "properties": { "n": { "type": "integer" } }, "required": ["n", "m"],
            "$defs": { "x": {} }, "additionalProperties": { "$ref": "#/$defs/x" },
        });
        let schema = OutputSchema::compile(schema).unwrap();
        let violations = schema.violations(&json!({ "n": "secret" })).unwrap();
        assert!(violations.contains("at `/n`"), "{violations}");
        assert!(!violations.contains("secret"), "{violations}");
        assert_eq!(schema.violations(&json!({ "n": 1, "m": 2 })), None);
    }
}
