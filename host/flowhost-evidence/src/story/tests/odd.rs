//! Stories of records that are unusual: long, damaged, erased, alike.

use super::*;

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
    let part = |call: u64| CallPart {
        call: Some(call.to_string()),
        ..of("s")
    };
    for number in [1, 2] {
        let call = Call {
            call_of: part(number),
            tool: "t".to_owned(),
            ..Call::default()
        };
        tape.add(by("a", call));
    }
    // The second one ends first.
    let result = ToolResult {
        call_of: part(2),
        tool: "t".to_owned(),
        status: "ok".to_owned(),
        ..ToolResult::default()
    };
    tape.add(by("a", result));
    let calls = tape.story().tools.listed.items;
    let status: Vec<&str> = calls.iter().map(|call| call.status.as_str()).collect();
    assert_eq!(status, ["unfinished", "ok"]);
}
