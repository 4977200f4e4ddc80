//! Bounds: answers that do not fit, conversations that grow, a budget that ends.

use flowhost_sdk::host::model::{Finish, Speaker};
use flowhost_sdk::{Error, Limit};
use serde_json::json;

use super::{NUMBER, Script, asks, failed, says};
use crate::answer::ANSWER_BYTES_MAX;

#[test]
fn malformed_json_for_ever_ends_after_the_repairs() {
    let script = Script::new([says("I think it is 1.")]);
    let why = failed(script.work(json!({}), NUMBER));
    assert!(
        why.contains("after 2 repairs: it is not one JSON document"),
        "{why}"
    );
    assert_eq!(script.asked.borrow().len(), 3);
}

#[test]
fn without_repairs_the_first_answer_counts() {
    let script = Script::new([says("{}")]);
    let why = failed(script.work(json!({ "max_repairs": 0 }), NUMBER));
    assert!(why.contains("after 0 repairs"), "{why}");
    assert_eq!(script.asked.borrow().len(), 1);
}

#[test]
fn a_huge_answer_is_neither_taken_nor_told_again_in_full() {
    let script = Script::new([says(&"x".repeat(ANSWER_BYTES_MAX + 1)), says(r#"{"n":1}"#)]);
    script.work(json!({}), NUMBER).expect("an answer");
    let asked = script.asked.borrow();
    let told = asked[1].turns[2].content.len();
    assert!(told < 9_000, "{told}");
    assert!(
        asked[1].turns[3]
            .content
            .contains("bytes, and 262144 are allowed")
    );
}

#[test]
fn an_empty_answer_is_repaired() {
    let script = Script::new([says(" "), says("well")]);
    let output = script.work(json!({}), "").expect("an answer");
    assert_eq!(output.content, r#"{"text":"well"}"#);
    assert_eq!(script.asked.borrow()[1].turns[2].content, "(nothing)");
}

#[test]
fn a_repair_names_what_is_wrong_and_the_answer_then_fits() {
    let script = Script::new([says(r#"{"n":"one","m":2}"#), says(r#"{"n":1}"#)]);
    let output = script.work(json!({}), NUMBER).expect("an answer");
    assert_eq!(output.content, r#"{"n":1}"#);
    let told = &script.last_turns()[1];
    assert!(told.contains("- /n: ") && told.contains("'m'"), "{told}");
    assert!(
        output.notes.contains(&"1 repair of the answer".to_owned()),
        "{:?}",
        output.notes
    );
}

#[test]
fn a_text_that_was_cut_off_is_taken_with_a_note() {
    let mut cut = says("and then");
    cut.finish = Finish::Length;
    let output = Script::new([cut]).work(json!({}), "").expect("an answer");
    assert!(
        output.notes.iter().any(|note| note.contains("cut it off")),
        "{:?}",
        output.notes
    );
}

#[test]
fn old_tool_results_leave_a_conversation_that_grows_and_the_note_says_so() {
    let reads = (0..4).map(|at| asks(&[("files/read", format!("{{\"at\":{at}}}").as_str())]));
    let script = Script::new(reads.chain([says("done")]))
        .tool(|_, _| Ok(format!("\"{}\"", "x".repeat(4_000))));
    let output = script
        .work(json!({ "context_tokens": 3_000 }), "")
        .expect("an answer");
    let results = script.results();
    assert_eq!(results.len(), 4);
    assert_eq!(results[0], "[trimmed: 1001 tokens]");
    assert!(results[3].len() == 4_002, "the newest result is whole");
    let asked = script.asked.borrow();
    let first = |at: usize| {
        (
            asked[at].turns[0].content.clone(),
            asked[at].turns[1].content.clone(),
        )
    };
    assert_eq!(first(0), first(4));
    assert!(
        output
            .notes
            .iter()
            .any(|note| note.starts_with("trimmed: 2 old tool results")),
        "{:?}",
        output.notes
    );
}

#[test]
fn a_budget_that_ends_closes_the_tools_and_gets_an_answer() {
    let script = Script::new([asks(&[("files/read", "{}")]), says("done")])
        .left([(1_000_000, 1_000_000), (2_000, 1_000_000)]);
    let output = script.work(json!({}), "").expect("an answer");
    assert_eq!(output.content, r#"{"text":"done"}"#);
    let asked = script.asked.borrow();
    let last = asked[1].turns.last().expect("a turn");
    assert!(
        last.speaker == Speaker::User && last.content.contains("budget"),
        "{last:?}"
    );
    assert!(
        !asked[1].tools.is_empty(),
        "a conversation with calls keeps its tools"
    );
    assert!(
        output
            .notes
            .iter()
            .any(|note| note.contains("asked for the answer early")),
        "{:?}",
        output.notes
    );
}

#[test]
fn money_that_ends_closes_the_tools_too() {
    // Each call costs 100 millionths; 150 do not pay for two.
    let script = Script::new([asks(&[("files/read", "{}")]), says("done")])
        .left([(1_000_000, 0), (1_000_000, 150)]);
    let output = script.work(json!({}), "").expect("an answer");
    assert!(
        output.notes.iter().any(|note| note.contains("early")),
        "{:?}",
        output.notes
    );
}

/// What a host says that pays for no further call.
fn unpaid() -> Error {
    Error::Limit(Limit {
        name: "tokens".to_owned(),
        used: "1906".to_owned(),
        allowed: "1500".to_owned(),
    })
}

#[test]
fn a_model_that_wants_a_tool_beyond_the_budget_ends_with_what_the_host_says_of_it() {
    let reads = |at: u32| asks(&[("files/read", format!("{{\"at\":{at}}}").as_str())]);
    let script = Script::of([Ok(reads(0)), Ok(reads(1)), Err(unpaid())])
        .left([(1_000_000, 1_000_000), (500, 1_000_000)]);
    let Err(Error::Limit(limit)) = script.work(json!({}), "") else {
        panic!("the host's word is handed on");
    };
    assert_eq!(
        (limit.used.as_str(), limit.allowed.as_str()),
        ("1906", "1500")
    );
    assert_eq!(
        script.called.borrow().len(),
        1,
        "a tool whose answer nobody could read"
    );
    assert!(script.results()[1].contains("it was not called"));
}

#[test]
fn a_model_that_wants_a_tool_with_its_last_money_gets_it_and_answers() {
    let reads = |at: u32| asks(&[("files/read", format!("{{\"at\":{at}}}").as_str())]);
    let script = Script::new([reads(0), reads(1), says("done")])
        .left([(1_000_000, 1_000_000), (2_000, 1_000_000)]);
    let output = script.work(json!({}), "").expect("an answer");
    assert_eq!(output.content, r#"{"text":"done"}"#);
    assert_eq!(script.called.borrow().len(), 2);
}

#[test]
fn a_model_that_wants_tools_for_ever_with_its_last_money_ends_with_its_turns() {
    let reads = (0..9).map(|at| asks(&[("files/read", format!("{{\"at\":{at}}}").as_str())]));
    let script = Script::new(reads).left([(1_000_000, 1_000_000), (2_000, 1_000_000)]);
    let why = failed(script.work(json!({ "max_turns": 4 }), ""));
    assert!(
        why.contains("after 4 turns (this is the last of its turns)"),
        "{why}"
    );
}

#[test]
fn a_budget_for_one_call_offers_no_tools_at_all() {
    let script = Script::new([says("done")]).left([(1_500, 1)]);
    script.work(json!({}), "").expect("an answer");
    assert!(script.asked.borrow()[0].tools.is_empty());
}

#[test]
fn a_model_that_will_not_answer_when_the_budget_ends_calls_nothing_and_ends_with_its_turns() {
    // A host that pays all the same, as one whose budget only warns: the turns are what ends it.
    let script = Script::new([
        asks(&[("files/read", "{}")]),
        asks(&[("files/read", "{\"a\":1}")]),
    ])
    .left([(1_000_000, 1_000_000), (0, 0)]);
    let why = failed(script.work(json!({}), ""));
    assert!(why.contains("the last of its turns"), "{why}");
    assert_eq!(script.called.borrow().len(), 1);
}
