//! Trees: against py_trees tick by tick, and at work.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::ticks::{Leaves, NodeIx, Status, Ticks};
use crate::exit::{Exit, FailureClass, StepStatus};
use crate::plan::{Body, NodeKind, limits};
use crate::planner::harness::{Run, plan};
use crate::planner::{Note, Time};

/// What py_trees answers to random trees; written by `tests/py_trees/statuses.py`.
const REFERENCE: &str = include_str!("py_trees.json");

#[derive(Deserialize)]
struct Document {
    trees: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    root: Value,
    scripts: BTreeMap<String, Vec<Value>>,
    /// The status of the root and the places of the actions that run, after each tick.
    ticks: Vec<String>,
}

/// Leaves that answer from a script.
struct Scripted {
    places: BTreeMap<NodeIx, String>,
    scripts: BTreeMap<String, Vec<Value>>,
    used: BTreeMap<NodeIx, usize>,
    left: BTreeMap<NodeIx, (u64, bool)>,
}

impl Scripted {
    fn next(&mut self, node: NodeIx) -> Value {
        let script = &self.scripts[&self.places[&node]];
        let used = self.used.entry(node).or_default();
        *used += 1;
        script[(*used - 1) % script.len()].clone()
    }
}

impl Leaves for Scripted {
    fn start(&mut self, node: NodeIx) -> Status {
        let next = self.next(node);
        let (ticks, ends) = (next[0].as_u64().unwrap(), next[1].as_bool().unwrap());
        self.left.insert(node, (ticks, ends));
        self.poll(node)
    }

    fn poll(&mut self, node: NodeIx) -> Status {
        let left = self.left.get_mut(&node).expect("only what runs is asked");
        match left {
            (0, ends) => {
                let status = match ends {
                    true => Status::Success,
                    false => Status::Failure,
                };
                self.left.remove(&node);
                status
            }
            (ticks, _) => {
                *ticks -= 1;
                Status::Running
            }
        }
    }

    fn stop(&mut self, node: NodeIx) {
        self.left.remove(&node).expect("only what runs is stopped");
    }

    fn check(&mut self, node: NodeIx) -> bool {
        self.next(node).as_bool().unwrap()
    }

    fn now(&self) -> Time {
        Time(0)
    }

    fn set_timer(&mut self, _: NodeIx, _: Time) {}

    fn clear_timer(&mut self, _: NodeIx) {}
}

#[test]
fn random_trees_answer_as_py_trees_does() {
    let document: Document = serde_json::from_str(REFERENCE).unwrap();
    assert!(document.trees.len() >= 300);
    for (seed, reference) in document.trees.into_iter().enumerate() {
        let plan = plan(&format!("kind: behavior_tree\nroot: {}\n", reference.root));
        let Body::BehaviorTree(tree) = &plan.body else {
            unreachable!()
        };
        let mut places = BTreeMap::new();
        let mut ticks = Ticks::new(&tree.root, |at, node| {
            places.insert(at, node.place.clone());
        });
        let mut leaves = Scripted {
            places,
            scripts: reference.scripts,
            used: BTreeMap::new(),
            left: BTreeMap::new(),
        };
        for (number, wanted) in reference.ticks.iter().enumerate() {
            let ticked = ticks.tick(&mut leaves);
            let running = leaves.left.keys().map(|node| leaves.places[node].as_str());
            let mut running: Vec<&str> = running.collect();
            running.sort_unstable();
            let status = format!("{:?}", ticked.status).to_lowercase();
            let got = [&[status.as_str()], running.as_slice()].concat().join(" ");
            assert_eq!(
                got, *wanted,
                "tree {seed}, tick {number}: {}",
                reference.root
            );
        }
    }
}

fn tree(root: &str) -> Run {
    Run::of(&format!("kind: behavior_tree\nroot: {root}\n"))
}

#[test]
fn a_failing_root_ends_the_run_with_the_failure_of_its_leaf() {
    let mut run = tree("{type: sequence, children: [{type: action, id: a, uses: t}]}");
    run.fail("a", FailureClass::Failed);
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Plugin);
    assert_eq!(end.failure.as_ref().unwrap().step, "a");
}

#[test]
fn a_condition_that_does_not_hold_is_a_failure() {
    let run = tree("{type: condition, check: \"1 == 2\"}");
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Guardrail);
    assert!(end.failure.as_ref().unwrap().message.contains("1 == 2"));
}

#[test]
fn what_a_tree_passes_over_is_skipped_also_where_its_root_fails() {
    let mut run = tree(
        "{type: sequence, children: [{type: action, id: a, uses: t}, {type: action, id: b, uses: t}]}",
    );
    run.fail("a", FailureClass::Failed);
    assert_eq!(run.exit(), Exit::Plugin);
    assert_eq!(run.status("b"), StepStatus::Skipped);
}

#[test]
fn a_budget_that_is_used_up_ends_the_tree_whatever_it_says() {
    let mut run = Run::of(
        "kind: behavior_tree\nbudget: {calls: 1}\nroot: {type: selector, children: [\
         {type: action, id: a, uses: t}, {type: action, id: b, uses: t}, {type: action, id: c, uses: t}]}\n",
    );
    run.fail("a", FailureClass::Failed);
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Budget);
    assert_eq!(run.status("c"), StepStatus::Cancelled);
}

