//! What is told of expressions, and what is not, held against what comes out of them.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::expr::{Expr, Names as Values};

/// The names of these tests, with what is known of each and a value that is so.
fn known(name: &str) -> Known<'static> {
    match name {
        "n" => Known::of(Kinds::NUMBER),
        "t" => Known::of(Kinds::TEXT),
        "b" => Known::of(Kinds::BOOL),
        "l" => Known::list(Known::of(Kinds::NUMBER)),
        "o" => Known::object([("k".to_owned(), Known::of(Kinds::TEXT))].into()),
        "c" => Known::record([("k".to_owned(), Known::of(Kinds::NUMBER))].into()),
        "z" => Known::of(Kinds::NUMBER).or_null(),
        _ => Known::ANYTHING,
    }
}

fn values() -> [(&'static str, Value); 8] {
    [
        ("n", json!(3)),
        ("t", json!("abc")),
        ("b", json!(true)),
        ("l", json!([1, 2])),
        ("o", json!({ "k": "v" })),
        ("c", json!({ "k": 3 })),
        ("z", json!(null)),
        ("u", json!({ "k": [1] })),
    ]
}

fn looked_at(source: &str) -> (Kinds, Option<Wrong>) {
    let expr = Expr::compile(source).unwrap();
    let (known, wrong) = expr.foreseen(&known);
    (known.kinds, wrong)
}

fn wrong(source: &str) -> String {
    let found = looked_at(source).1;
    found.map_or_else(String::new, |it| format!("{} ({})", it.what, it.cure))
}

#[test]
fn tells_nothing_that_could_come_right() {
    for source in [
        // Nothing is known of `u`.
        "u + 1",
        "u.k.k < 'x'",
        "u && !u",
        "u[u] == n",
        "size(u) > n",
        // Null is asked for, though it cannot be.
        "n == null",
        "z != null && z > 3",
        "z > 3",
        // On purpose.
        "dyn(n) + t",
        "dyn(n) == t",
        // Whatever is not equal may be of another kind.
        "n != t",
        "t in [1, 'a']",
        "n + 1 > 2.5",
        "t + string(n)",
        "size(t) + size(l) + size(o)",
        "l.map(it, string(it)).join(', ')",
        "l.filter(it, it > 1) + ['x']",
        "l.all(i, it, i < it)",
        "o.exists(key, key == 'k')",
        "o.transformList(key, value, key + value)",
        "o.?missing.orValue(n) == n",
        "has(o.k) ? o.k : t",
        "(b ? n : t) == 'x'",
        "cel.bind(x, n, x + n)",
        "l.sortBy(it, -it)[0] > 1",
        "optional.of(n).optMap(it, it + 1).value() > 1",
        "[1, 2].exists_one(it, it == 1)",
        "math.greatest(l) > 1",
        "'%d'.format([n])",
        "{'a': n}.a + 1 == 4",
        // It may have more than is known of it.
        "o.other",
        "{t: n}.other",
        "c.k + 1 == 4",
        // Whoever asks whether it is there goes on without it.
        "has(c.m) && c.m",
        "has(c.m) ? c.m : n",
        "c.?m.orValue(n) == n",
    ] {
        assert_eq!(wrong(source), "", "{source}");
    }
}

#[test]
fn tells_what_fails_on_every_value() {
    for (source, told) in [
        (
            "n < '3'",
            "`<` does not go with a number and text (`string(…)` makes text of a number, and `double(…)` a number of text)",
        ),
        ("t - n", "`-` does not go with text and a number"),
        ("z + t", "`+` does not go with a number and text"),
        ("n == '3'", "`==` never holds between a number and text"),
        (
            "'true' == b",
            "`==` never holds between text and true or false (true and false are written without quotes)",
        ),
        ("n.field", "a number has no member `field`"),
        ("t.length", "text has no member `length` (write `size(…)`)"),
        (
            "l.k",
            "a list has no member `k` (name an element, as in `…[0]`",
        ),
        ("o.k.k", "text has no member `k`"),
        ("c.m", "`c.m`: `c` has no member `m` (known members: `k`)"),
        ("c['m'] > 1", "`c` has no member `m`"),
        (
            "size(l) + c.kk",
            "`c` has no member `kk` (did you mean `k`?)",
        ),
        ("{'a': n}.b", "an object has no member `b`"),
        ("{'a': c}.a.m", "an object has no member `m`"),
        ("l.map(it, {'a': it}.b)", "an object has no member `b`"),
        ("o['k'] > 1", "`>` does not go with text and a number"),
        ("l['x']", "a list has no member `x`"),
        (
            "l[t]",
            "an element of a list has a number, and text stands there",
        ),
        ("n[0]", "a number has no elements"),
        (
            "u[null]",
            "an index is text, a whole number, true or false, not null",
        ),
        (
            "!t",
            "expected true or false, not text (compare it, as in `… != ''`)",
        ),
        (
            "b && n",
            "expected true or false, not a number (compare it, as in `… > 0`)",
        ),
        ("b || l", "(`size(…) > 0` asks whether it holds anything)"),
        ("o.?k || b", "`….hasValue()` asks whether it is there"),
        ("t ? 1 : 2", "expected true or false, not text"),
        ("-t", "`-` goes with a number, not text"),
        ("n in t", "`in` does not go with a number and text"),
        ("size(n)", "`size` does not go with a number"),
        (
            "n.contains('x')",
            "`contains` does not go with a number and text",
        ),
        (
            "t.startsWith(n)",
            "`startsWith` does not go with text and a number",
        ),
        ("n.matches('x')", "`matches` does not go with a number"),
        ("string(l)", "`string` does not go with a list"),
        (
            "t.map(it, it)",
            "a loop goes over a list or an object, not text",
        ),
        (
            "l.filter(it, it == 'x')",
            "`==` never holds between a number and text",
        ),
        ("l.filter(it, it)", "expected true or false, not a number"),
        ("l.map(it, it.name)", "a number has no member `name`"),
        (
            "cel.bind(x, n, x + t)",
            "`+` does not go with a number and text",
        ),
        ("[?n]", "`?` takes an optional value, not a number"),
        ("{'a': n}.a.b", "a number has no member `b`"),
        ("(n + 1) + t", "`+` does not go with a number and text"),
        (
            "size(t) == '3'",
            "`==` never holds between a number and text",
        ),
    ] {
        let found = wrong(source);
        assert!(found.contains(told), "{source}: {found}");
    }
}

#[test]
fn the_first_thing_is_told_and_not_what_follows_from_it() {
    let found = wrong("(n + t).k - 'x'");
    assert!(
        found.starts_with("`(n + t).k - 'x'`: `+` does not go with"),
        "{found}"
    );
    for (source, first) in [
        ("c.m + (n + t)", "no member"),
        ("(n + t) + c.m", "`+` does not"),
    ] {
        let found = wrong(source);
        assert!(found.contains(first), "{source}: {found}");
    }
}

#[test]
fn a_schema_says_which_kinds_there_are() {
    let kinds = |schema: Value| Kinds::of_schema(&schema);
    assert_eq!(kinds(json!({ "type": "integer" })), Kinds::NUMBER);
    let either = Kinds::TEXT.or(Kinds::NULL);
    assert_eq!(kinds(json!({ "type": ["string", "null"] })), either);
    assert_eq!(kinds(json!({ "enum": ["a", null] })), either);
    assert_eq!(kinds(json!({ "const": {} })), Kinds::OBJECT);
    assert_eq!(
        kinds(json!({ "type": "string", "enum": ["a", 1] })),
        Kinds::TEXT
    );
    for unsure in [
        json!(true),
        json!({}),
        json!({ "type": "number", "$ref": "#/$defs/n" }),
        json!({ "type": "number", "const": "never" }),
    ] {
        let found = kinds(unsure.clone());
        assert!(found == Kinds::JSON || found == Kinds::NUMBER, "{unsure}");
    }
    assert_eq!(kinds(json!({ "type": "x", "$ref": "#" })), Kinds::JSON);
}

#[test]
fn members_and_elements_are_as_their_schema_says() {
    let schema = json!({ "type": "object", "properties": {
        "files": { "type": "array", "items": { "type": "object", "properties": { "size": { "type": "integer" } } } },
        "odd": { "type": "array", "prefixItems": [{}], "items": { "type": "integer" } },
        "other": { "$ref": "#/$defs/o", "properties": { "a": { "type": "integer" } } },
    } });
    let told = |source: &str| {
        let expr = Expr::compile(source).unwrap();
        let (_, wrong) = expr.foreseen(&|_| Known::schema(&schema).or_null());
        wrong.is_some()
    };
    assert!(told("x.files[0].size == '3'"));
    assert!(told("x.files.filter(it, it.size > 'a').size() > 0"));
    assert!(told("x.files.size"));
    assert!(!told("x.files[0].name == '3'"));
    assert!(!told("x.odd[0] == '3'"));
    assert!(!told("x.other.a == '3'"));
}

/// Operators and functions that fail as soon as a part of them does.
fn strict() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "n", "t", "b", "l", "o", "c", "z", "u", "1", "2.5", "'x'", "true", "null", "[1, 'a']",
        "{'k': 1}",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 2, |inner| {
            let two = (inner.clone(), inner.clone());
            let operators = vec!["+", "-", "*", "<", ">=", "in"];
            prop_oneof![
                (two.clone(), prop::sample::select(operators))
                    .prop_map(|((a, b), operator)| format!("({a} {operator} {b})")),
                two.clone().prop_map(|(a, b)| format!("({a})[{b}]")),
                two.prop_map(|(a, b)| format!("({a}).contains({b})")),
                inner.clone().prop_map(|a| format!("size({a})")),
                inner.clone().prop_map(|a| format!("string({a})")),
                inner.clone().prop_map(|a| format!("!({a})")),
                inner.clone().prop_map(|a| format!("-({a})")),
                inner.clone().prop_map(|a| format!("({a}).m")),
                inner.prop_map(|a| format!("({a}).k")),
            ]
        })
}

