//! The responses codec: what is asked, and how the pieces of an answer are read.

use tokio::time::Instant;

use crate::{
    ErrorClass,
    answer::Usage,
    prompt::{ToolCall, ToolSpec},
};

use super::{
    super::testing::{settings, shape},
    *,
};

fn model() -> ModelName {
    "openai/gpt-5.1".parse().unwrap()
}

fn prompt() -> Prompt {
    let mut assistant = Turn::new(Speaker::Assistant, "");
    assistant.tool_calls = vec![ToolCall {
        id: "call_1".to_owned(),
        name: "files/read".to_owned(),
        arguments: "{}".to_owned(),
    }];
    let mut tool = Turn::new(Speaker::Tool, "text");
    tool.answers = "call_1".to_owned();
    let turns = vec![Turn::new(Speaker::User, "Hi"), assistant, tool];
    let mut prompt = Prompt::new(model(), turns, 100);
    prompt.tools = vec![ToolSpec {
        name: "files/read".to_owned(),
        description: "Reads.".to_owned(),
        input_schema: json!({"type": "object"}),
    }];
    prompt
}

fn decoder(prompt: &Prompt) -> (Box<dyn Decoder>, Progress) {
    let mut progress = Progress::new(Instant::now(), 50, 100);
    progress.sent();
    let settings = settings("openai", "api = \"responses\"");
    let (_, decoder) = complete(&model(), prompt, &shape(&settings, &[]));
    (decoder, progress)
}

fn read(events: &[Value]) -> (Result<Raw, Fault>, Progress) {
    let (mut decoder, mut progress) = decoder(&prompt());
    for value in events {
        let event = Event {
            name: String::new(),
            data: value.to_string(),
        };
        if let Err(fault) = decoder.event(&event, &mut progress) {
            return (Err(fault), progress);
        }
    }
    (decoder.finish(Ended::default(), &mut progress), progress)
}

fn completion(raw: Result<Raw, Fault>) -> (String, Vec<(String, String, String)>, Finish) {
    match raw {
        Ok(Raw::Completion {
            content,
            tool_calls,
            finish,
            ..
        }) => {
            let calls = tool_calls.into_iter();
            let calls = calls.map(|call| (call.id, call.name, call.arguments));
            (content, calls.collect(), finish)
        }
        other => panic!("{other:?}"),
    }
}

fn text_delta(text: &str) -> Value {
    json!({"type": "response.output_text.delta", "output_index": 1, "delta": text})
}

fn message(text: &str) -> Value {
    json!({"type": "message", "content": [{"type": "output_text", "text": text}]})
}

fn call(arguments: &str) -> Value {
    json!({"type": "function_call", "id": "fc_1", "call_id": "call_2", "name": "files_read",
        "arguments": arguments})
}

fn ended(status: &str, output: Value) -> Value {
    json!({"type": format!("response.{status}"), "response": {"status": status, "model": "gpt-5.1-2026",
        "output": output, "incomplete_details": {"reason": "max_output_tokens"},
        "usage": {"input_tokens": 40, "input_tokens_details": {"cached_tokens": 10},
            "output_tokens": 6, "output_tokens_details": {"reasoning_tokens": 2}}}})
}

#[test]
fn asks_as_the_reference_says() {
    let mut prompt = prompt();
    prompt.seed = Some(7);
    prompt.stop = vec!["END".to_owned()];
    prompt.temperature = Some(0.5);
    prompt.answer_schema = Some(json!({"type": "object"}));
    let settings = settings("openai", "api = \"responses\"");
    let (request, _) = complete(&model(), &prompt, &shape(&settings, &[]));
    assert_eq!(request.path, "responses");
    assert_eq!(
        request.body,
        json!({
            "model": "gpt-5.1",
            "input": [
                {"role": "user", "content": "Hi"},
                {"type": "function_call", "call_id": "call_1", "name": "files_read", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "text"},
            ],
            "store": false,
            "stream": true,
            "max_output_tokens": 100,
            "temperature": 0.5,
            "tools": [{"type": "function", "name": "files_read", "description": "Reads.",
                "parameters": {"type": "object"}, "strict": false}],
            "text": {"format": {"type": "json_schema", "name": "answer",
                "schema": {"type": "object"}, "strict": false}},
        })
    );
}

