//! Messages from other agents.

use flowhost_sdk::{Error, Message};
use serde_json::json;

use super::{Script, configured, context, says};
use crate::message::answer;

fn message(correlation: &str, payload: &str) -> Message {
    Message {
        id: "01JD0000000000000000000001".to_owned(),
        topic: "agents.auditor.in".to_owned(),
        sender: "default/writer".to_owned(),
        correlation: correlation.to_owned(),
        payload: payload.to_owned(),
    }
}

#[test]
fn an_answer_is_not_answered_so_that_two_agents_end() {
    let script = Script::new([says("you are welcome")]);
    let out = answer(
        &script,
        &configured(json!({})),
        &context(),
        &message("01JD", "\"thanks\""),
    )
    .expect("no answer");
    assert!(out.is_empty() && script.asked.borrow().is_empty());
}

#[test]
fn a_payload_that_is_no_json_is_invalid_and_an_empty_answer_a_failure() {
    let script = Script::new([says("")]);
    let config = configured(json!({}));
    assert!(matches!(
        answer(&script, &config, &context(), &message("", "{")),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        answer(&script, &config, &context(), &message("", "1")),
        Err(Error::Failed(_))
    ));
}

#[test]
fn a_message_is_answered_by_one_call_without_tools_to_who_asked() {
    let script = Script::new([says("It is sound.")]);
    let out = answer(
        &script,
        &configured(json!({})),
        &context(),
        &message("", r#"{"ask":"Is a.md sound?"}"#),
    )
    .expect("an answer");
    let out = out.first().expect("an answer");
    assert_eq!(
        (
            out.topic.as_str(),
            out.correlation.as_str(),
            out.payload.as_str()
        ),
        (
            "agents.writer.in",
            "01JD0000000000000000000001",
            r#"{"text":"It is sound."}"#
        )
    );
    let asked = script.asked.borrow();
    assert!(asked.len() == 1 && asked[0].tools.is_empty());
    assert!(
        asked[0].turns[1]
            .content
            .contains("```json\n{\"ask\":\"Is a.md sound?\"}\n```")
    );
}
