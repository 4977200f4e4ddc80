//! A JSON Schema against a value (JSON Schema 2020-12, or what `$schema` names), for components that
//! have no entropy, no files and no network.
//!
//! Patterns take linear time, and there is no way to reach another document: a schema stands alone.
//! What a check may cost is bounded twice: before it begins by a rough count of its work, so that a bad
//! pair is told by its reason, and while it runs by the fuel of the plugin that makes it.
//! `multipleOf` is a question about decimals and is answered in decimals: 19.99 is a multiple of 0.01.
//!
//! # Examples
//!
//! ```
//! let schema = flowhost_schema::Schema::compile(&serde_json::json!({ "type": "integer" })).unwrap();
//! assert!(schema.violations(&serde_json::json!(1)).is_empty());
//! assert_eq!(schema.violations(&serde_json::json!("one")).len(), 1);
//! ```

#[cfg(target_arch = "wasm32")]
mod entropy;
mod multiple;
mod plain;
mod work;

use std::cell::OnceCell;

use boon::{CompileError, Compiler, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

use crate::multiple::Multipliers;
use crate::work::Work;

/// Most violations of one check; the first ones are enough to act on.
pub const VIOLATIONS_MAX: usize = 50;
/// Longest message of one violation, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 512;
/// The schema's own name. No other one can be loaded.
const SCHEMA: &str = "flowhost:///schema.json";
/// The same for a schema that somebody has checked. The validator holds a schema against the metaschema of its
/// draft, and compiles those of all five drafts for it: fifty times the work of compiling the schema itself, in
/// every new instance. It leaves that out for documents of this host, whose schemas are its own.
const CHECKED: &str = "https://json-schema.org/flowhost/schema.json";

/// The schema is none, or refers to another document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schema: {0}")]
pub struct SchemaError(String);

/// One place that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 pointer into the value; empty for the whole.
    pub pointer: String,
    /// At most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

/// A schema that values can be checked against.
pub struct Schema {
    form: Form,
    work: Work,
}

enum Form {
    Compiled(Compiled),
    /// Of plain words, and compiled when a value does not fit it.
    Plain(Value, OnceCell<Result<Compiled, SchemaError>>),
}

struct Compiled {
    schemas: Schemas,
    index: SchemaIndex,
    multipliers: Multipliers,
}

impl Schema {
    /// Reads a schema. Formats are asserted.
    ///
    /// # Errors
    /// When it is none, or needs another document.
    pub fn compile(schema: &Value) -> Result<Self, SchemaError> {
        Self::compiled(schema, SCHEMA)
    }

    fn compiled(schema: &Value, name: &str) -> Result<Self, SchemaError> {
        Ok(Self {
            form: Form::Compiled(Compiled::of(schema, name)?),
            work: Work::of(schema),
        })
    }

    /// As [`Schema::compile`], for a schema that somebody has found to be one: the host, for the schema of a
    /// task's answer. It costs a fiftieth, and one that says no more than types, members, lists, lengths and choices costs
    /// nothing before a value does not fit it. A keyword with a value that the metaschema does not allow is passed
    /// over, so that it checks nothing.
    ///
    /// # Errors
    /// When it needs another document, or has a pattern that is none.
    ///
    /// # Examples
    ///
    /// ```
    /// let schema = serde_json::json!({ "type": "integer" });
    /// let schema = flowhost_schema::Schema::compile_checked(&schema).unwrap();
    /// assert_eq!(schema.violations(&serde_json::json!("one")).len(), 1);
    /// ```
    pub fn compile_checked(schema: &Value) -> Result<Self, SchemaError> {
        if plain::is_plain(schema) {
            return Ok(Self {
                form: Form::Plain(schema.clone(), OnceCell::new()),
                work: Work::of(schema),
            });
        }
        Self::compiled(schema, CHECKED)
    }

    /// What does not fit, in the order of the schema, at most [`VIOLATIONS_MAX`].
    #[must_use]
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        // A check that is not made has not passed.
        if let Some(refusal) = self.work.refusal(value) {
            return vec![whole(refusal)];
        }
        let compiled = match &self.form {
            Form::Compiled(compiled) => return compiled.violations(value),
            Form::Plain(schema, _) if plain::fits(schema, value) => return Vec::new(),
            Form::Plain(schema, cell) => cell.get_or_init(|| Compiled::of(schema, CHECKED)),
        };
        match compiled {
            Ok(compiled) => compiled.violations(value),
            Err(error) => vec![whole(error.to_string())],
        }
    }
}

