//! The OpenAI codec: what is asked, and how the pieces of an answer are read.

use tokio::time::Instant;

use crate::prompt::{ToolCall, ToolSpec};

use super::*;

fn model() -> ModelName {
    "openai/gpt-5.1".parse().unwrap()
}

fn prompt() -> Prompt {
    let mut assistant = Turn::new(Speaker::Assistant, "");
    assistant.tool_calls = vec![ToolCall {
        id: "call_1".to_owned(),
        name: "files/read".to_owned(),
        arguments: "{\"path\":\"a\"}".to_owned(),
    }];
    let mut tool = Turn::new(Speaker::Tool, "text");
    tool.answers = "call_1".to_owned();
    let turns = vec![
        Turn::new(Speaker::System, "Be short."),
        Turn::new(Speaker::User, "Hi"),
        assistant,
        tool,
    ];
    let mut prompt = Prompt::new(model(), turns, 100);
    prompt.tools = vec![ToolSpec {
        name: "files/read".to_owned(),
        description: "Reads.".to_owned(),
        input_schema: json!({"type": "object"}),
    }];
    prompt
}

fn progress() -> Progress {
    let mut progress = Progress::new(Instant::now(), 50, 100);
    progress.sent();
    progress
}

fn read(chunks: &[Value]) -> (Result<Raw, Fault>, Progress) {
    let mut progress = progress();
    let (_, mut decoder) = complete(&model(), &prompt(), OutputLimit::MaxTokens);
    for chunk in chunks {
        let event = Event {
            name: String::new(),
            data: chunk.to_string(),
        };
        if let Err(fault) = decoder.event(&event, &mut progress) {
            return (Err(fault), progress);
        }
    }
    (decoder.finish(&mut progress), progress)
}

fn delta(delta: Value, reason: Option<&str>) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": reason});
    json!({"id": "c", "model": "gpt-5.1-2026", "choices": [choice]})
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

#[test]
fn asks_as_the_reference_says() {
    let mut prompt = prompt();
    prompt.temperature = Some(0.5);
    prompt.seed = Some(u64::MAX);
    prompt.stop = vec!["END".to_owned()];
    prompt.answer_schema = Some(json!({"type": "object"}));
    let (request, _) = complete(&model(), &prompt, OutputLimit::MaxCompletionTokens);
    assert_eq!(request.path, "chat/completions");
    assert_eq!(
        request.body,
        json!({
            "model": "gpt-5.1",
            "messages": [
                {"role": "system", "content": "Be short."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_1", "type": "function",
                     "function": {"name": "files_read", "arguments": "{\"path\":\"a\"}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "text"},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_completion_tokens": 100,
            "temperature": 0.5,
            "seed": 9_007_199_254_740_991_u64,
            "stop": ["END"],
            "tools": [{"type": "function", "function": {
                "name": "files_read", "description": "Reads.", "parameters": {"type": "object"}}}],
            "response_format": {"type": "json_schema", "json_schema": {
                "name": "answer", "schema": {"type": "object"}, "strict": false}},
        })
    );
}

#[test]
fn strict_is_asked_for_only_where_it_would_not_be_refused() {
    let closed = json!({"type": "object", "properties": {"a": {"type": "string"}},
        "required": ["a"], "additionalProperties": false});
    assert!(is_strict(&closed));
    assert!(is_strict(&json!({"type": "array", "items": closed})));
    for (key, value) in [
        ("required", json!([])),
        ("additionalProperties", json!(true)),
        ("minProperties", json!(1)),
        (
            "properties",
            json!({"a": {"type": "string", "pattern": "x"}}),
        ),
    ] {
        let mut open = closed.clone();
        open[key] = value;
        assert!(!is_strict(&open), "{key}");
    }
}

#[test]
fn joins_fragments_of_text_and_of_several_calls() {
    let call = |index: u64, id: &str, name: &str, arguments: &str| json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}});
    let piece =
        |index: u64, arguments: &str| json!({"index": index, "function": {"arguments": arguments}});
    let (raw, _) = read(&[
        delta(json!({"role": "assistant", "content": "Let "}), None),
        delta(json!({"content": "me see."}), None),
        delta(
            json!({"tool_calls": [call(0, "a", "files_read", "")]}),
            None,
        ),
        delta(json!({"tool_calls": [piece(0, "{\"path\":")]}), None),
        delta(
            json!({"tool_calls": [call(1, "b", "made_up", "{}"), piece(0, "\"x\"}")]}),
            None,
        ),
        delta(json!({}), Some("tool_calls")),
    ]);
    let (content, calls, finish) = completion(raw);
    assert_eq!(content, "Let me see.");
    assert_eq!(
        calls,
        [
            ("a".into(), "files/read".into(), "{\"path\":\"x\"}".into()),
            ("b".into(), "made_up".into(), "{}".into()),
        ]
    );
    assert_eq!(finish, Finish::ToolCalls);
}

