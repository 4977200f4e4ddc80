//! Plans, their expressions and templates, and how they write amounts.
//!
//! A plan comes from anywhere. One that is accepted has one hash, and a planner that walks through it
//! twice asks for the same things in the same order, whatever its calls answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_flow::expr::{Expr, Names, Template};
use flowhost_flow::plan::{Foresight, Promised, Settled};
use flowhost_flow::planner::Verdict;
use flowhost_flow::{
    Action, Amounts, CallResult, Event, Failure, FailureClass, Plan, Problem, RunSetup, Time, hash,
    planner_for, units,
};
use serde_json::{Value, json};

use super::{head_and_rest, text};
use crate::{Outcome, Target};

/// Most events that a planner is fed: retries and items end long before in what seeds describe.
const EVENTS_MAX: u64 = 48;

const EXPRESSION_WORDS: &[&str] = &[
    "${{ ",
    " }}",
    "$${{",
    "inputs.",
    "steps.a.output",
    ".map(x, x)",
    ".filter(x, x > 1)",
    ".all(x, x)",
    "size(",
    " ? 1 : 2",
    " + ",
    " in ",
    "[0]",
    "['a']",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "1u",
    "b'a'",
    "'\u{1f600}'",
    "((((((((",
    "!!!!!!!!",
    "--------",
    " && ",
    " || ",
    "{'a': 1}",
    ".matches('(a+)+$')",
];

pub(crate) const PLAN: Target = Target {
    name: "plan",
    run: plan,
    words: &[
        "flowhost: v1\n",
        "kind: workflow\n",
        "kind: fsm\ninitial_state: a\nfinal_states: [b]\n",
        "states: { a: { uses: p, on_success: b, on_error: b }, b: {} }\n",
        "kind: behavior_tree\n",
        "root: { type: parallel, children: [{ type: action, uses: p }] }\n",
        "{ type: repeat, times: 1000, child: { type: condition, check: 'true' } }",
        "steps:\n",
        "  a: { uses: p }\n",
        "needs: [a]\n",
        "foreach: { items: \"${{ inputs.x }}\", as: y }\n",
        "retry: { attempts: 3 }\n",
        "on_failure:\n",
        "guardrails: { before: [{ uses: g }] }\n",
        "budget: { usd: 1 }\n",
        "when: \"${{ true }}\"\n",
        "deadline: 10s\n",
        "outputs: { a: \"${{ steps.a.output }}\" }\n",
        "&a ",
        "*a ",
        "<<: *a\n",
        "!!binary ",
        "? ",
        "- ",
        "|+\n",
        ">-\n",
        "---\n",
        "...\n",
        "\t",
        "0x10",
        "1e999",
        ".nan",
        "[[[[[[[[",
        "{a: {a: {a: ",
    ],
};

pub(crate) const EXPRESSION: Target = Target {
    name: "expression",
    run: expression,
    words: EXPRESSION_WORDS,
};

pub(crate) const TEMPLATE: Target = Target {
    name: "template",
    run: template,
    words: EXPRESSION_WORDS,
};

pub(crate) const AMOUNT: Target = Target {
    name: "amount",
    run: amount,
    words: &[
        "ms",
        "s",
        "m",
        "h",
        "d",
        ".",
        "0",
        "18446744073709551615",
        "-",
        "+",
        "_",
        "\u{664}",
    ],
};

fn plan(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let read = Plan::parse(&text, "plan.yaml");
    match &read {
        Err(problems) => are_told(problems),
        Ok(plan) => {
            let hash = hash_of(plan);
            let again = Plan::parse(&text, "elsewhere.yaml").map(|again| hash_of(&again));
            assert_eq!(again.ok(), Some(hash.clone()));
            let _ = (plan.sub_plans(), plan.schema_files(), plan.all_plugins());
            assert_eq!(walk(plan, &hash), walk(plan, &hash));
            foreseen(plan);
        }
    }
    Outcome::of(&read)
}

/// What is told of a plan before it runs ends, and says something, whatever its expressions are.
fn foreseen(plan: &Plan) {
    let promised = Promised::new();
    // Before the foresight, which keeps what it has compiled by the schema's place.
    let schema = json!({ "type": "object" });
    let foresight = Foresight::new(plan, &promised);
    let mut told = foresight.problems();
    if let Ok(inputs) = plan.bind_inputs(&BTreeMap::new()) {
        let settled = Settled::new(plan, &inputs);
        told.extend(settled.problems());
        for (step, _) in plan.everything() {
            let with = settled.with(step);
            let _ = foresight.misfits(with.as_ref().unwrap_or(&step.with), &schema);
        }
    }
    for problem in told {
        assert!(!problem.message.is_empty(), "{problem:?}");
    }
}

