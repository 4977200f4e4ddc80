//! The records of a run, fed to a new planner, give the actions that the run performed.

use flowhost_flow::Action;
use flowhost_flow::planner::{Note, RunEnd, replay};
use flowhost_run::Fed;
use serde_json::{Value, json};

use super::evidence::run_dir;
use super::examples::example;
use crate::held::project;
use crate::support::Home;

/// What the records say that the planner did: each end of a step, and each call with a record.
fn recorded(home: &Home) -> (Vec<Value>, Vec<String>) {
    let records = home.records();
    let ends = records.iter().filter(|it| it["kind"] == "step.end");
    let ends = ends.map(|it| json!([it["path"], it["status"], it["attempts"]]));
    let calls = records.iter().filter(|it| it["kind"] == "tool.call");
    let calls = calls.filter_map(|it| it["call"].as_str());
    let calls = calls.filter(|call| !call.contains('.'));
    (ends.collect(), calls.map(str::to_owned).collect())
}

#[track_caller]
fn replays(home: &Home) -> RunEnd {
    let fed = Fed::read(&run_dir(home), None).unwrap();
    let plan = project(home).plan;
    let answers = replay(plan, fed.setup, &fed.events, &fed.ends).unwrap();
    let actions = answers.into_iter().flat_map(|answer| answer.actions);
    let (mut ends, mut calls, mut finished) = (Vec::new(), Vec::new(), None);
    for action in actions {
        match action {
            Action::Note(Note::StepEnded(end)) => ends.push(json!([
                end.path,
                end.status.word(),
                end.attempts.to_string()
            ])),
            Action::Call(call) if !call.part.is_guard() => calls.push(call.id.0.to_string()),
            Action::Finish(end) => finished = Some(*end),
            _ => {}
        }
    }
    let (recorded_ends, mut recorded_calls) = recorded(home);
    assert_eq!(ends, recorded_ends, "the ends of steps, in their order");
    // A call is recorded by whoever performs it: several at work come in any order.
    calls.sort();
    recorded_calls.sort();
    assert_eq!(calls, recorded_calls);
    finished.unwrap()
}

#[test]
fn every_example_gives_the_same_actions_to_a_new_planner() {
    for name in [
        "first-plan",
        "docs-check",
        "support-triage",
        "urgent-message",
    ] {
        let home = example(name);
        let report = home
            .flowhost(&["run", "plan.yaml", "--json"])
            .expect(0)
            .json();
        let end = replays(&home);
        assert_eq!(json!(end.outputs), report["outputs"], "{name}");
    }
}

#[test]
fn a_run_that_a_guardrail_halts_is_halted_again() {
    let home = example("first-plan");
    home.file(
        "hello.md",
        "# Write to jane.doe@example.com\n\nAKIAIOSFODNN7EXAMPLE\n",
    );
    let report = home.flowhost(&["run", "plan.yaml", "--json"]).json();
    let end = replays(&home);
    assert_eq!(json!(end.exit.code()), report["exit_code"]);
}