#[test]
fn reads_text_calls_thoughts_and_usage() {
    let (raw, progress) = read(&[
        json!({"type": "response.created", "response": {"status": "in_progress", "output": []}}),
        json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "hm"}),
        text_delta("Let me "),
        text_delta("see."),
        json!({"type": "response.output_item.added", "output_index": 2, "item": call("")}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{\"a\":"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "1}"}),
        json!({"type": "response.output_item.done", "output_index": 2, "item": call("{\"a\":1}")}),
        ended(
            "completed",
            json!([{"type": "reasoning"}, message("Let me see."), call("{\"a\":1}")]),
        ),
    ]);
    let called = ("call_2".into(), "files/read".into(), "{\"a\":1}".into());
    assert_eq!(
        completion(raw),
        ("Let me see.".to_owned(), vec![called], Finish::ToolCalls)
    );
    let word = Usage {
        prompt_tokens: 40,
        cached_tokens: 10,
        cache_write_tokens: 0,
        completion_tokens: 6,
        reasoning_tokens: 2,
    };
    assert_eq!(progress.usage(), (word, false));
}

#[test]
fn reads_whole_items_where_no_pieces_came() {
    let called = || ("call_2".into(), "files/read".into(), "{\"a\":1}".into());
    let only_items = [
        json!({"type": "response.output_item.done", "output_index": 0, "item": message("Hi")}),
        json!({"type": "response.output_item.done", "output_index": 1, "item": call("{\"a\":1}")}),
        ended("completed", json!([message("Hi"), call("{\"a\":1}")])),
    ];
    let whole = ("Hi".to_owned(), vec![called()], Finish::ToolCalls);
    assert_eq!(completion(read(&only_items).0), whole);
    assert_eq!(completion(read(&only_items[2..]).0), whole);
    let (mut decoder, mut progress) = decoder(&prompt());
    decoder
        .body(&only_items[2]["response"], &mut progress)
        .unwrap();
    let raw = decoder.finish(Ended::default(), &mut progress);
    assert_eq!(completion(raw), whole);
}

#[test]
fn an_answer_that_reached_its_limit_or_was_withheld_says_so() {
    let (raw, _) = read(&[text_delta("Hi"), ended("incomplete", json!([]))]);
    assert_eq!(completion(raw).2, Finish::Length);
    let refusal = json!({"type": "response.refusal.delta", "output_index": 0, "delta": "No."});
    let (raw, _) = read(&[refusal, ended("completed", json!([]))]);
    assert_eq!(
        completion(raw),
        ("No.".to_owned(), vec![], Finish::ContentFilter)
    );
}

#[test]
fn a_stream_without_its_end_is_cut_and_an_error_has_its_class() {
    assert_eq!(
        read(&[text_delta("Hi, I")]).0.unwrap_err().error.class,
        ErrorClass::Cut
    );
    let failed = json!({"type": "response.failed", "response": {"status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "slow down"}}});
    let fault = read(&[failed]).0.unwrap_err();
    assert_eq!(fault.error.class, ErrorClass::RateLimited);
    assert!(
        fault.error.message.contains("slow down"),
        "{:?}",
        fault.error
    );
    let error = json!({"type": "error", "code": "invalid_api_key", "message": "no", "param": null});
    assert_eq!(read(&[error]).0.unwrap_err().error.class, ErrorClass::Auth);
    let early =
        json!({"type": "response.function_call_arguments.delta", "output_index": 9, "delta": "{"});
    assert_eq!(
        read(&[early]).0.unwrap_err().error.class,
        ErrorClass::Provider
    );
}
