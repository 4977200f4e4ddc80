//! State machines: against a table, and at work.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use crate::exit::{Exit, FailureClass, StepStatus};
use crate::planner::harness::{Run, plan};

const SUPPORT: &str = "kind: fsm\ninitial_state: classify\nfinal_states: [reply, escalate]\nstates:\n  \
    classify: {uses: t, on_success: search, on_error: escalate}\n  \
    search:\n    uses: t\n    with: {query: '${{ states.classify.output.topic }}'}\n    \
    transitions: [{when: 'output.confidence < 0.7', to: review}]\n    on_success: reply\n    on_error: escalate\n  \
    review: {transitions: [{when: 'states.search.output.confidence < 0.2', to: escalate}], on_success: reply}\n  \
    reply: {uses: t}\n  escalate: {uses: t, with: {reason: '${{ failure }}'}}\n\
    outputs: {reply: '${{ states.reply.output }}'}\n";

#[test]
fn a_failure_without_a_way_out_ends_the_run() {
    let mut run = Run::of(
        "kind: fsm\ninitial_state: a\nfinal_states: [b]\nstates:\n  a: {uses: t, on_success: b}\n  b: {}\n",
    );
    run.fail("a", FailureClass::Failed);
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.exit, Exit::Plugin);
    assert_eq!(end.failure.as_ref().unwrap().step, "a");
    assert_eq!(run.status("b"), StepStatus::Cancelled);
}

#[test]
fn a_loop_ends_at_its_bound() {
    let mut run = Run::of(
        "kind: fsm\ninitial_state: a\nfinal_states: [end]\nmax_transitions: 7\nstates:\n  \
         a: {transitions: [{when: 'inputs.size() > 0', to: end}], on_success: b}\n  b: {on_success: a}\n  end: {}\n",
    );
    assert_eq!(run.exit(), Exit::Limit);
    assert_eq!(
        run.summaries()
            .filter(|s| s.status == StepStatus::Ok)
            .count(),
        8
    );
}

#[test]
fn a_budget_that_is_used_up_takes_no_way_out() {
    let mut run = Run::of(
        "kind: fsm\nbudget: {calls: 1}\ninitial_state: a\nfinal_states: [end]\nstates:\n  \
         a: {uses: t, on_success: b, on_error: end}\n  b: {uses: t, on_success: end, on_error: end}\n  end: {}\n",
    );
    run.ok("a", json!(1));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Budget);
}

#[test]
fn the_first_transition_that_holds_wins_over_on_success() {
    let mut run = Run::of(SUPPORT);
    run.ok("classify", json!({ "topic": "refund" }));
    assert_eq!(*run.call("search").input, json!({ "query": "refund" }));
    run.ok("search", json!({ "confidence": 0.1 }));
    assert_eq!(
        run.status("review"),
        StepStatus::Ok,
        "a state that only decides is in the record"
    );
    run.ok("escalate", json!(null));
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("reply"), StepStatus::Skipped);
}

