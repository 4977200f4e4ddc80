//! The promise that a schema check is refused before it takes long, tried with schemas and values that
//! are made to break it. The kernel says how much processor time a check took.
#![expect(
    clippy::disallowed_methods,
    reason = "the kernel's count of processor time is a file"
)]

use flowhost_flow::OutputSchema;
use flowhost_flow::expr::Limits;
use serde_json::{Map, Value, json};

/// Units that these checks may cost: a sixteenth of what a run allows.
const COST: u64 = 1_000_000;
/// Nanoseconds for each, without optimisation. With it, it is a tenth.
const NANOS_PER_UNIT: u64 = 1_000;

/// Processor time of this thread, where the kernel tells it.
fn nanos() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok()
}

fn texts(count: usize) -> Value {
    (0..count).map(|n| json!(format!("item {n}"))).collect()
}

fn object(count: usize) -> Value {
    let members = (0..count).map(|n| (format!("member {n}"), json!(n)));
    Value::Object(members.collect())
}

fn nested(inner: Value, levels: usize, keyword: &str) -> Value {
    (0..levels).fold(inner, |inner, _| json!({ keyword: [inner, inner] }))
}

/// A list of 24 values that each say a bit of the number.
fn bits(number: usize, no: Value, yes: Value) -> Value {
    let bit = |at: u32| match number >> at & 1 {
        0 => no.clone(),
        _ => yes.clone(),
    };
    (0..24).map(bit).collect()
}

/// Levels of schemas that each want to know which members the one within has seen.
fn unseen(levels: usize, keyword: &str) -> Value {
    let innermost = json!({ "properties": { "x": {} } });
    (0..levels).fold(
        innermost,
        |inner, _| json!({ keyword: [inner], "unevaluatedProperties": { "type": "number" } }),
    )
}