#[test]
fn reads_the_calls_of_servers_that_leave_things_out() {
    let without_index = |id: &str| json!({"id": id, "function": {"name": "t", "arguments": "{}"}});
    let (raw, _) = read(&[
        delta(
            json!({"tool_calls": [without_index("a"), without_index("b")]}),
            None,
        ),
        delta(
            json!({"tool_calls": [{"function": {"name": "u", "arguments": {"x": 1}}}]}),
            None,
        ),
        delta(json!({}), Some("stop")),
    ]);
    let (_, calls, finish) = completion(raw);
    let wanted = ("call-2".to_owned(), "u".to_owned(), "{\"x\":1}".to_owned());
    assert_eq!((calls.len(), &calls[2]), (3, &wanted));
    assert_eq!(finish, Finish::ToolCalls);
    let zero =
        |id: &str| json!({"index": 0, "id": id, "function": {"name": "t", "arguments": "{}"}});
    let (raw, _) = read(&[
        delta(json!({"tool_calls": [zero("a")]}), None),
        delta(json!({"tool_calls": [zero("b")]}), Some("tool_calls")),
    ]);
    assert_eq!(completion(raw).1.len(), 2);
}

#[test]
fn reads_every_reason_to_end() {
    let table = [
        ("stop", Finish::Stop),
        ("length", Finish::Length),
        ("content_filter", Finish::ContentFilter),
        ("tool_calls", Finish::Stop),
        ("eos_token", Finish::Stop),
        ("insufficient_system_resource", Finish::Length),
    ];
    for (reason, finish) in table {
        let (raw, _) = read(&[delta(json!({"content": "x"}), Some(reason))]);
        assert_eq!(completion(raw).2, finish, "{reason}");
    }
    let (raw, _) = read(&[delta(json!({"refusal": "No."}), Some("stop"))]);
    assert_eq!(
        completion(raw),
        ("No.".to_owned(), vec![], Finish::ContentFilter)
    );
}

#[test]
fn usage_is_the_last_word_and_never_a_sum() {
    let usage = |prompt: u64, out: u64| {
        json!({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": out,
            "prompt_tokens_details": {"cached_tokens": 10},
            "completion_tokens_details": {"reasoning_tokens": 2}}})
    };
    let (raw, progress) = read(&[
        usage(40, 1),
        delta(json!({"content": "x"}), Some("stop")),
        usage(40, 5),
        usage(40, 6),
    ]);
    assert!(raw.is_ok());
    let word = Usage {
        prompt_tokens: 40,
        cached_tokens: 10,
        completion_tokens: 6,
        reasoning_tokens: 2,
    };
    assert_eq!(progress.usage(), (word, false));
}

#[test]
fn an_error_in_the_stream_ends_it_with_its_class() {
    let (raw, _) = read(&[
        delta(json!({"content": "x"}), None),
        json!({"error": {"message": "overloaded", "type": "server_error"}}),
    ]);
    assert_eq!(raw.unwrap_err().error.class, crate::ErrorClass::Transient);
}

#[test]
fn an_answer_above_its_bounds_is_cut() {
    let long = "x".repeat(100 * 64 + 5_000);
    let (raw, progress) = read(&[delta(json!({"content": long}), None)]);
    let fault = raw.unwrap_err();
    assert!(fault.hopeless && fault.error.class == crate::ErrorClass::Cut);
    assert_eq!(progress.usage().0.completion_tokens, 100);
    let calls: Vec<Value> = (0..129)
        .map(|index| json!({"index": index, "id": format!("c{index}"), "function": {"name": "t"}}))
        .collect();
    let (raw, _) = read(&[delta(json!({"tool_calls": calls}), None)]);
    assert_eq!(raw.unwrap_err().error.class, crate::ErrorClass::Cut);
    let call = json!({"index": 0, "function": {"name": "n".repeat(257)}});
    let (raw, _) = read(&[delta(json!({"tool_calls": [call]}), None)]);
    assert_eq!(raw.unwrap_err().error.class, crate::ErrorClass::Cut);
}

#[test]
fn reads_embeddings_in_order_and_refuses_odd_ones() {
    let texts = ["a".to_owned(), "b".to_owned()];
    let read = |data: Value| {
        let (_, mut decoder) = embed(&model(), &texts);
        let body =
            json!({"model": "e", "data": data, "usage": {"prompt_tokens": 4, "total_tokens": 4}});
        decoder.body(&body, &mut progress())?;
        decoder.finish(&mut progress())
    };
    let item = |index: u64, numbers: Value| json!({"index": index, "embedding": numbers});
    match read(json!([item(1, json!([3, 4.5])), item(0, json!([1, 2]))])) {
        Ok(Raw::Embeddings { vectors, .. }) => assert_eq!(vectors, [[1.0, 2.0], [3.0, 4.5]]),
        other => panic!("{other:?}"),
    }
    for odd in [
        json!([]),
        json!([item(0, json!([1]))]),
        json!([item(0, json!([1])), item(0, json!([1]))]),
        json!([item(0, json!([1])), item(1, json!([1, 2]))]),
        json!([item(0, json!([])), item(1, json!([]))]),
        json!([item(0, json!(["x"])), item(1, json!([1]))]),
        json!("x"),
    ] {
        assert!(read(odd.clone()).is_err(), "{odd}");
    }
}
