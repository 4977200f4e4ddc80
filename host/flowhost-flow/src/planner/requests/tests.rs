//! Runs that are open to requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::budget::Amounts;
use crate::exit::{Exit, FailureClass, StepStatus};
use crate::planner::harness::{Run, plan, setup};
use crate::planner::{CallEnd, CallId, CallResult, Event, EventRecord, RequestId, RunSetup, Time};
use crate::planner::{planner_for, replay};

const TWO: &str = "inputs: {input: {type: object, default: {}}}\nsteps:\n  say: {uses: t, with: '${{ inputs.input }}'}\n  \
     look: {uses: t}\n";

fn ask(run: &mut Run, request: u64, step: &str, input: serde_json::Value) {
    let (request, step) = (RequestId(request), step.to_owned());
    run.feed(Event::Requested {
        request,
        step,
        input,
    });
}

fn class_of(run: &Run, request: u64) -> FailureClass {
    let mut replies = run.replies.iter();
    let (_, result) = replies.find(|(number, _)| *number == request).unwrap();
    result.as_ref().unwrap_err().class
}

#[test]
fn nothing_begins_by_itself_and_a_request_is_an_item_of_its_step() {
    let mut run = Run::on_request(TWO);
    assert!(run.calls.is_empty() && !run.planner.rests());
    ask(&mut run, 0, "say", json!({ "text": "a" }));
    ask(&mut run, 1, "say", json!({ "text": "b" }));
    assert_eq!(run.paths(), ["say[0]", "say[1]"]);
    let given = |path: &str| run.call(path).input.as_ref().clone();
    assert_eq!(given("say[1]"), json!({ "text": "b" }));
    assert_ne!(run.call("say[0]").seed, run.call("say[1]").seed);
    assert_ne!(
        run.call("say[0]").idempotency_key,
        run.call("say[1]").idempotency_key
    );
    run.ok("say[1]", json!("second"));
    assert_eq!(run.replies, [(1, Ok(json!("second")))]);
    assert_eq!(run.status("say[1]"), StepStatus::Ok);
    run.ok("say[0]", json!("first"));
    assert!(run.end.is_none(), "somebody may ask for more");
    run.feed(Event::Closed { stops: None });
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Ok);
    assert_eq!(run.summary("say").used.calls, 2);
    assert_eq!(run.status("look"), StepStatus::Skipped);
}

#[test]
fn a_request_that_fails_or_is_withdrawn_ends_nothing_else() {
    let mut run = Run::on_request(TWO);
    for number in 0..3 {
        ask(&mut run, number, "say", json!({}));
    }
    // A budget that is spent halts a run of steps that need each other; here it is that request's alone.
    run.fail("say[0]", FailureClass::Budget);
    assert_eq!(class_of(&run, 0), FailureClass::Budget);
    run.feed(Event::Withdrawn {
        request: RequestId(1),
    });
    assert_eq!(run.cancelled.len(), 1, "no other call is stopped");
    run.fail("say[1]", FailureClass::Cancelled);
    assert_eq!(class_of(&run, 1), FailureClass::Cancelled);
    // It was replied to before it was withdrawn.
    run.feed(Event::Withdrawn {
        request: RequestId(0),
    });
    run.ok("say[2]", json!(1));
    assert_eq!(run.replies.len(), 3);
    run.feed(Event::Closed { stops: None });
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Ok);
}

#[test]
fn a_run_that_is_closed_ends_with_what_is_at_work_and_takes_no_more() {
    let mut run = Run::on_request(TWO);
    ask(&mut run, 0, "say", json!({}));
    run.feed(Event::Closed { stops: None });
    ask(&mut run, 1, "say", json!({}));
    assert_eq!(class_of(&run, 1), FailureClass::Cancelled);
    assert!(run.end.is_none() && run.cancelled.is_empty());
    run.ok("say[0]", json!(1));
    assert_eq!(run.end.as_ref().unwrap().exit, Exit::Ok);

    let mut run = Run::on_request(TWO);
    ask(&mut run, 0, "say", json!({}));
    run.feed(Event::Closed {
        stops: Some("the client is gone".to_owned()),
    });
    assert_eq!(run.exit(), Exit::Ok);
    assert_eq!(run.status("say[0]"), StepStatus::Cancelled);
    assert_eq!(class_of(&run, 0), FailureClass::Cancelled);

    let mut run = Run::on_request(TWO);
    ask(&mut run, 0, "say", json!({}));
    run.feed(Event::Cancelled {
        reason: "enough".to_owned(),
    });
    assert_eq!(run.exit(), Exit::Interrupted);
    assert_eq!(class_of(&run, 0), FailureClass::Cancelled);
}

#[test]
fn a_step_that_is_more_than_a_call_of_a_plugin_is_refused() {
    let mut run = Run::on_request(
        "steps:\n  a: {uses: t}\n  b: {uses: t, needs: [a]}\n  c: {uses: t, guardrails: {before: [{uses: g}]}}\n  \
         d: {uses: t, foreach: {items: '${{ [1] }}'}}\n  e: {uses: t, when: 'true'}\n",
    );
    for (number, step) in ["b", "c", "d", "e", "none"].into_iter().enumerate() {
        let number = number as u64;
        ask(&mut run, number, step, json!({}));
        assert_eq!(class_of(&run, number), FailureClass::Invalid, "{step}");
    }
    assert!(run.calls.is_empty());
}

#[test]
fn what_is_recorded_of_requests_gives_the_same_again() {
    let plan = Arc::new(plan(TWO));
    let setup = RunSetup {
        on_request: true,
        ..setup(&plan, BTreeMap::new(), json!({}))
    };
    let mut planner = planner_for(plan.clone(), setup.clone()).unwrap();
    let (mut records, mut ends, mut said) = (Vec::new(), BTreeMap::new(), Vec::new());
    let mut now = 0;
    let mut feed = |event: Event| {
        now += 7;
        records.push(EventRecord::of(&event, Time(now)));
        if let Event::CallFinished { call, result, used } = &event {
            let (result, used) = (result.clone(), *used);
            ends.insert(*call, CallEnd { result, used });
        }
        said.push(planner.on(event, Time(now)));
    };
    feed(Event::Started);
    for number in 0..5 {
        feed(Event::Requested {
            request: RequestId(number),
            step: "say".to_owned(),
            input: json!({ "n": number }),
        });
    }
    feed(Event::Withdrawn {
        request: RequestId(2),
    });
    for number in 1..=5 {
        feed(Event::CallFinished {
            call: CallId(number),
            result: CallResult::Output(json!(number)),
            used: Amounts::default(),
        });
    }
    feed(Event::Closed { stops: None });
    assert!(planner.is_finished());
    let again = replay(plan, setup, &records, &ends).unwrap();
    let again: Vec<_> = again.into_iter().map(|it| it.actions).collect();
    assert_eq!(again, said);
}