fn are_told(problems: &[Problem]) {
    assert!(!problems.is_empty(), "refused without a reason");
    for problem in problems {
        assert!(!problem.message.is_empty(), "{problem:?}");
    }
}

fn hash_of(plan: &Plan) -> String {
    let hash = hash::plan_hash(plan, &BTreeMap::new());
    assert!(hash.is_ok(), "an accepted plan has no hash: {hash:?}");
    hash.unwrap_or_default()
}

/// What a planner asks for when the calls answer this and that, in its own words.
fn walk(plan: &Plan, hash: &str) -> Vec<String> {
    let Ok(inputs) = plan.bind_inputs(&BTreeMap::new()) else {
        return Vec::new();
    };
    let _ = plan.render_labels(&inputs);
    let setup = RunSetup {
        run_id: "01JD00000000000000000000AA".to_owned(),
        plan_hash: hash.to_owned(),
        seed: 7,
        inputs,
        estimates: BTreeMap::new(),
        components: BTreeMap::new(),
        only: None,
        on_request: false,
    };
    let Ok(mut planner) = planner_for(Arc::new(plan.clone()), setup) else {
        return Vec::new();
    };
    let mut said = Vec::new();
    let mut waiting = vec![Event::Started];
    for now in 0..EVENTS_MAX {
        let event = match waiting.pop() {
            Some(event) => event,
            None => break,
        };
        for action in planner.on(event, Time(now * 1_000)) {
            said.push(format!("{action:?}"));
            waiting.extend(answer(&action, now));
        }
    }
    said
}

fn answer(action: &Action, now: u64) -> Option<Event> {
    let Action::Call(call) = action else {
        return None;
    };
    let result = match now % 5 {
        0 => CallResult::Output(json!({ "paths": ["a.md", "b.md"], "text": "t", "n": 1 })),
        1 => CallResult::Verdict(Verdict::Pass {
            findings: Vec::new(),
        }),
        2 => CallResult::Output(Value::Null),
        3 => CallResult::Output(json!([1, "two", [3]])),
        _ => CallResult::Failed(Failure::new(FailureClass::Transient, "it fell over")),
    };
    let used = Amounts {
        calls: 1,
        ..Amounts::default()
    };
    Some(Event::CallFinished {
        call: call.id,
        result,
        used,
    })
}

/// The first line is an expression, the rest JSON that it may look at.
fn expression(bytes: &[u8]) -> Outcome {
    let (source, rest) = head_and_rest(bytes);
    let read = Expr::compile(&text(source));
    if let Ok(expression) = &read {
        let again = Expr::compile(expression.source());
        assert_eq!(again.as_ref().map(Expr::source), Ok(expression.source()));
        let data = serde_json::from_slice(rest).unwrap_or(Value::Null);
        let pairs = names(&data);
        let value = expression.eval(&Names::new(&pairs));
        assert_eq!(
            again.map(|again| again.eval(&Names::new(&pairs))),
            Ok(value.clone())
        );
        let holds = expression.holds(&Names::new(&pairs));
        assert_eq!(holds.ok(), value.ok().and_then(|value| value.as_bool()));
    }
    Outcome::of(&read)
}

fn names(data: &Value) -> [(&'static str, &Value); 3] {
    [("inputs", data), ("steps", data), ("item", data)]
}

/// The first line is the text of a template, the rest JSON. A text without an expression is itself.
fn template(bytes: &[u8]) -> Outcome {
    let (source, rest) = head_and_rest(bytes);
    let source = text(source).into_owned();
    let value = json!({ "text": source, "list": [source, 1] });
    let read = Template::compile(value.clone());
    match &read {
        Err(errors) => assert!(!errors.is_empty()),
        Ok(template) => {
            assert_eq!(template.source(), &value);
            let data = serde_json::from_slice(rest).unwrap_or(Value::Null);
            let shown = template.render(&Names::new(&names(&data)));
            assert_eq!(template.render(&Names::new(&names(&data))), shown);
            if !source.contains("${{") {
                assert_eq!(shown.as_ref(), Ok(&value));
            }
        }
    }
    Outcome::of(&read)
}

/// Accepted means: written out in its smallest unit it is the same amount.
fn amount(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let (duration, money) = (
        units::parse_duration_ms(&text),
        units::parse_micro_usd(&text),
    );
    if let Ok(ms) = duration {
        assert!((1..=units::DURATION_MS_MAX).contains(&ms));
        assert_eq!(units::parse_duration_ms(&format!("{ms}ms")), Ok(ms));
    }
    if let Ok(micro) = money {
        assert!(micro <= units::INTEGER_MAX);
        let shown = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
        assert_eq!(units::parse_micro_usd(&shown), Ok(micro));
    }
    Outcome::of(&duration.or(money))
}