#[test]
fn a_failed_state_hands_its_failure_on() {
    let mut run = Run::of(SUPPORT);
    run.fail("classify", FailureClass::Failed);
    assert_eq!(run.call("escalate").input["reason"]["class"], "failed");
    assert_eq!(run.call("escalate").input["reason"]["step"], "classify");
    assert_eq!(run.warnings(), ["continued"]);
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn attempts_come_before_the_way_out_by_error() {
    let mut run = Run::of(
        "kind: fsm\ninitial_state: a\nfinal_states: [end]\nstates:\n  \
         a: {uses: t, retry: {max_attempts: 2}, on_success: end, on_error: end}\n  end: {}\n",
    );
    let key = run.call("a").idempotency_key.clone();
    run.fail("a", FailureClass::Transient);
    assert!(run.end.is_none());
    run.tick();
    assert_eq!(
        run.call("a").idempotency_key,
        key,
        "another attempt is the same work"
    );
    run.ok("a", json!(1));
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn every_visit_is_work_of_its_own() {
    let mut run = Run::of(
        "kind: fsm\ninitial_state: a\nfinal_states: [end]\nstates:\n  \
         a: {uses: t, transitions: [{when: 'output != 3', to: a}], on_success: end}\n  end: {}\n\
         outputs: {n: '${{ states.a.output }}'}\n",
    );
    let first = run.call("a").clone();
    run.ok("a", json!(1));
    let second = run.call("a#2").clone();
    assert_ne!(first.idempotency_key, second.idempotency_key);
    assert_ne!((first.step_id, first.seed), (second.step_id, second.seed));
    run.ok("a#2", json!(3));
    assert_eq!(run.end.as_ref().unwrap().outputs["n"], json!(3));
}

#[test]
fn the_ways_out_of_a_state_see_its_visit_before_by_its_name_and_this_one_as_output() {
    let mut run = Run::of(
        "kind: fsm\ninitial_state: a\nfinal_states: [same, given_up]\nstates:\n  \
         a:\n    uses: t\n    transitions:\n      - {when: 'states.a.status == \"pending\"', to: a}\n      \
         - {when: 'states.a.output == output', to: same}\n    on_success: a\n    on_error: given_up\n  \
         same: {}\n  given_up: {}\noutputs: {n: '${{ states.a.output }}'}\n",
    );
    run.ok("a", json!(1)); // nothing was before it, whatever it gives
    run.ok("a#2", json!(2));
    run.ok("a#3", json!(2));
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("same"), StepStatus::Ok);
    assert_eq!(run.end.as_ref().unwrap().outputs["n"], json!(2));
}

#[test]
fn a_machine_inside_a_workflow_stops_with_its_step() {
    let mut outer = plan("steps:\n  a: {uses: 'plan:m.yaml', with: {}, timeout: 5s}\n");
    outer.attach_plan("m.yaml", plan(SUPPORT)).unwrap();
    let mut run = Run::new(outer);
    assert_eq!(run.paths(), ["a/classify"]);
    run.tick();
    assert_eq!(run.exit(), Exit::Limit);
    assert_eq!(run.status("a/classify"), StepStatus::Cancelled);
    assert_eq!(run.status("a/search"), StepStatus::Cancelled);
}

/// A row of the table: where success, a transition and failure lead.
type Row = (usize, Option<usize>, Option<usize>);

/// Random machines whose state `n` always has a way to `n + 1`, the last being final.
fn rows() -> impl Strategy<Value = Vec<Row>> {
    let row = (
        any::<usize>(),
        any::<Option<usize>>(),
        any::<Option<usize>>(),
    );
    prop::collection::vec(row, 1..7).prop_map(|rows| {
        let count = rows.len();
        let rows = rows.into_iter().enumerate();
        rows.map(|(at, (_, way, error))| {
            (
                at + 1,
                way.map(|to| to % (count + 1)),
                error.map(|to| to % (count + 1)),
            )
        })
        .collect()
    })
}

fn text(rows: &[Row]) -> String {
    let mut body = format!(
        "kind: fsm\ninitial_state: s0\nfinal_states: [s{}]\nmax_transitions: 20\nstates:\n  s{}: {{}}\n",
        rows.len(),
        rows.len()
    );
    for (at, (next, way, error)) in rows.iter().enumerate() {
        let way = way.map_or(String::new(), |to| {
            format!(", transitions: [{{when: 'output == 1', to: s{to}}}]")
        });
        let error = error.map_or(String::new(), |to| format!(", on_error: s{to}"));
        body.push_str(&format!(
            "  s{at}: {{uses: t, on_success: s{next}{way}{error}}}\n"
        ));
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn random_machines_walk_as_their_table_says(
        rows in rows(),
        answers in prop::collection::vec(0_u8..3, 1..40),
    ) {
        let mut run = Run::of(&text(&rows));
        let mut answers = answers.iter().cycle();
        // The table: a state, what it answers, and where that leads.
        let (mut at, mut moves, mut visits) = (0, 0, BTreeMap::<usize, u32>::new());
        let exit = loop {
            if at == rows.len() {
                break Exit::Ok;
            }
            let visit = visits.entry(at).or_default();
            *visit += 1;
            let path = match visit {
                1 => format!("s{at}"),
                visit => format!("s{at}#{visit}"),
            };
            prop_assert_eq!(run.paths(), vec![path.as_str()]);
            let (next, way, error) = rows[at];
            let to = match answers.next().unwrap() {
                0 => {
                    run.fail(&path, FailureClass::Failed);
                    error
                }
                1 => {
                    run.ok(&path, json!(1));
                    Some(way.unwrap_or(next))
                }
                _ => {
                    run.ok(&path, json!(2));
                    Some(next)
                }
            };
            let Some(to) = to else { break Exit::Plugin };
            moves += 1;
            if moves > 20 {
                break Exit::Limit;
            }
            at = to;
        };
        prop_assert_eq!(run.end.as_ref().map(|end| end.exit), Some(exit));
    }
}
