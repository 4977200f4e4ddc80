//! Graphs of plans of each kind, in each form.

use super::*;
use crate::plan::Plan;

const PLUGINS: &str = "plugins: { t: { kind: tool, source: ./t.wasm, profile: deny-all } }\n";

fn workflow(steps: &str) -> Graph {
    let text = format!("flowhost: v1\nkind: workflow\nname: p\n{PLUGINS}{steps}");
    Graph::of(&Plan::parse(&text, "p.yaml").unwrap())
}

fn sample() -> Graph {
    workflow(
        "steps:\n  second: { uses: t/run, with: {}, needs: [first], when: 'inputs == {}' }\n  \
         first: { uses: t, with: {}, on_failure: { run: tell, then: 'goto:last' } }\n  \
         last: { barrier: { require: all, timeout: 90s, on_timeout: continue }, needs: [first, second] }\n\
         handlers: { tell: { uses: t, with: {} } }\n",
    )
}

const MACHINE: &str = "flowhost: v1\nkind: fsm\nname: m\nplugins: { t: { kind: tool, source: ./t.wasm, profile: deny-all } }\n\
initial_state: ask\nfinal_states: [done]\nstates:\n  done: { uses: t, with: {} }\n  \
ask: { uses: t, with: {}, transitions: [ { when: \"output.sure\", to: done } ], on_success: again, on_error: done }\n  \
again: { on_success: ask }\n";

const TREE: &str = "flowhost: v1\nkind: behavior_tree\nname: b\nplugins: { t: { kind: tool, source: ./t.wasm, profile: deny-all } }\n\
root:\n  type: selector\n  children:\n    - { type: sequence, children: [ { type: condition, check: \"true\" }, { type: action, id: act, uses: t, with: {} } ] }\n    \
- { type: invert, child: { type: action, id: other, uses: t, with: {} } }\n";

fn machine() -> Graph {
    Graph::of(&Plan::parse(MACHINE, "m.yaml").unwrap())
}

fn tree() -> Graph {
    Graph::of(&Plan::parse(TREE, "b.yaml").unwrap())
}

#[test]
fn a_workflow_shows_what_needs_what_in_the_order_of_the_file() {
    insta::assert_snapshot!(sample().outline());
}

#[test]
fn a_machine_begins_where_it_begins_and_shows_every_way() {
    insta::assert_snapshot!(machine().outline());
}

#[test]
fn a_tree_is_indented_by_its_depth() {
    insta::assert_snapshot!(tree().outline());
}

#[test]
fn graphviz_and_mermaid_say_the_same() {
    insta::assert_snapshot!(sample().dot());
    let mermaid = [
        "flowchart LR",
        "  n0[\"ask<br/>t\"]",
        "  n1(((\"done<br/>t\")))",
        "  n2{\"again<br/>decides\"}",
        "  n0 -->|\"output.sure\"| n1",
        "  n0 --> n2",
        "  n0 -.-> n1",
        "  n2 --> n0",
        "",
    ];
    assert_eq!(machine().mermaid(), mermaid.join("\n"));
}

#[test]
fn texts_of_a_plan_are_never_the_drawings_language() {
    let mut graph = sample();
    graph.plan = "a\"; b [label=x]".to_owned();
    graph.nodes[0].label = "x\"] --> end<script>\\".to_owned();
    let dot = graph.dot();
    assert!(dot.starts_with("digraph \"a\\\"; b [label=x]\" {"), "{dot}");
    assert!(dot.contains("x\\\"] --> end<script>\\\\"), "{dot}");
    let mermaid = graph.mermaid();
    assert!(
        mermaid.contains("x#quot;] --#gt; end#lt;script#gt;\\"),
        "{mermaid}"
    );
}

#[test]
fn a_run_marks_each_node_and_counts_items_and_visits() {
    let ends = [
        ("first", "ok", 5),
        ("second", "skipped", 0),
        ("last[0]", "ok", 3),
        ("last[1]", "failed", 4),
        ("last", "failed", 7),
        ("first/inner", "failed", 1),
    ];
    let graph = sample().with_ends(ends);
    let ended = |id: &str| graph.node(id).and_then(|node| node.ended.clone());
    let of = |status: &str, duration_ms, times| {
        Some(Ended {
            status: status.to_owned(),
            duration_ms,
            times,
        })
    };
    assert_eq!(ended("first"), of("ok", 5, 1));
    assert_eq!(ended("second"), of("skipped", 0, 1));
    assert_eq!(ended("last"), of("failed", 7, 2));
    assert_eq!(ended("tell"), None);
    let visits = machine().with_ends([("ask", "ok", 2), ("again#1", "ok", 1), ("ask#2", "ok", 3)]);
    assert_eq!(visits.node("ask").unwrap().ended, of("ok", 5, 2));
}

#[test]
fn a_difference_names_nodes_and_edges() {
    let before = sample();
    let after = workflow(
        "steps:\n  first: { uses: t/run, with: {} }\n  third: { uses: t, with: {}, needs: [first] }\n",
    );
    insta::assert_snapshot!(Difference::between(&before, &after).outline());
    assert!(Difference::between(&before, &sample()).is_empty());
}

#[test]
fn runs_differ_by_how_their_nodes_ended_and_not_by_how_long_they_took() {
    let run = |status, duration_ms| sample().with_ends([("first", status, duration_ms)]);
    assert!(Difference::between(&run("ok", 5), &run("ok", 7)).is_empty());
    let told = Difference::between(&run("ok", 5), &run("failed", 7));
    assert_eq!(told.changed.len(), 1);
    assert_eq!(run("ok", 5).without_ends(), sample());
}
