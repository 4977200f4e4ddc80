//! The hash does not change with what means nothing, and changes with everything that means something.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::plan::tests::GOOD;

fn hash(text: &str) -> String {
    plan_hash(&Plan::parse(text, "p.yaml").unwrap(), &BTreeMap::new()).unwrap()
}

fn plan(steps: &Value) -> Value {
    json!({
        "flowhost": "v1", "kind": "workflow", "name": "t",
        "plugins": { "t": { "kind": "tool", "source": "./t.wasm", "profile": "p" } },
        "steps": steps,
    })
}

#[test]
fn any_change_of_meaning_changes_the_hash() {
    let original = hash(GOOD);
    for (from, to) in [
        ("name: everything", "name: anything"),
        ("default: fast", "default: slow"),
        (
            "limit: { type: number, default: 3 }",
            "limit: { type: number, default: 4 }",
        ),
        ("config: { a: 1 }", "config: { a: 2 }"),
        ("fuel: 5", "fuel: 6"),
        ("profile: tool-pure", "profile: tool-readonly"),
        ("usd: 3.00", "usd: 3.01"),
        ("timeout: 1h", "timeout: 2h"),
        ("max_attempts: 3", "max_attempts: 4"),
        ("jitter: 0.5", "jitter: 0.6"),
        ("size(steps.list.output) > 0", "size(steps.list.output) > 1"),
        ("max_parallel: 4", "max_parallel: 5"),
        ("fail_fast: false", "fail_fast: true"),
        ("require: \"90%\"", "require: \"91%\""),
        ("on_timeout: continue", "on_timeout: halt"),
        ("uses: t/check", "uses: t/other"),
        ("effects: idempotent", "effects: once"),
        ("stage: plan", "stage: tasks"),
        ("schema: { type: object }", "schema: { type: array }"),
        ("on_fail: warn } ] }", "on_fail: halt } ] }"),
        ("then: \"goto:last\"", "then: halt"),
        ("needs: [report]", "needs: [report, gate]"),
        ("with: { x: 1 }", "with: { x: 2 }"),
        ("cost: \"${{", "price: \"${{"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        assert_ne!(hash(&GOOD.replacen(from, to, 1)), original, "{from}");
    }
}

#[test]
fn what_means_nothing_does_not_change_the_hash() {
    let original = hash(GOOD);
    for (from, to) in [
        ("description: Uses every key.", "description: Other words."),
        ("timeout: 10m", "timeout: 600s"),
        ("usd: 3.00", "usd: \"3\""),
        ("\nsteps:", "\n# a comment\nsteps:"),
        ("when: \"size(", "when: \"${{ size("),
    ] {
        let mut changed = GOOD.replacen(from, to, 1);
        if to.contains("${{ size(") {
            changed = changed.replacen("output) > 0\"", "output) > 0 }}\"", 1);
        }
        assert_eq!(hash(&changed), original, "{from}");
    }
    let plan = Plan::parse(GOOD, "elsewhere/q.yaml").unwrap();
    assert_eq!(plan_hash(&plan, &BTreeMap::new()).unwrap(), original);
}

#[test]
fn components_profiles_schemas_and_sub_plans_are_in_the_hash() {
    let mut plan = Plan::parse(GOOD, "p.yaml").unwrap();
    let resolved = |component: &str, profile: &str| {
        BTreeMap::from([(
            "t".to_owned(),
            ResolvedPlugin {
                component_sha256: component.to_owned(),
                profile_sha256: profile.to_owned(),
            },
        )])
    };
    let mut seen = vec![plan_hash(&plan, &BTreeMap::new()).unwrap()];
    seen.push(plan_hash(&plan, &resolved("a", "b")).unwrap());
    seen.push(plan_hash(&plan, &resolved("c", "b")).unwrap());
    seen.push(plan_hash(&plan, &resolved("a", "c")).unwrap());
    plan.attach_schema("s.json", &json!({ "type": "object" }))
        .unwrap();
    seen.push(plan_hash(&plan, &BTreeMap::new()).unwrap());
    plan.attach_schema("s.json", &json!({ "type": "array" }))
        .unwrap();
    seen.push(plan_hash(&plan, &BTreeMap::new()).unwrap());
    for text in [
        "inputs: {x: {type: number}}",
        "inputs: {x: {type: number, default: 1}}",
    ] {
        let child = format!(
            "flowhost: v1\nkind: workflow\nname: c\n{text}\nplugins: {{t: {{kind: tool, source: \
             ./t.wasm, profile: p}}}}\nsteps: {{s: {{uses: t}}}}\n"
        );
        plan.attach_plan("other.yaml", Plan::parse(&child, "o.yaml").unwrap())
            .unwrap();
        seen.push(plan_hash(&plan, &BTreeMap::new()).unwrap());
    }
    let mut unique = seen.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), seen.len());
}

/// Of one millisecond, which is the worst case: nothing but the random bits tells them apart.
#[test]
fn fifty_thousand_ids_of_one_moment_differ() {
    use rand_core::{Rng as _, SeedableRng as _};

    let mut random = rand_chacha::ChaCha8Rng::from_seed([7; 32]);
    let ids = (0..50_000).map(|_| {
        let mut bits = [0; 10];
        random.fill_bytes(&mut bits);
        run_id(1_700_000_000_000, bits)
    });
    let unique: std::collections::BTreeSet<String> = ids.collect();
    assert_eq!(unique.len(), 50_000);
}

