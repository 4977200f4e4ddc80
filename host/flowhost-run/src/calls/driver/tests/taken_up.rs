//! What the driver owes a run that another process left: nothing of it is done twice or forgotten, and nothing begins before
//! its planner has heard what became of the rest.

use flowhost_caps::budget::Left;
use flowhost_flow::plan::Wants;
use flowhost_flow::planner::GateAnswer;

use super::*;
use crate::earlier::resume::rebuild::Rebuilt;
use crate::earlier::resume::{Fed, past};
use crate::meters::tally::Routed;

/// A run that another process left with these calls open, and what that had made of each.
fn left(calls: Vec<(u64, past::Made)>) -> Takeup {
    left_with(calls, Vec::new())
}

/// The same with these gates open, and what was said at each.
fn left_with(calls: Vec<(u64, past::Made)>, gates: Vec<(OpenGate, Option<GateAnswer>)>) -> Takeup {
    let open = calls.iter();
    let open = open.map(|(number, _)| (CallId(*number), numbered(*number)));
    let rebuilt = Rebuilt {
        at: Some(Time(0)),
        open: open.collect(),
        gates: gates
            .iter()
            .map(|(gate, _)| (gate.id, gate.clone()))
            .collect(),
        ..Rebuilt::default()
    };
    let reached = gates.into_iter().map(|(gate, said)| {
        let reached = past::Reached {
            until_ms: gate.timeout_ms,
            answer: said.map(|answer| (answer, "ci".to_owned())),
        };
        (gate.id.0, reached)
    });
    let past = past::Past {
        calls: calls.into_iter().collect(),
        gates: reached.collect(),
        ..past::Past::default()
    };
    let fed = Fed {
        setup: setup(),
        events: Vec::new(),
        ends: BTreeMap::new(),
    };
    Takeup::of(Resumed { past, rebuilt, fed })
}

/// A call that had ended well, of which the planner had not heard.
fn ended_well() -> past::Made {
    past::Made {
        result: Some(past::Known {
            result: CallResult::Output(json!("hello")),
            stands: Stands::Nowhere,
            detail: Detail::default(),
        }),
        ..past::Made::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_stopped_by_the_end_of_another_is_not_made_again_and_what_it_used_counts() {
    let begun = past::Made {
        begun: true,
        spent: Left {
            tokens: 5,
            micro_usd: 7,
        },
        routed: Routed {
            calls: 2,
            detail: Detail::default(),
        },
        ..past::Made::default()
    };
    let takeup = left(vec![(1, ended_well()), (2, begun)]);
    let stop = Action::Cancel {
        call: CallId(2),
        reason: "decided".to_owned(),
    };
    let (mut driver, ear, _) = scripted(vec![vec![stop]]);
    takeup.restore(&driver.purse, &machinery().tally, &driver.recording);
    driver.take_up(takeup).await;
    let events = ear.events();
    let [
        Event::CallFinished { call: ended, .. },
        Event::CallFinished { call, result, used },
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!((ended.0, call.0), (1, 2));
    assert!(
        matches!(result, CallResult::Failed(it) if it.class == FailureClass::Cancelled),
        "{result:?}"
    );
    assert_eq!((used.calls, used.tokens, used.micro_usd), (3, 5, 7));
    assert!(driver.waiting.is_empty() && driver.open.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_begins_in_a_run_that_is_taken_up_to_be_stopped_before_its_planner_has_heard_of_it()
{
    let turns = vec![vec![Action::Call(numbered(2))], vec![], vec![finish()]];
    let (mut driver, ear, _) = scripted(turns);
    driver.run.cancel("enough");
    let answers = driver.channel.listen(&*driver.bus, "step.*.end").await;
    let takeup = left(vec![(1, ended_well())]);
    driver.run(answers.unwrap(), Some(takeup)).await;
    let events = ear.events();
    // The second was not stopped by that, and is ordered then: it is answered for, as there is no such plugin here.
    assert!(
        matches!(
            events.as_slice(),
            [
                Event::CallFinished { .. },
                Event::Cancelled { .. },
                Event::CallFinished { .. }
            ]
        ),
        "{events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_all_that_was_open_is_heard_before_anything_begins() {
    let turns = vec![
        vec![Action::Call(numbered(4))],
        vec![Action::Cancel {
            call: CallId(2),
            reason: "decided".to_owned(),
        }],
    ];
    let (mut driver, ear, _) = scripted(turns);
    let calls = [
        (1, ended_well()),
        (2, past::Made::default()),
        (3, ended_well()),
    ];
    driver.take_up(left(calls.into())).await;
    let heard = ear.events().into_iter().map(|event| match event {
        Event::CallFinished {
            call,
            result: CallResult::Failed(failure),
            ..
        } => (call.0, Some(failure.class)),
        Event::CallFinished { call, .. } => (call.0, None),
        other => panic!("{other:?}"),
    });
    let stopped = Some(FailureClass::Cancelled);
    assert_eq!(
        heard.collect::<Vec<_>>(),
        [(1, None), (3, None), (2, stopped)]
    );
    // Which there is no plugin for here.
    assert!(matches!(
        driver.arisen.pop_front(),
        Some(Event::CallFinished {
            call: CallId(4),
            ..
        })
    ));
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_closed_by_what_was_said_at_another_is_not_open_in_the_process_after() {
    let gate = |number| OpenGate {
        id: GateId(number),
        step_id: format!("s{number}"),
        path: format!("gate{number}"),
        wants: Wants::Signal,
        timeout_ms: 1_000,
    };
    let close = Action::CloseGate { gate: GateId(2) };
    let (mut driver, ear, _) = scripted(vec![vec![close, set(1, 5)], vec![finish()]]);
    let said = GateAnswer::Signal {
        payload: json!("now"),
    };
    let takeup = left_with(vec![], vec![(gate(1), Some(said)), (gate(2), None)]);
    let answers = driver.channel.listen(&*driver.bus, "step.*.end").await;
    driver.run(answers.unwrap(), Some(takeup)).await;
    assert_eq!(ear.all().len(), 2);
    assert!(driver.gates.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_another_process_had_begun_is_in_doubt_however_it_is_not_made_again() {
    let (mut driver, ear, _) = scripted(vec![]);
    let begun = Begun {
        routed: Routed::default(),
        doubtful: true,
    };
    for number in 1..=3 {
        driver.open.insert(number, None);
        driver.begun.insert(number, begun);
    }
    // One is stopped while it waits, one cannot be ordered, and the order of one nobody has taken.
    driver.waiting.extend([numbered(1), numbered(2)]);
    driver.cancel(CallId(1), "enough".to_owned()).await;
    driver.drain().await;
    let stopped = FlowFailure::new(FailureClass::Cancelled, "the call was stopped");
    let stopped = answer_with(3, CallResult::Failed(stopped));
    driver.answered(Arc::new(stopped)).await;
    let mut heard = Vec::new();
    for event in ear.events() {
        let Event::CallFinished {
            call,
            result: CallResult::Failed(failure),
            ..
        } = &event
        else {
            panic!("{event:?}");
        };
        assert!(failure.is_in_doubt(), "{failure:?}");
        heard.push(call.0);
    }
    assert_eq!(heard, [3, 1, 2]);
    assert!(driver.begun.is_empty());
}