#[test]
fn a_selector_falls_back_and_later_nodes_see_outputs() {
    let mut run = Run::of(
        "kind: behavior_tree\nroot:\n  type: selector\n  children:\n    - type: sequence\n      children:\n        \
         - {type: action, id: classify, uses: t}\n        \
         - {type: condition, check: 'nodes.classify.output.confidence > 0.8'}\n        \
         - {type: action, id: reply, uses: t}\n    \
         - {type: action, id: fallback, uses: t, with: '${{ nodes.classify.output }}'}\n\
         outputs: {said: '${{ nodes.fallback.output }}'}\n",
    );
    run.ok("classify", json!({ "confidence": 0.5 }));
    assert_eq!(run.paths(), ["fallback"]);
    assert_eq!(*run.call("fallback").input, json!({ "confidence": 0.5 }));
    run.ok("fallback", json!("sorry"));
    let end = run.end.as_ref().unwrap();
    assert_eq!(
        (end.exit, &end.outputs["said"]),
        (Exit::Ok, &json!("sorry"))
    );
    assert_eq!(run.status("reply"), StepStatus::Skipped);
}

#[test]
fn a_parallel_stops_what_it_does_not_need_any_more() {
    let mut run = tree(
        "{type: parallel, success_count: 1, children: [{type: action, id: a, uses: t}, \
         {type: action, id: b, uses: t}]}",
    );
    assert_eq!(run.paths(), ["a", "b"]);
    run.ok("b", json!(1));
    assert_eq!(run.cancelled.len(), 1);
    assert!(run.end.is_none(), "what was cancelled is awaited");
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("a"), StepStatus::Cancelled);
}

#[test]
fn a_retry_node_begins_again_under_another_path() {
    let mut run = tree(
        "{type: retry, max_attempts: 3, child: {type: action, id: a, uses: t, retry: {max_attempts: 1}}}",
    );
    let first = run.call("a").idempotency_key.clone();
    run.fail("a", FailureClass::Failed);
    assert_eq!(run.paths(), ["a#2"]);
    assert_ne!(run.call("a#2").idempotency_key, first);
    run.ok("a#2", json!(1));
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn a_timeout_node_stops_its_child_and_fails() {
    let mut run = tree(
        "{type: selector, children: [{type: timeout, timeout: 2s, child: {type: action, id: slow, uses: t}}, \
         {type: action, id: b, uses: t}]}",
    );
    run.tick();
    assert_eq!(run.now, 3_000);
    assert_eq!(run.cancelled.len(), 1);
    assert_eq!(run.paths(), ["slow", "b"]);
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("slow"), StepStatus::Cancelled);
}

#[test]
fn a_cooldown_node_fails_at_once_until_it_is_over() {
    let mut run = tree(
        "{type: repeat, times: 2, child: {type: selector, children: [\
         {type: cooldown, cooldown: 1h, child: {type: action, id: a, uses: t}}, {type: action, id: b, uses: t}]}}",
    );
    run.ok("a", json!(1));
    assert_eq!(run.paths(), ["b"], "the cooldown has not passed");
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn turns_that_need_no_action_are_bounded() {
    let many = "{type: repeat, times: 1000, child: {type: repeat, times: 1000, child: \
                {type: condition, check: 'true'}}}";
    let run = tree(many);
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Limit);
    let message = &end.failure.as_ref().unwrap().message;
    assert!(
        message.contains(&limits::TICKS_MAX.to_string()),
        "{message}"
    );
}

#[test]
fn a_tree_runs_inside_a_workflow_and_is_stopped_with_it() {
    let mut outer = plan("steps:\n  a: {uses: 'plan:tree.yaml', timeout: 5s, with: {}}\n");
    let root = "{type: parallel, children: [{type: action, id: x, uses: t}, {type: action, id: y, uses: t}]}";
    let inner = plan(&format!("kind: behavior_tree\nroot: {root}\n"));
    outer.attach_plan("tree.yaml", inner).unwrap();
    let mut run = Run::new(outer);
    assert_eq!(run.paths(), ["a/x", "a/y"]);
    run.ok("a/x", json!(1));
    run.tick();
    assert_eq!(run.cancelled.len(), 1);
    assert_eq!(run.exit(), Exit::Limit);
}

#[test]
fn without_memory_a_condition_interrupts_what_runs_after_it() {
    let mut run = Run::of(
        "kind: behavior_tree\nroot:\n  type: parallel\n  children:\n    \
         - {type: action, id: clock, uses: t}\n    - type: sequence\n      memory: false\n      children:\n        \
         - {type: condition, check: \"nodes.clock.status != 'ok'\"}\n        - {type: action, id: work, uses: t}\n",
    );
    assert_eq!(run.paths(), ["clock", "work"]);
    run.ok("clock", json!(1));
    assert_eq!(run.cancelled.len(), 1);
    assert_eq!(run.exit(), Exit::Guardrail);
}

#[test]
fn a_plan_tells_its_actions_in_the_order_of_the_file() {
    let plan = plan(
        "kind: behavior_tree\nroot: {type: sequence, children: [{type: action, uses: t}, \
         {type: invert, child: {type: action, id: named, uses: t}}]}\n",
    );
    let ids: Vec<_> = plan.steps().iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["root.0", "named"]);
    let Body::BehaviorTree(tree) = &plan.body else {
        unreachable!()
    };
    assert!(matches!(
        tree.root.node,
        NodeKind::Sequence { memory: true, .. }
    ));
    let started = |note: &&Note| matches!(note, Note::StepStarted { .. });
    let run = Run::new(plan);
    assert_eq!(run.notes.iter().filter(started).count(), 1);
}