impl Compiled {
    fn of(schema: &Value, name: &str) -> Result<Self, SchemaError> {
        let wrong = |error: CompileError| SchemaError(told(&error));
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.use_loader(Box::new(NothingElse));
        let mut exact = schema.clone();
        let multipliers = Multipliers::take(&mut exact);
        multipliers.register(&mut compiler);
        compiler.add_resource(name, exact).map_err(wrong)?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(name, &mut schemas).map_err(wrong)?;
        Ok(Self {
            schemas,
            index,
            multipliers,
        })
    }

    fn violations(&self, value: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        let _in_force = self.multipliers.enter();
        if let Err(error) = self.schemas.validate(value, self.index) {
            collect(&error, &mut found);
        }
        found
    }
}

/// What is wrong with a value as a whole.
fn whole(message: String) -> Violation {
    Violation {
        pointer: String::new(),
        message,
    }
}

/// Faults of a schema that are told at once: one round of mending shows the rest.
const FAULTS_TOLD: usize = 3;

/// What is wrong with a schema, in one line, with the place in it and without the name that it has here.
fn told(error: &CompileError) -> String {
    match error {
        CompileError::ValidationError { src, .. } => {
            let mut found = Vec::new();
            collect(src, &mut found);
            found
                .iter()
                .take(FAULTS_TOLD)
                .map(|it| {
                    let place = match it.pointer.as_str() {
                        "" => "/",
                        pointer => pointer,
                    };
                    format!("at `{place}`: {}", one_line(&it.message))
                })
                .collect::<Vec<_>>()
                .join("; ")
        }
        CompileError::InvalidRegex { url, regex, src } => {
            let place = url.split_once('#').map_or("/", |(_, place)| place);
            let why = one_line(&src.to_string());
            format!("at `{place}`: the pattern `{regex}` cannot be used: {why}")
        }
        CompileError::LoadUrlError { src, .. } => one_line(&src.to_string()),
        // A pattern that is none, where nobody held the schema against the metaschema.
        CompileError::Bug(src) => format!("it cannot be used: {}", one_line(&src.to_string())),
        other => {
            let told = format!("{other:#}")
                .replace(CHECKED, "")
                .replace(SCHEMA, "");
            one_line(&told)
        }
    }
}

/// A message on one line. The reader of patterns draws the place over several, and says in the last what it is.
fn one_line(message: &str) -> String {
    let (what, drawn) = message
        .split_once("regex parse error:")
        .unwrap_or((message, ""));
    let why = drawn.rsplit("error: ").next().unwrap_or_default();
    let words = what.split_whitespace().chain(why.split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

/// The errors that have no cause of their own, which are the places to look at.
fn collect(error: &ValidationError<'_, '_>, found: &mut Vec<Violation>) {
    if found.len() >= VIOLATIONS_MAX {
        return;
    }
    if error.causes.is_empty() {
        found.push(Violation {
            pointer: error.instance_location.to_string(),
            message: shortened(message(&error.kind)),
        });
    }
    for cause in &error.causes {
        collect(cause, found);
    }
}

fn message(kind: &ErrorKind<'_, '_>) -> String {
    match kind {
        ErrorKind::Format { want, err, .. } if multiple::is_ours(want) => err.to_string(),
        kind => kind.to_string(),
    }
}

fn shortened(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES_MAX));
    message
}

/// Loads nothing.
struct NothingElse;

