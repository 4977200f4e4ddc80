//! Gates, messages and taking back, as plans say them.

use serde_json::json;

use crate::exit::{Exit, FailureClass};
use crate::planner::harness::Run;
use crate::planner::{Event, GateAnswer, Note, Part};

fn word(approved: bool) -> GateAnswer {
    GateAnswer::Approval {
        approved,
        by: "ann".to_owned(),
        note: "because".to_owned(),
    }
}

const GATED: &str = "steps:\n  a: {uses: t}\n  ask: {needs: [a], wait_for: approval, timeout: 4h}\n  \
                     b: {needs: [ask], uses: t, with: {by: '${{ steps.ask.output.by }}'}}\n  \
                     other: {uses: t}\n";

#[test]
fn nothing_behind_a_gate_begins_before_a_person_says_yes() {
    let mut run = Run::of(GATED);
    assert!(!run.planner.rests(), "calls are out");
    run.ok("a", json!(1));
    assert_eq!(run.gates.len(), 1);
    assert!(!run.planner.rests(), "another branch works");
    run.ok("other", json!(1));
    assert!(run.planner.rests() && run.calls.is_empty());
    run.say(word(true));
    assert_eq!(*run.call("b").input, json!({ "by": "ann" }));
    run.ok("b", json!(1));
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn a_no_fails_the_step_and_a_timeout_does_what_the_plan_says() {
    let mut run = Run::of(GATED);
    run.ok("a", json!(1));
    run.ok("other", json!(1));
    run.say(word(false));
    assert_eq!(run.exit(), Exit::Guardrail);
    let failure = run.end.as_ref().unwrap().failure.clone().unwrap();
    assert_eq!(failure.message, "`ann` said no: because");
    for (more, exit) in [("", Exit::Limit), (", on_timeout: continue", Exit::Ok)] {
        let plan = format!("steps:\n  ask: {{wait_for: signal, timeout: 4h{more}}}\n");
        let mut run = Run::of(&plan);
        run.say(GateAnswer::TimedOut);
        assert_eq!(run.exit(), exit, "{more}");
    }
}

#[test]
fn a_state_decides_by_approval_and_takes_its_own_way_when_the_time_is_up() {
    let plan = "kind: fsm\ninitial_state: review\nfinal_states: [yes, no, late]\nstates:\n  \
                review: {wait_for: approval, timeout: 4h, on_timeout: late, on_success: no, \
                transitions: [{when: 'approval == true', to: yes}]}\n  yes: {}\n  no: {}\n  late: {}\noutputs: {at: \
                '${{ states.yes.status + states.no.status + states.late.status }}'}\n";
    let at = |answer: GateAnswer| {
        let mut run = Run::of(plan);
        run.say(answer);
        run.end.unwrap().outputs["at"].clone()
    };
    assert_eq!(at(word(true)), "okskippedskipped");
    assert_eq!(at(word(false)), "skippedokskipped");
    assert_eq!(at(GateAnswer::TimedOut), "skippedskippedok");
}

#[test]
fn a_tree_goes_on_by_a_person_and_a_timeout_closes_the_gate() {
    let plan = "kind: behavior_tree\nroot:\n  type: selector\n  children:\n    - {type: timeout, timeout: 5s, child: \
                {type: action, id: ask, wait_for: approval, timeout: 4h}}\n    - {type: action, id: else, uses: t}\n";
    let mut run = Run::of(plan);
    assert!(!run.planner.rests(), "a timeout node waits for its time");
    run.tick();
    assert!(run.gates.is_empty(), "the gate was closed");
    run.ok("else", json!(1));
    assert_eq!(run.exit(), Exit::Ok);
}

#[test]
fn a_message_is_sent_and_the_step_is_done() {
    let run = Run::of(
        "steps:\n  tell: {emit: {subject: system.control, payload: {n: '${{ 1 + 1 }}'}}}\noutputs: {said: '${{ \
         steps.tell.output.payload.n }}'}\n",
    );
    let sent = run.notes.iter().find_map(|note| match note {
        Note::Emitted {
            subject, payload, ..
        } => Some((subject.clone(), payload.clone())),
        _ => None,
    });
    assert_eq!(sent, Some(("system.control".to_owned(), json!({ "n": 2 }))));
    assert_eq!(run.end.unwrap().outputs["said"], 2);
}

const SAGA: &str = "steps:\n  a: {uses: t, compensate: {uses: t, with: {undo: '${{ output }}'}}}\n  \
                    b: {needs: [a], uses: t, compensate: {uses: t, with: {undo: '${{ output }}', why: '${{ failure.class }}'}}}\n  \
                    c: {needs: [b], uses: t, compensate: {uses: t}}\n";

#[test]
fn what_was_done_is_taken_back_in_reverse_and_what_was_not_is_not() {
    let mut run = Run::of(SAGA);
    run.ok("a", json!("A"));
    run.ok("b", json!("B"));
    run.fail("c", FailureClass::Failed);
    let call = run.call("b!compensate").clone();
    assert_eq!(call.part, Part::Compensation);
    assert_eq!(*call.input, json!({ "undo": "B", "why": "failed" }));
    assert_eq!(run.calls.len(), 1, "one after the other");
    // One that fails keeps none of the others back.
    run.fail("b!compensate", FailureClass::Failed);
    assert_eq!(*run.call("a!compensate").input, json!({ "undo": "A" }));
    run.ok("a!compensate", json!(null));
    let end = run.end.as_ref().unwrap();
    assert_eq!(end.failure.as_ref().unwrap().step, "c");
    let by_hand = run.notes.iter().any(|note| {
        matches!(note, Note::Warning { about: "compensation", path, .. } if path == "b!compensate")
    });
    assert!(by_hand, "{:?}", run.notes);
}

#[test]
fn a_run_that_is_cancelled_takes_back_and_a_second_word_ends_it_at_once() {
    let cancel = || Event::Cancelled {
        reason: "enough".to_owned(),
    };
    let mut run = Run::of(SAGA);
    run.ok("a", json!("A"));
    run.feed(cancel());
    run.fail("b", FailureClass::Failed);
    assert!(run.end.is_none());
    run.call("a!compensate");
    run.feed(cancel());
    assert_eq!(run.exit(), Exit::Interrupted);
}