type Bomb = (&'static str, Value, fn(usize) -> Value);

fn bombs() -> Vec<Bomb> {
    let patterns: Vec<Value> = (0..2_000)
        .map(|n| json!({ "pattern": format!("^(a|b{n})*$") }))
        .collect();
    let keyed: Map<String, Value> = (0..500).map(|n| (format!("x{n}$"), json!({}))).collect();
    let choices: Vec<Value> = (0..5_000).map(|n| json!({ "k": [n] })).collect();
    let fewer: Vec<Value> = (0..200).map(|n| json!({ "const": n })).collect();
    vec![
        (
            "patterns over a list",
            json!({ "items": { "allOf": patterns } }),
            texts,
        ),
        (
            "one pattern with many states",
            json!({ "items": { "pattern": "(a|m| )*m([a-z]| ){200}$" } }),
            texts,
        ),
        (
            "one pattern over a long text",
            json!({ "pattern": "(a|m| )*m([a-z]| ){200}$" }),
            |n| json!("item ".repeat(n)),
        ),
        (
            "patterns over names",
            json!({ "patternProperties": keyed }),
            object,
        ),
        (
            "a pattern for names",
            json!({ "propertyNames": { "pattern": "^[a-z 0-9]{1,300}$" } }),
            object,
        ),
        (
            "a long enum",
            json!({ "items": { "enum": choices } }),
            |n| (0..n).map(|n| json!({ "k": [n + 5_000] })).collect(),
        ),
        (
            "a long enum of texts",
            json!({ "items": { "enum": texts(5_000) } }),
            texts,
        ),
        ("choices", json!({ "items": { "oneOf": fewer } }), |n| {
            (0..n).map(Value::from).collect()
        }),
        (
            "choices in choices",
            json!({ "items": nested(json!({ "type": "null" }), 8, "anyOf") }),
            texts,
        ),
        (
            "choices that hold",
            json!({ "items": nested(json!({ "minLength": 1 }), 8, "allOf") }),
            texts,
        ),
        ("items that differ", json!({ "uniqueItems": true }), texts),
        (
            "few long items that differ",
            json!({ "uniqueItems": true }),
            |n| (0..15).map(|last| json!([vec![0; n], last])).collect(),
        ),
        (
            "lists in lists that differ",
            json!({ "items": { "uniqueItems": true } }),
            |n| vec![texts(14); n].into_iter().collect(),
        ),
        (
            "items that differ in their nesting alone",
            json!({ "uniqueItems": true }),
            |n| (0..n).map(|n| bits(n, json!([]), json!([[]]))).collect(),
        ),
        (
            "items of false and nought",
            json!({ "uniqueItems": true }),
            |n| (0..n).map(|n| bits(n, json!(false), json!(0))).collect(),
        ),
        (
            "items that are one double",
            json!({ "uniqueItems": true }),
            |n| (0..n).map(|n| json!((1_u64 << 63) + n as u64)).collect(),
        ),
        (
            "contains so many",
            json!({ "contains": { "minLength": 99 }, "minContains": 1, "maxContains": 9 }),
            texts,
        ),
        (
            "members nobody saw, in a few levels",
            unseen(6, "allOf"),
            object,
        ),
        (
            "members nobody saw, in many levels",
            unseen(30, "anyOf"),
            object,
        ),
        (
            "items nobody saw, in a few levels",
            (0..6).fold(
                json!({ "prefixItems": [{}] }),
                |inner, _| json!({ "allOf": [inner], "unevaluatedItems": { "type": "string" } }),
            ),
            texts,
        ),
        ("contains", json!({ "contains": { "allOf": fewer } }), texts),
        (
            "members nobody saw",
            json!({
                "allOf": [{ "properties": { "x": {} } }], "unevaluatedProperties": { "type": "number" },
            }),
            object,
        ),
        (
            "dependent",
            json!({ "dependentSchemas": { "member 0": { "additionalProperties": {
            "type": "integer" } } } }),
            object,
        ),
        (
            "decimals",
            json!({ "items": { "multipleOf": 1e-7 } }),
            |n| (0..n).map(|n| json!(n as f64 + 1e-5)).collect(),
        ),
        (
            "formats",
            json!({ "items": { "format": "idn-email" }, "$schema":
            "http://json-schema.org/draft-07/schema#" }),
            texts,
        ),
        (
            "wrong all over",
            json!({ "items": { "type": "integer", "maxLength": 1 } }),
            texts,
        ),
        (
            "wrong all over, with a choice",
            json!({ "items": { "anyOf": [{ "type": "null" }] } }),
            texts,
        ),
        (
            "deep",
            json!({ "additionalProperties": { "additionalProperties": { "type": "null" } } }),
            |n| json!({ "a": object(n), "b": object(n) }),
        ),
    ]
}

#[test]
fn a_check_is_refused_before_it_takes_long() {
    for (name, schema, value) in bombs() {
        let schema =
            OutputSchema::compile(schema).unwrap_or_else(|error| panic!("{name}: {error}"));
        let limits = Limits {
            cost: COST,
            stop: &|| false,
        };
        let mut refused = false;
        for size in (4..24).map(|power| 1_usize << power) {
            let value = value(size);
            let started = nanos();
            let told = schema.violations_within(&value, &limits);
            let took = nanos().zip(started).map(|(now, then)| now - then);
            if std::env::var_os("FLOWHOST_WEIGH").is_some() {
                println!(
                    "{name}: {size}: {} ms {told:?}",
                    took.unwrap_or(0) / 1_000_000
                );
            } else if let Some(took) = took {
                assert!(
                    took <= COST * NANOS_PER_UNIT,
                    "{name}: {size} took {took} ns"
                );
            }
            refused = told.is_some_and(|told| told.contains("would cost more"));
            if refused {
                break;
            }
        }
        assert!(refused, "{name} is never too large");
    }
}

#[test]
fn refuses_patterns_that_cost_too_much_to_compile() {
    let many: Vec<Value> = (0..1_000)
        .map(|n| json!({ "pattern": format!("[a-z]{{900}}{n}") }))
        .collect();
    for schema in [
        json!({ "allOf": many }),
        json!({ "pattern": "((a{100}){100}){100}" }),
        json!({ "patternProperties": { r"(\pL{100}){10}": true } }),
    ] {
        let error = OutputSchema::compile(schema).expect_err("too large");
        assert!(
            error.contains("patterns of the schema are too large"),
            "{error}"
        );
    }
}

#[test]
fn hears_a_deadline_and_says_where_large_values_differ() {
    let schema = OutputSchema::compile(json!({ "items": { "type": "string" } })).expect("a schema");
    let mut items = vec![json!("x"); 200_000];
    assert_eq!(schema.violations(&Value::Array(items.clone())), None);
    items[150_000] = json!(1);
    let value = Value::Array(items);
    let told = schema.violations(&value).expect("it differs");
    assert!(told.contains("at `/150000`"), "{told}");
    let impatient = Limits {
        cost: u64::MAX,
        stop: &|| true,
    };
    let told = schema
        .violations_within(&value, &impatient)
        .expect("it was stopped");
    assert!(told.contains("stopped"), "{told}");
}

#[test]
fn items_are_unique_or_not_whatever_the_validators_own_hash_thinks_of_them() {
    let schema = OutputSchema::compile(json!({ "uniqueItems": true })).expect("a schema");
    let mut items: Vec<Value> = (0..20_000)
        .map(|n| bits(n, json!([]), json!([[]])))
        .collect();
    assert_eq!(schema.violations(&Value::Array(items.clone())), None);
    items.push(items[7].clone());
    let told = schema
        .violations(&Value::Array(items))
        .expect("one is twice");
    assert!(told.contains("non-unique"), "{told}");
    let any = OutputSchema::compile(json!({ "uniqueItems": false })).expect("a schema");
    assert_eq!(any.violations(&json!([1, 1])), None);
}

#[test]
fn ordinary_records_are_far_from_the_bound() {
    let record = json!({
        "type": "object",
        "properties": {
            "id": { "type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" },
            "title": { "type": "string", "minLength": 1, "maxLength": 200 },
            "state": { "enum": ["open", "done", "dropped"] },
            "tags": { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
            "owner": { "anyOf": [{ "type": "null" }, { "type": "string" }] },
        },
        "required": ["id", "title", "state"],
        "additionalProperties": false,
    });
    let schema =
        OutputSchema::compile(json!({ "type": "array", "items": record })).expect("a schema");
    let one = json!({
        "id": "01234567-89ab-cdef-0123-456789abcdef", "title": "check the links", "state": "open",
        "tags": ["docs", "later"], "owner": null,
    });
    assert_eq!(schema.violations(&json!(vec![one; 5_000])), None);
}