impl UrlLoader for NothingElse {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("`{url}` is another document, and a schema stands alone").into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_a_schema_that_is_none_or_refers_to_another_document() {
        for schema in [
            json!({ "type": "nonsense" }),
            json!({ "$ref": "https://example.org/schema.json" }),
        ] {
            assert!(Schema::compile(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_schema_is_told_in_one_line_with_its_place() {
        let told = |schema: Value| Schema::compile(&schema).err().expect("a fault").to_string();
        let pattern = told(json!({ "properties": { "a": { "pattern": "^(?=x)" } } }));
        assert!(
            pattern.starts_with("the schema: at `/properties/a/pattern`: "),
            "{pattern}"
        );
        assert!(
            pattern.ends_with("look-ahead and look-behind, is not supported"),
            "{pattern}"
        );
        let kind = told(json!({ "items": { "type": "nonsense" } }));
        assert!(kind.contains("at `/items/type`"), "{kind}");
        let other = told(json!({ "$ref": "https://example.org/x.json" }));
        let alone = "the schema: `https://example.org/x.json` is another document, and a schema stands alone";
        assert_eq!(other, alone);
        let gone = told(json!({ "$ref": "#/$defs/gone" }));
        for text in [&pattern, &kind, &other, &gone] {
            assert!(
                !text.contains(['\n', '\u{a0}']) && !text.contains("flowhost:///"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_schema_that_was_checked_judges_the_same_and_reaches_no_other_document() {
        let schema = json!({
            "type": "object", "required": ["b"],
            "properties": { "a": { "$ref": "#/$defs/price" }, "b": { "format": "date" }, "c": { "pattern": "^x$" } },
            "$defs": { "price": { "type": "number", "multipleOf": 0.05 } },
        });
        let (full, checked) = (Schema::compile(&schema), Schema::compile_checked(&schema));
        let (full, checked) = (full.expect("a schema"), checked.expect("a schema"));
        for value in [
            json!({ "a": 1.15, "b": "2026-11-26", "c": "x" }),
            json!({ "a": 0.07, "c": "y" }),
            json!({ "a": "one", "b": "soon" }),
            json!([]),
        ] {
            assert_eq!(
                checked.violations(&value),
                full.violations(&value),
                "{value}"
            );
        }
        for other in ["other.json", "https://example.org/schema.json"] {
            let schema = json!({ "$ref": other });
            assert!(Schema::compile_checked(&schema).is_err(), "{other}");
        }
    }

    #[test]
    fn points_at_each_place_that_does_not_fit() {
        let schema = json!({ "properties": { "a": { "type": "integer" } }, "required": ["b"] });
        let schema = Schema::compile(&schema).expect("a schema");
        let found = schema.violations(&json!({ "a": "one" }));
        let places: Vec<&str> = found.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(places, ["", "/a"]);
        assert!(schema.violations(&json!({ "a": 1, "b": 2 })).is_empty());
    }

    #[test]
    fn a_decimal_is_a_multiple_of_a_decimal_or_it_is_not() {
        let schema = json!({ "items": { "multipleOf": 0.01 } });
        let schema = Schema::compile(&schema).expect("a schema");
        let fits = json!([19.99, 1_070_468.14, 600.03, 0, -4.35, 1e15, "text"]);
        assert_eq!(schema.violations(&fits), []);
        let found = schema.violations(&json!([19.999, 0.005]));
        let places: Vec<&str> = found.iter().map(|it| it.pointer.as_str()).collect();
        assert_eq!(places, ["/0", "/1"]);
        assert_eq!(found[0].message, "19.999 is not a multiple of 0.01");
    }

    #[test]
    fn multiples_count_within_what_is_denied_chosen_and_counted() {
        let price = json!({ "type": "number", "multipleOf": 0.05 });
        for (schema, fits, not) in [
            (json!({ "not": price }), json!(0.07), json!(1.15)),
            (
                json!({ "anyOf": [price, { "const": "free" }] }),
                json!(1.15),
                json!(0.07),
            ),
            (
                json!({ "contains": price, "maxContains": 1 }),
                json!([1.15, 0.07]),
                json!([1.15, 2.35]),
            ),
            (
                json!({ "if": price, "then": { "minimum": 1 } }),
                json!(1.15),
                json!(0.35),
            ),
            (
                json!({ "$ref": "#/$defs/p", "$defs": { "p": price } }),
                json!(8.15),
                json!(8.16),
            ),
        ] {
            let compiled = Schema::compile(&schema).expect("a schema");
            assert_eq!(compiled.violations(&fits), [], "{schema} {fits}");
            assert!(!compiled.violations(&not).is_empty(), "{schema} {not}");
        }
    }

    #[test]
    fn what_is_data_in_a_schema_is_not_read_as_one() {
        let schema = json!({ "const": { "multipleOf": 0.01 } });
        let schema = Schema::compile(&schema).expect("a schema");
        assert_eq!(schema.violations(&json!({ "multipleOf": 0.01 })), []);
    }

    #[test]
    fn a_check_that_would_cost_too_much_is_refused_with_its_reason() {
        let patterns: serde_json::Map<String, Value> = (0..4_000)
            .map(|number| (format!("^a{number}(b|c)*d$"), json!({})))
            .collect();
        let schema = Schema::compile(&json!({ "items": { "patternProperties": patterns } }));
        let schema = schema.expect("a schema");
        let items = vec![json!({ "abcbcbcbcbcbcbcbcbcbcbc": 1 }); 20_000];
        let found = schema.violations(&Value::Array(items));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].message.contains("would take too much work"),
            "{}",
            found[0].message
        );
        assert_eq!(schema.violations(&json!([{ "x": 1 }])), []);
    }

    #[test]
    fn a_thousand_faults_are_shown_up_to_a_bound() {
        let schema = Schema::compile(&json!({ "items": { "type": "string" } })).expect("a schema");
        assert_eq!(
            schema.violations(&json!(vec![1; 1_000])).len(),
            VIOLATIONS_MAX
        );
    }
}