fn evaluated(source: &str) -> Option<Value> {
    let values = values();
    let names: Vec<(&str, &Value)> = values.iter().map(|(name, value)| (*name, value)).collect();
    Expr::compile(source)
        .unwrap()
        .eval(&Values::new(&names))
        .ok()
}

proptest! {
    #[test]
    fn what_is_told_fails_and_what_comes_out_was_foreseen(source in strict()) {
        let (kinds, wrong) = looked_at(&source);
        let value = evaluated(&source);
        if let Some(wrong) = wrong {
            prop_assert!(value.is_none(), "{}: {} and gives {:?}", source, wrong.what, value);
        }
        if let Some(value) = value {
            prop_assert!(kinds.meets(Kinds::of_value(&value)), "{}: {}", source, value);
        }
    }

    #[test]
    fn a_loop_gives_what_was_foreseen(over in strict(), inside in strict()) {
        for source in [
            format!("({over}).map(it, {inside})"),
            format!("({over}).filter(it, it == ({inside}))"),
            format!("({over}).exists(it, it == ({inside}))"),
            format!("({over}).all(i, it, i != it || ({inside}))"),
            format!("cel.bind(x, {over}, x == ({inside}))"),
            format!("true ? ({over}) : ({inside})"),
        ] {
            if Expr::compile(&source).is_err() {
                continue; // it has too many parts
            }
            let (kinds, _) = looked_at(&source);
            if let Some(value) = evaluated(&source) {
                prop_assert!(kinds.meets(Kinds::of_value(&value)), "{}: {}", source, value);
            }
        }
    }
}
