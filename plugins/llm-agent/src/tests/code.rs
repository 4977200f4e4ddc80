//! Code mode: what is missing is told at once, then what the model is shown and what the notes say.

use flowhost_sdk::Error;
use serde_json::json;

use super::{Script, asks, says};

#[test]
fn without_the_tool_that_runs_programs_it_says_what_to_add() {
    let script = Script::new([says("done")]);
    match script.work(json!({ "tool_mode": "code" }), "") {
        Err(Error::Invalid(text)) => {
            assert!(
                text.contains("`code/run`") && text.contains("builtin:code"),
                "{text}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(script.asked.borrow().is_empty(), "no model was paid");
}

#[test]
fn the_model_sees_two_tools_and_the_notes_say_what_that_saved() {
    let source = json!({ "source": "tools.files.read({})" }).to_string();
    let script = Script::new([asks(&[("code/run", &source)]), says("done")])
        .lists(&["code/run", "code/search"])
        .tool(|_, _| Ok(json!({ "result": 1, "calls": 2, "bytes": 4_001 }).to_string()));
    let output = script
        .work(json!({ "tool_mode": "code" }), "")
        .expect("an answer");
    for prompt in script.asked.borrow().iter() {
        let names: Vec<&str> = prompt.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["code/run", "code/search"]);
        assert!(
            prompt.turns[0].content.contains("one program"),
            "the rules say how"
        );
    }
    let note = output.notes.iter().find(|note| note.contains("program"));
    let note = note.expect("a note about programs");
    assert!(
        note.starts_with("1 program made 2 tool calls") && note.contains("1000 of answers"),
        "{note}"
    );
}

#[test]
fn a_tool_that_is_not_offered_is_reached_by_a_program_only() {
    let script = Script::new([asks(&[("files/read", "{}")]), says("done")])
        .lists(&["code/run", "code/search"]);
    script
        .work(json!({ "tool_mode": "code" }), "")
        .expect("an answer");
    assert!(script.called.borrow().is_empty());
}