#[test]
fn ids_have_their_form_and_differ() {
    let id = run_id(1_700_000_000_000, [7; 10]);
    assert_eq!(id.len(), 26);
    assert_eq!(
        ulid::Ulid::from_string(&id).unwrap().timestamp_ms(),
        1_700_000_000_000
    );
    assert_eq!(step_id("h", "a/b").len(), 32);
    assert_ne!(step_id("h", "a/b"), step_id("h", "a/c"));
    assert_ne!(
        step_id("ha", "b"),
        step_id("h", "ab"),
        "parts do not run together"
    );
    assert_ne!(derive_seed(1, &["a"]), derive_seed(2, &["a"]));
    assert_ne!(derive_seed(1, &["a", "b"]), derive_seed(1, &["ab"]));
    assert_ne!(
        idempotency_key("r", "s", "work"),
        idempotency_key("q", "s", "work")
    );
}

/// A JSON value as YAML in flow style, with the keys of each map turned by `turn`.
fn write(value: &Value, turn: usize) -> String {
    match value {
        Value::Object(members) => {
            let mut all: Vec<_> = members.iter().collect();
            let len = all.len().max(1);
            all.rotate_left(turn % len);
            let all: Vec<_> = all
                .into_iter()
                .map(|(k, v)| format!("{k:?}: {}", write(v, turn + 1)))
                .collect();
            format!("{{{}}}", all.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| write(item, turn)).collect();
            format!("[{}]", items.join(", "))
        }
        scalar => scalar.to_string(),
    }
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1_000_i64..1_000).prop_map(Value::from),
        "[a-z ]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn steps() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-z]{1,6}", json_value(), 1..6).prop_map(|steps| {
        let steps = steps
            .into_iter()
            .map(|(id, with)| (id, json!({ "uses": "t", "with": with })));
        Value::Object(steps.collect::<Map<_, _>>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_order_of_keys_means_nothing(steps in steps(), turn in 0_usize..7) {
        let plan = plan(&steps);
        prop_assert_eq!(hash(&write(&plan, 0)), hash(&write(&plan, turn)));
    }

    #[test]
    fn different_steps_have_different_hashes(a in steps(), b in steps()) {
        prop_assume!(a != b);
        prop_assert_ne!(hash(&write(&plan(&a), 0)), hash(&write(&plan(&b), 0)));
    }
}

#[test]
fn the_work_of_a_step_is_what_it_gives_and_who_gives_it() {
    let text = "flowhost: v1\nkind: workflow\nname: t\nplugins:\n  \
                t: {kind: agent, source: ./t.wasm, profile: p, config: {a: 1}}\n  \
                u: {kind: agent, source: ./u.wasm, profile: p, config: {b: 1}}\nsteps:\n  \
                s: {uses: t, prompt: p.md, timeout: 1m, with: {x: 1}, checks: [{id: c, that: \"true\"}]}\n";
    let hash = |text: &str, prompt: &str| {
        let mut plan = Plan::parse(text, "p.yaml").unwrap();
        plan.attach_prompt("p.md", prompt);
        work_hash(&plan, plan.step("s").unwrap()).unwrap()
    };
    let original = hash(text, "ask");
    assert_ne!(hash(text, "ask more"), original, "the prompt's text");
    let with = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        hash(&text.replacen(from, to, 1), "ask")
    };
    for (from, to) in [
        ("x: 1", "x: 2"),
        ("that: \"true\"", "that: \"false\""),
        ("uses: t", "uses: u"),
        ("a: 1", "a: 2"),
        ("./t.wasm", "./v.wasm"),
    ] {
        assert_ne!(with(from, to), original, "{from}");
    }
    for (from, to) in [("timeout: 1m", "timeout: 2m"), ("b: 1", "b: 2")] {
        assert_eq!(with(from, to), original, "{from}");
    }
}

#[test]
fn what_is_no_json_yet_is_hashed_in_that_form_too() {
    #[derive(Serialize)]
    enum Form {
        Unit,
        One(u8),
        Two(i16, bool),
        Named { z: i8, a: char, m: Option<u64> },
    }
    #[derive(Serialize)]
    struct All<'a> {
        z: (Form, Form, Form, Form),
        bytes: &'a [u8],
        texts: BTreeMap<&'a str, &'a str>,
        none: Option<u8>,
        unit: (),
        r#in: BTreeMap<&'a str, Vec<Value>>,
    }
    let named = Form::Named {
        z: -1,
        a: '"',
        m: Some(7),
    };
    let all = All {
        z: (Form::Unit, Form::One(1), Form::Two(-2, true), named),
        bytes: &[0, 255],
        texts: BTreeMap::from([("9", "\u{1}\u{7f}"), ("10", "ä")]),
        none: None,
        unit: (),
        r#in: BTreeMap::from([("", vec![json!({ "b": {}, "a": [] })]), ("a b", vec![])]),
    };
    let ruled = serde_json_canonicalizer::to_vec(&all).unwrap();
    assert_eq!(canonical::to_vec(&all).unwrap(), ruled);
    let plan = Plan::parse(GOOD, "p.yaml").unwrap();
    let ruled = serde_json_canonicalizer::to_vec(&plan).unwrap();
    assert_eq!(canonical::to_vec(&plan).unwrap(), ruled);
}

/// Any JSON: names beyond ASCII, doubles, and integers that no double holds among it.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        (-1e30..1e30_f64).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[ -~]{0,6}|.{0,3}", inner, 0..6)
                .prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_hashed_is_the_form_that_rfc_8785_gives(value in any_json()) {
        let ruled = serde_json_canonicalizer::to_vec(&value).unwrap();
        prop_assert_eq!(canonical::to_vec(&value).unwrap(), ruled);
    }
}
