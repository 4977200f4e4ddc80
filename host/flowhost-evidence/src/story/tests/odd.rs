//! Stories of records that are unusual: long, damaged, erased, alike.

use flowhost_ledger::records::{DecisionPart, EndedPart, FsOp, Message as Envelope, TryPart};

use super::*;

#[test]
fn a_thing_that_is_not_shown_is_one_however_often_it_was_asked_for() {
    let mut tape = Tape::new();
    let mut ask = |wanted: String| {
        let op = FsOp {
            decided: DecisionPart {
                decision: Some(Decision::Deny),
                wanted: Some(wanted),
                ..DecisionPart::default()
            },
            ..FsOp::default()
        };
        tape.add(by("a", op));
    };
    for at in (0..13).chain([0, 12, 12]) {
        ask(format!("read /{at}"));
    }
    let denied = tape.story().decisions.denied;
    let group = &denied.items[0];
    assert_eq!((group.count, group.wanted.items[0].count), (16, 2));
    assert_eq!((group.wanted.items.len(), group.wanted.total), (12, 13));
}

#[test]
fn a_call_of_two_tries_is_one_call_beyond_those_that_are_kept_too() {
    let mut tape = Tape::new();
    let intent = |request: u64, attempt: u64| ModelIntent {
        call_of: of("s"),
        of_try: TryPart {
            request: Some(request),
            r#try: Some(attempt),
            ..TryPart::default()
        },
        ..ModelIntent::default()
    };
    for request in 0..20_000 {
        tape.add(by("a", intent(request, 1)));
    }
    for attempt in [1, 2] {
        tape.add(by("a", intent(20_000, attempt)));
    }
    assert_eq!(tape.story().models.listed.total, 20_001);
}

#[test]
fn a_prompt_of_many_turns_shows_its_ends() {
    let mut tape = Tape::new();
    let turns: Vec<_> = (0..100)
        .map(|at| serde_json::json!({ "speaker": "user", "content": format!("turn {at}") }))
        .collect();
    let payload = json(&serde_json::json!({ "turns": turns }));
    let intent = ModelIntent {
        call_of: of("s"),
        ..ModelIntent::default()
    };
    tape.add(by("a", intent).payload(payload));
    let story = tape.story();
    let Request::Turns(turns, left_out) = &story.models.listed.items[0].request else {
        panic!("they are turns");
    };
    assert_eq!((turns.len(), *left_out), (40, 60));
    let text = |text: &str| Stored::Text {
        text: text.to_owned(),
        left_out: 0,
    };
    assert_eq!(turns[0].content, text("turn 0"));
    assert_eq!(turns[39].content, text("turn 99"));
}

#[test]
fn a_record_that_is_not_what_its_kind_says_is_told_and_left_out() {
    let mut tape = Tape::new();
    let mut fact = call("s");
    fact.fields.remove("tool");
    tape.add(fact);
    let story = tape.story();
    assert_eq!(story.tools.listed.total, 0);
    let told = &story.head.remarks[0];
    assert!(told.contains("the field `tool` is missing"), "{told}");
}

#[test]
fn what_was_asked_is_gone_from_the_page_once_its_payload_is_erased() {
    let mut tape = Tape::new();
    let asked = Asked::for_what("read /docs/ann").to_payload();
    let seq = tape.add(by("reader", files(Decision::Allow, "files[0]")).payload(asked));
    let wanted = |tape: &Tape| {
        let allowed = tape.story().decisions.allowed;
        allowed.items[0].wanted.items[0].wanted.clone()
    };
    assert_eq!(wanted(&tape), "read /docs/ann");
    tape.erase(seq);
    assert_eq!(wanted(&tape), "(erased)");
}

#[test]
fn two_calls_of_one_tool_in_one_step_are_told_apart_by_their_numbers() {
    let mut tape = Tape::new();
    for number in ["1", "2"] {
        let call = Call {
            tool: "t".to_owned(),
            ..Call::default()
        };
        tape.add(by("a", call.of(numbered("s", number))));
    }
    // The second one ends first.
    let result = ToolResult {
        tool: "t".to_owned(),
        status: "ok".to_owned(),
        ..ToolResult::default()
    };
    tape.add(by("a", result.of(numbered("s", "2"))));
    let calls = tape.story().tools.listed.items;
    let status: Vec<&str> = calls.iter().map(|call| call.status.as_str()).collect();
    assert_eq!(status, ["unfinished", "ok"]);
}

/// A step of one call as older hosts recorded it: attempts, orders and answers in records of their own, and
/// calls without numbers, whose results named all that the calls had named.
fn older(tape: &mut Tape) {
    let message = |from: &str, kind: &str| {
        let envelope = Envelope {
            id: "m".to_owned(),
            r#type: kind.to_owned(),
            ..Envelope::default()
        };
        by(from, envelope)
    };
    step_start(tape, "s", "list");
    tape.add(host(AttemptStart {
        at: at("s", "list"),
        attempt: 1,
    }));
    tape.add(message("host", "step.start"));
    let call = Call {
        tool: "t".to_owned(),
        ..Call::default()
    };
    tape.add(by("a", call.of(of("s"))));
    tape.wait_ms(5);
    let result = ToolResult {
        call_of: EndedPart {
            step: some("s"),
            attempt: Some(1),
            component: Some(of("s").component),
            profile: Some(of("s").profile),
            ..EndedPart::default()
        },
        tool: "t".to_owned(),
        status: "ok".to_owned(),
        ..ToolResult::default()
    };
    tape.add(by("a", result));
    tape.add(message("a", "step.end"));
    tape.add(host(AttemptEnd {
        at: at("s", "list"),
        attempt: 1,
        status: "ok".to_owned(),
        ..AttemptEnd::default()
    }));
    step_end(tape, "s", "list", "ok", [5, 1, 0, 0, 0]);
}

/// The same step as it is recorded now.
fn newer(tape: &mut Tape) {
    step_start(tape, "s", "list");
    let call = Call {
        tool: "t".to_owned(),
        ..Call::default()
    };
    tape.add(by("a", call.of(numbered("s", "1"))));
    tape.wait_ms(5);
    let result = ToolResult {
        tool: "t".to_owned(),
        status: "ok".to_owned(),
        ..ToolResult::default()
    };
    tape.add(by("a", result.of(numbered("s", "1"))));
    heard(tape, 1, None);
    step_end(tape, "s", "list", "ok", [5, 1, 0, 0, 0]);
}

#[test]
fn a_step_that_an_older_host_recorded_is_told_as_one_of_today() {
    let story = |tell: fn(&mut Tape)| {
        let mut tape = Tape::new();
        tell(&mut tape);
        let story = tape.story();
        let step = &story.steps.listed.items[0];
        let attempt = &step.attempts[0];
        let call = &story.tools.listed.items[0];
        let edges = story.talk.edges.items.clone();
        let attempts = (step.attempts_total, attempt.start_us, attempt.end_us);
        let ends = (attempt.status.clone(), call.status.clone());
        (attempts, ends, step.calls, call.step.clone(), edges)
    };
    assert_eq!(story(older), story(newer));
    assert_eq!(story(newer).4.len(), 1);
}
