//! What the parser says about bad plans, and that it says all of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Plan, Redact, Then, Work, plan_schema};

const HEAD: &str = "flowhost: v1\nkind: workflow\nname: t\nplugins:\n  \
    t: {kind: tool, source: ./t.wasm, profile: p}\n  \
    a: {kind: agent, source: ./a.wasm, profile: p}\n  \
    g: {kind: guardrail, source: ./g.wasm, profile: p}\n";

/// Each with a name and what follows the head, unless it begins with `!`: then it is the whole file.
const BAD: &[(&str, &str)] = &[
    ("not YAML", "!a: [1, 2"),
    ("text", "!just text"),
    ("empty", "!"),
    ("tab", "!a:\n\tb: 1"),
    (
        "no states",
        "!flowhost: v1\nkind: fsm\nname: x\nstates: {}\n",
    ),
    (
        "the body of another kind",
        "!flowhost: v1\nkind: fsm\nname: x\nsteps: {}\nroot: {}\ninitial_state: a\n\
         final_states: [a]\nstates: {a: {}}\n",
    ),
    (
        "unknown states",
        "!flowhost: v1\nkind: fsm\nname: x\ninitial_state: stat\nfinal_states: [end, stop]\nstates:\n  \
         start: {transitions: [{when: 'true', to: ende}], on_success: en, on_error: never}\n  end: {}\n",
    ),
    (
        "states without a way",
        "!flowhost: v1\nkind: fsm\nname: x\ninitial_state: a\nfinal_states: [end]\nstates:\n  \
         a: {transitions: [{when: '1 < 2', to: b}], on_success: end}\n  b: {on_success: c}\n  \
         c: {on_success: b}\n  d: {transitions: [{when: '1 < 2', to: end}]}\n  end: {on_success: a}\n",
    ),
    (
        "no final states",
        "!flowhost: v1\nkind: fsm\nname: x\ninitial_state: a\nfinal_states: []\nmax_transitions: 0\n\
         states: {a: {on_success: a}}\n",
    ),
    (
        "states that do nothing",
        "!flowhost: v1\nkind: fsm\nname: x\ninitial_state: a\nfinal_states: [end]\nstates:\n  \
         a: {timeout: 3s, guardrails: {}, on_success: end, on_error: end}\n  end: {}\n",
    ),
    (
        "gates of later builds",
        "!flowhost: v1\nkind: fsm\nname: x\ninitial_state: a\nfinal_states: [end]\nstates:\n  \
         a: {wait_for: approval, timeout: 4h, on_timeout: end, on_success: end}\n  end: {emit: {}}\n",
    ),
    (
        "names of states",
        "!flowhost: v1\nkind: fsm\nname: x\ninitial_state: a\nfinal_states: [end]\n\
         plugins: {t: {kind: tool, source: ./t.wasm, profile: p}}\nstates:\n  \
         a: {uses: t, with: {x: '${{ output }}', y: '${{ states.b.output }}', z: '${{ steps.a }}'}, \
         transitions: [{when: 'states.a.outputs == 1', to: end}], on_success: end}\n  end: {}\n",
    ),
    (
        "a node that is not a map",
        "!flowhost: v1\nkind: behavior_tree\nname: x\nroot: go\n",
    ),
    (
        "a node with its type for a key",
        "!flowhost: v1\nkind: behavior_tree\nname: x\nroot: {sequence: {children: []}}\n",
    ),
    (
        "unknown nodes",
        "!flowhost: v1\nkind: behavior_tree\nname: x\nroot:\n  type: sequense\n  children: []\n",
    ),
    (
        "bad nodes",
        "!flowhost: v1\nkind: behavior_tree\nname: x\nplugins: {t: {kind: tool, source: ./t.wasm, profile: p}}\n\
         root:\n  type: parallel\n  success_count: 9\n  children:\n    - {type: sequence, children: []}\n    \
         - {type: retry, child: {type: action, id: a, uses: t}}\n    \
         - {type: repeat, times: 100000, child: {type: action, id: a, uses: t}}\n    \
         - {type: timeout, timeout: soon, child: {type: condition, check: '1 +'}}\n    \
         - {type: invert}\n    - {type: condition, check: 'nodes.b.output == output', memory: true}\n",
    ),
    (
        "unknown kind",
        "!flowhost: v1\nkind: workflo\nname: x\nsteps: {a: {uses: t}}\n",
    ),
    (
        "another version",
        "!flowhost: v2\nkind: workflow\nname: x\nsteps: {}\n",
    ),
    ("missing keys", "!flowhost: v1\n"),
    ("duplicate key", "steps:\n  a: {uses: t}\n  a: {uses: t}\n"),
    ("merge key", "steps:\n  a: &a {uses: t}\n  b:\n    <<: *a\n"),
    (
        "unknown keys",
        "step: {}\nsteps:\n  a: {use: t, wit: {}, timout: 3s, frobnicate: 1}\n",
    ),
    ("key called on", "steps:\n  a: {uses: t, on: push}\n"),
    (
        "keys of later builds",
        "evidence: {}\nsteps:\n  a: {uses: a, prompt: p.md, wait_for: approval, \
         compensate: {uses: t}, model: abcde, emit: {}}\n",
    ),
    (
        "a consensus that names what there is not",
        "defaults:\n  consensus: {agents: [t, m], arbiter: z, min_participation: 5, on_conflict: [accept]}\n\
         steps:\n  a: {consensus: {}, uses: t, with: '${{ inputs.x }}'}\n  \
         b: {consensus: {agents: [m], rule: best_off}, foreach: {items: [1]}, with: {consensus: 1}}\n",
    ),
    (
        "a consensus that does not go together",
        "steps:\n  a:\n    consensus:\n      agents: [t, t]\n      rule: majority\n      vote: n\n      \
         weights: {t: 1}\n      compare: [{at: n, by: size, min: 0.5}, {at: /x, by: overlapp}]\n      \
         on_degraded: [accept, retry]\n      on_no_consensus: [accept]\n      early_stop: yes\n  \
         b: {consensus: {agents: [t, g], early_stop: true}}\n",
    ),
    (
        "a consensus that asks twice for what must not be done twice",
        "!flowhost: v1\nkind: workflow\nname: x\nplugins:\n  a: {kind: agent, source: ./a.wasm, profile: p}\n  \
         b: {kind: agent, source: ./b.wasm, profile: p}\ndefaults: {consensus: {agents: [a, b], rule: unanimous, vote: /n}}\n\
         steps:\n  tried: {effects: once, retry: {max_attempts: 2}, consensus: {}}\n  \
         recovered: {effects: once, consensus: {on_degraded: [retry, halt]}}\n  alone: {effects: once, consensus: {}}\n",
    ),
    (
        "evidence that cannot be written",
        "evidence: {spec_id: a/b, root: ../out, warn_mb: 30, keep_files: 3}\nsteps:\n  a: {uses: t, output: {tokens: \
         {min: 5, max: 4}}}\n",
    ),
    (
        "wrong types",
        "labels: []\nbudget: {usd: lots, calls: -1, warn_at: [2], on_exceeded: stop}\n\
        steps:\n  a: {uses: t, needs: b, continue_on_error: yes, timeout: 5, with: [1]}\n  b: 3\n",
    ),
    (
        "bad durations",
        "timeout: forever\nsteps:\n  a: {uses: t, timeout: 10, retry: {backoff: \
        {initial: 1.5s, max: 0s}}}\n",
    ),
    (
        "bad retry",
        "steps:\n  a: {uses: t, retry: {max_attempts: 0, retry_on: [denied, tiemout], \
        backoff: {factor: 0.5, jitter: 2}}}\n",
    ),
    (
        "bad names",
        "steps:\n  9lives: {uses: t}\n  'a b': {uses: t}\n",
    ),
    (
        "unknown plugin",
        "steps:\n  a: {uses: tt}\n  b: {uses: nothing-like-it/fn}\n",
    ),
    (
        "wrong kind of plugin",
        "steps:\n  a: {uses: g}\n  b: {uses: a/fn}\n  \
        c: {uses: t, guardrails: {before: [{uses: t}], after: [{uses: gg}]}}\n",
    ),
    (
        "default guardrails",
        "defaults: {guardrails: {before: [{uses: nope}, {uses: a}]}}\n\
        steps: {a: {uses: t}, b: {uses: t}}\n",
    ),
    (
        "needs",
        "steps:\n  a: {uses: t, needs: [a]}\n  b: {uses: t, needs: [aa, c, c]}\n  c: {uses: t}\n",
    ),
    (
        "cycle",
        "steps:\n  a: {uses: t, needs: [c]}\n  b: {uses: t, needs: [a]}\n  \
        c: {uses: t, needs: [b]}\n  d: {uses: t, needs: [c]}\n  x: {uses: t, needs: [y]}\n  \
        y: {uses: t, needs: [x]}\n",
    ),
    (
        "goto",
        "handlers: {h: {uses: t}}\nsteps:\n  a: {uses: t}\n  \
        b: {uses: t, needs: [a], on_failure: {run: hh, then: 'goto:a'}}\n  \
        c: {uses: t, needs: [b], on_failure: {then: 'goto:c'}}\n  \
        d: {uses: t, on_failure: {then: 'goto:a'}}\n  \
        e: {uses: t, on_failure: {then: 'goto:zzz'}}\n  f: {uses: t, on_failure: {then: stop}}\n",
    ),
    (
        "bad expressions",
        "steps:\n  a: {uses: t, when: '1 +', with: {x: '${{ foo(1) }}', y: ['${{ 1']}}\n  \
        b: {uses: t, checks: [{id: c, that: 'output.x = 1'}, {id: c, that: 'true'}]}\n",
    ),
    (
        "names out of reach",
        "inputs: {n: {type: number, default: 1}}\n\
        labels: {l: '${{ steps.a.output }}'}\nsteps:\n  \
        a: {uses: t, with: {a: '${{ env.HOME }}', b: '${{ item.x }}', c: '${{ failure }}'}}\n  \
        b: {uses: t, when: 'output == 1', with: '${{ inputs.m }}'}\n",
    ),
    (
        "steps out of reach",
        "steps:\n  a-b: {uses: t}\n  c: {uses: t}\n  \
        d: {uses: t, needs: [c], with: ['${{ steps.c.outputs }}', '${{ steps.a-b.output }}', \
        '${{ steps.nope }}', '${{ steps[inputs.x].output }}', '${{ steps[\"a-b\"].output }}']}\n\
        outputs: {o: '${{ steps.c.stauts }}'}\n",
    ),
    (
        "foreach",
        "steps:\n  a: {uses: t, foreach: {as: steps, max_parallel: 0, fail_fast: no}}\n",
    ),
    (
        "barrier",
        "steps:\n  a: {uses: t}\n  b: {barrier: {require: all}}\n  \
        c: {needs: [a], barrier: {require: 3}}\n  d: {needs: [a], barrier: {require: '120%'}}\n  \
        e: {needs: [a], uses: t, with: {}, barrier: {}}\n  f: {}\n",
    ),
    (
        "inputs",
        "inputs:\n  a: {type: number, default: x}\n  b: {type: string, enum: [1], path: p}\n  \
        c: {type: file, default: x, sha256: abc}\n  d: {type: strng}\n  \
        e: {type: string, default: c, enum: [a, b]}\nsteps: {s: {uses: t}}\n",
    ),
    ("plugins", "steps: {s: {uses: t}}\n"),
    (
        "sources",
        "!flowhost: v1\nkind: workflow\nname: t\nplugins:\n  \
        a: {kind: tool, source: 'http://x/y.wasm', profile: p}\n  \
        b: {kind: tool, source: 'https://x/y.wasm', profile: p}\n  \
        c: {kind: tool, source: 'builtin:', profile: p, narrow: {limit: {}}, config: {k: '${{ inputs.x }}'}}\n\
        steps: {s: {uses: c}}\n",
    ),
    (
        "sub-plans",
        "steps:\n  a: {uses: 'plan:/etc/x.yaml'}\n  b: {uses: 'plan:https://x/y.yaml', with: [1]}\n",
    ),
    (
        "schema",
        "steps:\n  a: {uses: t, output: {schema: {type: strin}}}\n  \
        b: {uses: t, output: {schema: {$ref: 'https://x/y.json'}}}\n",
    ),
    (
        "said twice",
        "steps:\n  a: {uses: t, continue_on_error: true, on_failure: {then: halt}}\n",
    ),
];

fn whole(body: &str) -> String {
    body.strip_prefix('!')
        .map_or_else(|| format!("{HEAD}{body}"), str::to_owned)
}

#[test]
fn bad_plans_get_all_their_problems_with_place_and_cure() {
    let mut all = String::new();
    for (name, body) in BAD {
        let _ = writeln!(all, "== {name}");
        match Plan::parse(&whole(body), "p.yaml") {
            Ok(_) => all.push_str("ok\n"),
            Err(problems) => {
                assert!(!problems.is_empty(), "{name}");
                for problem in problems {
                    let _ = writeln!(all, "{problem}");
                }
            }
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn of_a_word_that_is_not_known_nothing_is_told_that_a_guess_would_give() {
    let text = "flowhost: v1\nkind: workflow\nname: t\ninputs:\n  docs: {type: folder, path: docs, default: [1]}\n  \
        other: {path: docs}\nplugins:\n  a: {kind: agnet, source: ./a.wasm, profile: p}\n\
        defaults: {guardrails: {before: [{uses: a}]}}\nsteps:\n  s: {uses: a, prompt: p.md}\n";
    let problems = Plan::parse(text, "p.yaml").unwrap_err();
    let told: Vec<&str> = problems.iter().map(|it| it.message.as_str()).collect();
    assert!(told[0].starts_with("type: expected one of"), "{told:?}");
    assert_eq!(told[1], "other: the key `type` is missing", "{told:?}");
    assert!(told[2].starts_with("kind: expected one of"), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn a_plan_of_an_unknown_kind_is_judged_as_what_its_body_is() {
    let text =
        "flowhost: v1\nkind: fms\nname: t\ninitial_state: a\nfinal_states: [a]\nstates: {a: {}}\n";
    let problems = Plan::parse(text, "p.yaml").unwrap_err();
    let told: Vec<&str> = problems.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("kind: expected one of"), "{told:?}");
    let tree = text
        .replace("fms", "tree")
        .replace("states: {a: {}}", "root: {type: action}");
    let problems = Plan::parse(&tree, "p.yaml").unwrap_err();
    assert!(
        problems.iter().all(|it| !it.message.contains("`steps`")),
        "{problems:?}"
    );
}

#[test]
fn every_bad_plan_is_refused_but_the_control() {
    for (name, body) in BAD {
        assert_eq!(
            Plan::parse(&whole(body), "p.yaml").is_ok(),
            *name == "plugins",
            "{name}"
        );
    }
}

pub(crate) const GOOD: &str = r#"
flowhost: v1
kind: workflow
name: everything
description: Uses every key.
labels: { scenario: "${{ inputs.mode }}" }
inputs:
  mode: { type: string, default: fast, enum: [fast, slow], description: how }
  limit: { type: number, default: 3 }
  spec: { type: file, path: spec.md, sha256: "0000000000000000000000000000000000000000000000000000000000000000" }
  docs: { type: dir, path: docs }
plugins:
  t: { kind: tool, source: "builtin:t", profile: tool-pure, config: { a: 1 }, narrow: { limits: { fuel: 5 }, grants: { http: [] } } }
  a: { kind: agent, source: ./a.wasm, profile: agent-model }
  g: { kind: guardrail, source: "https://example.com/g.wasm", profile: guardrail-pure, sha256: "1111111111111111111111111111111111111111111111111111111111111111" }
budget: { usd: 3.00, tokens: 60000, fuel: 1000000, calls: 50, warn_at: [0.8, 1.0], on_exceeded: halt }
timeout: 1h
defaults:
  timeout: 10m
  retry: { max_attempts: 3, backoff: { initial: 100ms, factor: 2.0, max: 10s, jitter: 0.5 }, retry_on: [transient, timeout] }
  guardrails:
    before: [ { uses: g, with: { limit: "${{ inputs.limit }}" }, on_fail: halt } ]
steps:
  list: { uses: t/list, with: { mode: "${{ inputs.mode }}" }, stage: plan, effects: idempotent }
  each:
    needs: [list]
    when: "size(steps.list.output) > 0"
    foreach: { items: "${{ steps.list.output }}", as: file, max_parallel: 4, fail_fast: false }
    uses: t/check
    with: { file: "${{ file.name }}", n: "${{ index }}" }
    continue_on_error: true
    budget: { calls: 20 }
  gate: { needs: [each], barrier: { require: "90%", timeout: 2m, on_timeout: continue } }
  report:
    needs: [gate]
    uses: a
    with: { results: "${{ steps.each.outputs }}" }
    timeout: 5s
    retry: { max_attempts: 2 }
    guardrails: { after: [ { uses: g, on_fail: warn } ] }
    output: { schema: { type: object } }
    checks: [ { id: some, that: "size(output.items) >= 1", on_fail: warn } ]
    on_failure: { run: tell, then: "goto:last" }
  between: { needs: [report], uses: t }
  last: { needs: [between], uses: "plan:other.yaml", with: { x: 1 }, output: { schema: s.json } }
handlers: { tell: { uses: t, with: { why: "${{ failure.message }}" }, timeout: 1s } }
outputs: { report: "${{ steps.report.output }}", cost: "${{ run.cost.total_usd }}" }
"#;

#[test]
fn a_plan_with_every_key_is_read() {
    let plan = Plan::parse(GOOD, "p.yaml").unwrap();
    assert_eq!(
        plan.budget.limits,
        [Some(50), Some(1_000_000), Some(60_000), Some(3_000_000)]
    );
    let report = plan.step("report").unwrap();
    assert_eq!((report.timeout_ms, report.retry.max_attempts), (5_000, 2));
    assert_eq!(
        report.before.len(),
        1,
        "what a step does not say comes from defaults"
    );
    assert_eq!(report.after.len(), 1);
    assert_eq!(report.on_failure.then, Then::Goto("last".to_owned()));
    assert!(matches!(&plan.step("list").unwrap().work,
        Work::Call { plugin, function: Some(function) } if plugin == "t" && function == "list"));
    let narrow = plan.plugins["t"].narrow.as_ref().unwrap();
    assert_eq!(narrow.value["limits"]["fuel"], 5);
    assert!(narrow.places["/limits/fuel"].line > 0);
    let references: Vec<_> = plan.sub_plans().into_iter().map(|r| r.reference).collect();
    assert_eq!(references, ["other.yaml"]);
    assert_eq!(plan.schema_files()[0].reference, "s.json");
    assert_eq!(plan.file_inputs(&BTreeMap::new()).len(), 2);
}

#[test]
fn the_schema_accepts_good_plans_and_knows_every_key_of_the_parser() {
    let validator = jsonschema::validator_for(&plan_schema()).unwrap();
    let mut problems = crate::problem::Problems::new("p.yaml");
    let good = super::tree::read(GOOD, &mut problems).unwrap().json();
    let errors: Vec<_> = validator
        .iter_errors(&good)
        .map(|e| e.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (path, wrong) in [
        ("/steps/list/uses", json!(3)),
        ("/steps/each/foreach/max_parallel", json!(0)),
        ("/budget/usd", json!("lots")),
        ("/plugins/g/sha256", json!("x")),
        ("/kind", json!("fsm")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(path).unwrap() = wrong;
        assert!(!validator.is_valid(&bad), "{path}");
    }
    for section in [
        "",
        "/steps/list",
        "/plugins/t",
        "/inputs/mode",
        "/steps/each/foreach",
    ] {
        let mut bad = good.clone();
        let section_map = bad.pointer_mut(section).unwrap().as_object_mut().unwrap();
        section_map.insert("unknown".to_owned(), Value::Null);
        assert!(!validator.is_valid(&bad), "{section}");
    }
}

#[test]
fn inputs_are_typed_and_all_their_problems_are_reported() {
    let plan = Plan::parse(GOOD, "p.yaml").unwrap();
    let given = BTreeMap::from([
        ("mode".to_owned(), json!("medium")),
        ("limit".to_owned(), json!("3")),
        ("lmit".to_owned(), json!(3)),
    ]);
    let problems = plan.bind_inputs(&given).unwrap_err();
    let messages: Vec<_> = problems
        .iter()
        .map(|problem| problem.message.as_str())
        .collect();
    assert_eq!(messages.len(), 4, "{messages:?}");
    assert!(
        problems
            .iter()
            .any(|problem| problem.cure == "did you mean `limit`?")
    );
    let own = problems.iter().find(|it| it.message.contains("`mode`"));
    let cure = &own.unwrap().cure;
    let place = "the words stand in `enum` of `inputs.mode` (`p.yaml`, line ";
    assert!(cure.starts_with(place), "{cure}");

    let given = BTreeMap::from([("spec".to_owned(), json!("the text"))]);
    let bound = plan.bind_inputs(&given).unwrap();
    let bound = Value::Object(bound);
    let expected = json!({"mode": "fast", "limit": 3, "spec": "the text", "docs": "docs"});
    assert_eq!(bound, expected);
    assert_eq!(plan.inputs["limit"].parse_text("7"), Ok(json!(7)));
    assert!(plan.inputs["limit"].parse_text("seven").is_err());
    let refused = plan.inputs["limit"].parse_text("18446744073709551616");
    let why = "input `limit` is a number, and `18446744073709551616` is not: whole numbers beyond 2^53 lose \
               digits on the way to plugins; as a text it keeps them";
    assert_eq!(refused.unwrap_err(), why);
    assert_eq!(plan.inputs["mode"].parse_text("7"), Ok(json!("7")));
}

#[test]
fn labels_are_rendered_from_inputs() {
    let plan = Plan::parse(GOOD, "p.yaml").unwrap();
    let inputs = json!({"mode": "fast"});
    let labels = plan.render_labels(inputs.as_object().unwrap()).unwrap();
    assert_eq!(labels["scenario"], "fast");
}

#[test]
fn a_gate_beside_other_work_needs_a_tree_that_remembers() {
    let refused = |composite: &str, children: &str| {
        let text = whole(&format!(
            "!flowhost: v1\nkind: behavior_tree\nname: x\nplugins: {{t: {{kind: tool, source: ./t.wasm, profile: p}}}}\n\
             root: {{type: {composite}, children: [{children}]}}\n"
        ));
        let problems = Plan::parse(&text, "p.yaml").err().unwrap_or_default();
        let shown: Vec<_> = problems.into_iter().map(|it| it.message).collect();
        shown.join("\n")
    };
    let asks = "{type: action, id: ask, wait_for: approval, timeout: 4h}";
    let work = "{type: action, id: work, uses: t}";
    let sure = "{type: condition, check: 'true'}";
    let again = "without memory the gate `ask` would be asked again whenever `work` has ended";
    // Seeds 13441 and 17003 of the simulation, which never came to an end.
    assert_eq!(
        refused("sequence, memory: false", &format!("{work}, {asks}")),
        again
    );
    let within = format!("{{type: selector, children: [{asks}, {sure}]}}, {work}");
    assert_eq!(refused("sequence, memory: false", &within), again);
    assert_eq!(
        refused("parallel, memory: false", &format!("{asks}, {work}")),
        again
    );
    for (composite, children) in [
        ("sequence, memory: false", format!("{sure}, {asks}")),
        ("sequence, memory: true", format!("{work}, {asks}")),
        (
            "parallel, success_count: 1, memory: false",
            format!("{asks}, {work}"),
        ),
        (
            "selector, memory: false",
            format!("{sure}, {{type: sequence, children: [{asks}, {work}]}}"),
        ),
    ] {
        assert_eq!(refused(composite, &children), "", "{composite}: {children}");
    }
}

#[test]
fn only_an_agent_reads_a_prompt_and_a_version_needs_one() {
    let text = whole("steps:\n  a: {uses: t, prompt: p.md}\n  b: {uses: t, prompt_version: v1}\n");
    let problems = Plan::parse(&text, "p.yaml").unwrap_err();
    let shown: Vec<_> = problems.iter().map(|it| it.message.as_str()).collect();
    assert_eq!(
        shown,
        [
            "`t` is not an agent; only agents read a prompt",
            "step `b`: `prompt_version` without `prompt`"
        ]
    );
}

#[test]
fn a_plugins_configuration_sees_inputs_and_nothing_else() {
    let plan = |config: &str| {
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: p\ninputs: {{ m: {{ type: string }} }}\nplugins:\n  \
             t: {{ kind: tool, source: ./t.wasm, profile: x, config: {{ model: \"{config}\" }} }}\n\
             steps: {{ s: {{ uses: t }} }}\n"
        );
        Plan::parse(&text, "p.yaml")
    };
    assert!(plan("${{ steps.s.output }}").is_err());
    assert!(plan("${{ inputs.other }}").is_err());
    assert!(plan("${{ inputs.m }}").is_ok());
}

#[test]
fn redaction_is_unsaid_by_default_and_an_empty_list_turns_it_off() {
    let plan = |defaults: &str| {
        let text = whole(&format!(
            "defaults: {{{defaults}}}\nsteps: {{s: {{uses: t}}}}\n"
        ));
        Plan::parse(&text, "p.yaml").unwrap().redact
    };
    assert_eq!(plan(""), None);
    assert_eq!(plan("redact: []"), Some(Redact::default()));
    let both = Redact {
        model: true,
        payloads: true,
    };
    assert_eq!(plan("redact: [payloads, model]"), Some(both));
}

#[test]
fn a_sub_plan_is_checked_against_the_steps_that_run_it() {
    let child = "inputs: {x: {type: number}, y: {type: string}}\nsteps: {s: {uses: t}}\n";
    let child = Plan::parse(&whole(child), "other.yaml").unwrap();
    let parent = "steps: {a: {uses: 'plan:other.yaml', with: {x: 1, z: 2}}}\n";
    let mut parent = Plan::parse(&whole(parent), "p.yaml").unwrap();
    let problems = parent.attach_plan("other.yaml", child).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        parent.check_attached().is_err(),
        "a plan without its parts does not run"
    );
}

#[test]
fn plans_within_plans_are_bounded() {
    let text = whole("steps: {a: {uses: 'plan:p.yaml'}}\n");
    let mut plan = Plan::parse(&whole("steps: {a: {uses: t}}\n"), "p.yaml").unwrap();
    for depth in 0..20 {
        let mut parent = Plan::parse(&text, "p.yaml").unwrap();
        match parent.attach_plan("p.yaml", plan) {
            Ok(()) => plan = parent,
            Err(problems) => {
                assert_eq!(depth, 7);
                assert!(problems[0].message.contains("nest deeper"));
                return;
            }
        }
    }
    panic!("no bound");
}

#[test]
fn a_sub_plans_plugins_have_keys_of_their_own() {
    let child = Plan::parse(&whole("steps: {s: {uses: t}}\n"), "o.yaml").unwrap();
    let mut parent = Plan::parse(&whole("steps: {a: {uses: 'plan:o.yaml'}}\n"), "p.yaml").unwrap();
    parent.attach_plan("o.yaml", child).unwrap();
    let keys: Vec<_> = parent
        .all_plugins()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, ["a", "g", "t", "o.yaml::a", "o.yaml::g", "o.yaml::t"]);
}

#[test]
fn a_long_chain_behind_a_cycle_is_checked_in_no_time() {
    let mut text = whole("steps:\n  s0: {uses: t, needs: [s1]}\n");
    for step in 1..3_000 {
        text.push_str(&format!("  s{step}: {{uses: t, needs: [s{}]}}\n", step - 1));
    }
    let problems = Plan::parse(&text, "p.yaml").unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].message.contains("`s0` needs `s1` needs `s0`"));
}

/// Thousands of wrong names are no more work than a few: what each could have meant is looked for in the first only.
#[test]
fn an_item_cannot_take_the_name_of_what_is_in_reach_beside_it() {
    let told = |name: &str| {
        let body = format!(
            "steps: {{s: {{uses: t, foreach: {{items: [1], as: {name}}}, with: {{n: '${{{{ index }}}}'}}}}}}\n"
        );
        Plan::parse(&whole(&body), "p.yaml").map_or_else(|all| all.len(), |_| 0)
    };
    for name in [
        "index", "inputs", "steps", "run", "failure", "output", "input",
    ] {
        assert_eq!(told(name), 1, "{name}");
    }
    assert_eq!(told("item"), 0, "the name that it has anyway");
    assert_eq!(told("file"), 0);
}

#[test]
fn thousands_of_wrong_names_are_told_in_no_time() {
    const COUNT: usize = 6_000;
    let mut text = whole("steps:\n");
    for step in 0..COUNT {
        text.push_str(&format!(
            "  step{step}: {{uses: t, with: '${{{{ steps.stpe{step}.output }}}}'}}\n"
        ));
    }
    text.push_str("outputs:\n");
    for name in 0..COUNT {
        text.push_str(&format!("  o{name}: '${{{{ nobody{name} }}}}'\n"));
    }
    let problems = Plan::parse(&text, "p.yaml").unwrap_err();
    assert_eq!(problems.len(), 201);
    let meant = |it: &&super::Problem| it.cure.starts_with("did you mean");
    assert!((1..=20).contains(&problems.iter().filter(meant).count()));
    let last = problems.last().unwrap();
    assert_eq!(last.message, "more problems follow that are not listed");
    let mut one = whole("steps:\n  a:\n    uses: t\n    with:\n");
    for name in 0..COUNT {
        one.push_str(&format!("      m{name}: '${{{{ steps.b.output }}}}'\n"));
    }
    assert_eq!(Plan::parse(&one, "p.yaml").unwrap_err().len(), 201);
}

#[test]
fn the_last_step_of_a_long_chain_may_use_the_first() {
    let mut text = whole("steps:\n  s0: {uses: t}\n");
    for step in 1..1_000 {
        text.push_str(&format!("  s{step}: {{uses: t, needs: [s{}]}}\n", step - 1));
    }
    text.push_str("  last: {uses: t, needs: [s999], with: '${{ steps.s0.output }}'}\n");
    assert!(Plan::parse(&text, "p.yaml").is_ok());
    text.push_str("  wrong: {uses: t, needs: [s0], with: '${{ steps.s999.output }}'}\n");
    assert_eq!(Plan::parse(&text, "p.yaml").unwrap_err().len(), 1);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[ -~\n]{0,300}") {
        let _ = Plan::parse(&text, "p.yaml");
    }

    /// Cuts and moves pieces of a good plan: nearer to what people write than noise.
    #[test]
    fn no_damage_to_a_plan_makes_the_parser_panic(
        cuts in prop::collection::vec((0_usize..4_000, 0_usize..60, 0_usize..4_000), 1..4)
    ) {
        let mut text: Vec<char> = GOOD.chars().collect();
        for (from, len, to) in cuts {
            let from = from.min(text.len());
            let piece: Vec<char> = text.drain(from..(from + len).min(text.len())).collect();
            let to = to.min(text.len());
            text.splice(to..to, piece);
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = Plan::parse(&text, "p.yaml") {
            prop_assert!(!problems.is_empty());
        }
    }
}

#[test]
fn a_plugin_cannot_pass_for_the_host_or_for_whoever_reads() {
    for name in ["host", "HOST", "self"] {
        let text = format!(
            "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  {name}: {{ kind: tool, source: ./t.wasm, profile: \
             deny-all }}\nsteps:\n  a: {{ uses: {name}, with: {{}} }}\n"
        );
        let problems = Plan::parse(&text, "p.yaml").unwrap_err();
        assert_eq!((problems.len(), problems[0].line), (1, 5), "{problems:?}");
        assert!(problems[0].message.contains(name), "{problems:?}");
    }
}
