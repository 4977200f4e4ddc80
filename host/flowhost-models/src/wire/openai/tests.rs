//! The OpenAI codec: what is asked, and how the pieces of an answer are read.

use tokio::time::Instant;

use crate::{
    answer::Usage,
    prompt::{ToolCall, ToolSpec},
};

use super::{
    super::{
        embed::embed,
        testing::{settings, shape},
    },
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

fn plainly(prompt: &Prompt) -> (Request, Box<dyn Decoder>) {
    complete(&model(), prompt, &shape(&settings("openai", ""), &[]))
}

/// What is asked without some parts.
fn asked(prompt: &Prompt, left_out: &[Feature]) -> Value {
    let settings = settings("openai", "");
    complete(&model(), prompt, &shape(&settings, left_out))
        .0
        .body
}

fn read(chunks: &[Value]) -> (Result<Raw, Fault>, Progress) {
    read_for(&prompt(), chunks)
}

fn read_for(prompt: &Prompt, chunks: &[Value]) -> (Result<Raw, Fault>, Progress) {
    let mut progress = progress();
    let (_, mut decoder) = plainly(prompt);
    for chunk in chunks {
        let event = Event {
            name: String::new(),
            data: match chunk {
                Value::String(text) => text.clone(),
                chunk => chunk.to_string(),
            },
        };
        if let Err(fault) = decoder.event(&event, &mut progress) {
            return (Err(fault), progress);
        }
    }
    (decoder.finish(Ended::default(), &mut progress), progress)
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
    let settings = settings("openai", "output_limit = \"max_completion_tokens\"");
    let (request, _) = complete(&model(), &prompt, &shape(&settings, &[]));
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
                "name": "answer", "schema": {"type": "object"}}},
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
        ("STOP", Finish::Stop),
        ("end_turn", Finish::Stop),
        ("COMPLETE", Finish::Stop),
        ("SAFETY", Finish::ContentFilter),
        ("MAX_TOKENS", Finish::Length),
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
        cache_write_tokens: 0,
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
        decoder.finish(Ended::default(), &mut progress())
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

#[test]
fn what_is_not_set_is_not_sent() {
    let plain = Prompt::new(model(), vec![Turn::new(Speaker::User, "Hi")], 100);
    let body = asked(&plain, &[Feature::StreamOptions, Feature::Stream]);
    assert_eq!(
        body,
        json!({"model": "gpt-5.1", "messages": [{"role": "user", "content": "Hi"}],
            "max_tokens": 100})
    );
}

#[test]
fn what_is_left_out_is_done_in_another_way() {
    let mut prompt = prompt();
    prompt.answer_schema = Some(json!({"type": "object", "title": "T"}));
    prompt.seed = Some(1);
    prompt.stop = vec!["END".to_owned()];
    let body = asked(
        &prompt,
        &[
            Feature::FormatWithTools,
            Feature::Seed,
            Feature::OutputLimit,
            Feature::Stop,
        ],
    );
    for key in ["response_format", "seed", "max_tokens", "stop"] {
        assert_eq!(body[key], Value::Null, "{key}");
    }
    assert_eq!(body["max_completion_tokens"], 100);
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    let told = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        told.starts_with("Be short.\n\n") && told.contains("\"title\":\"T\""),
        "{told}"
    );

    let both = [Feature::FormatWithTools, Feature::ToolsWithFormat];
    let body = asked(&prompt, &both);
    assert_eq!(body["tools"], Value::Null);
    assert_eq!(body["response_format"]["type"], "json_schema");

    prompt.turns.remove(0);
    let settings = settings("openai", "answer_format = \"json_object\"");
    let (request, _) = complete(&model(), &prompt, &shape(&settings, &[]));
    assert_eq!(
        request.body["response_format"],
        json!({"type": "json_object"})
    );
    assert_eq!(request.body["messages"][0]["role"], "system");
}

#[test]
fn an_answer_is_cut_at_stop_sequences_that_the_server_was_not_told() {
    let mut prompt = prompt();
    prompt.stop = vec!["END".to_owned()];
    let settings = settings("openai", "");
    let (_, mut decoder) = complete(&model(), &prompt, &shape(&settings, &[Feature::Stop]));
    let event = Event {
        name: String::new(),
        data: delta(json!({"content": "one END two"}), Some("stop")).to_string(),
    };
    let mut progress = progress();
    decoder.event(&event, &mut progress).unwrap();
    let raw = decoder.finish(Ended::default(), &mut progress);
    assert_eq!(completion(raw).0, "one ");
}

#[test]
fn done_is_the_servers_word_for_a_whole_answer() {
    let done = || json!("[DONE]");
    let (raw, _) = read(&[delta(json!({"content": "Hi"}), None), done()]);
    assert_eq!(completion(raw), ("Hi".to_owned(), vec![], Finish::Stop));
    let call = json!({"index": 0, "id": "a", "function": {"name": "t", "arguments": "{}"}});
    let (raw, _) = read(&[delta(json!({"tool_calls": [call]}), None), done()]);
    assert_eq!(completion(raw).2, Finish::ToolCalls);
    // Nothing at all, and a call that has not ended, are halves whatever the server says.
    assert!(read(&[done()]).0.is_err());
    let half = json!({"index": 0, "id": "a", "function": {"name": "t", "arguments": "{"}});
    assert!(
        read(&[delta(json!({"tool_calls": [half]}), None), done()])
            .0
            .is_err()
    );
}

#[test]
fn without_a_last_word_only_what_is_whole_by_itself_is_an_answer() {
    let half = || delta(json!({"content": "Hi, I"}), None);
    assert!(read(&[half()]).0.is_err());
    let counted =
        |out: u64| json!({"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": out}});
    let (raw, _) = read(&[half(), counted(4)]);
    assert_eq!(completion(raw).2, Finish::Stop);
    let (raw, _) = read(&[half(), counted(100)]);
    assert_eq!(completion(raw).2, Finish::Length, "all that was allowed");
    let in_the_middle = json!({"choices": [{"delta": {"content": "Hi, I"}}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 3}});
    assert!(read(&[in_the_middle]).0.is_err(), "a count of each event");
    let mut asking = prompt();
    asking.answer_schema = Some(json!({"type": "object"}));
    let json = |text: &str| delta(json!({"content": text}), None);
    assert!(read_for(&asking, &[json("{\"n\": ")]).0.is_err());
    assert!(read_for(&asking, &[json("{\"n\": 2}")]).0.is_ok());
}

#[test]
fn a_reason_to_end_is_given_once_and_a_blank_is_none() {
    let (raw, _) = read(&[
        delta(json!({"content": "x"}), Some("")),
        delta(json!({}), Some("stop")),
        delta(json!({}), Some("")),
        delta(json!({}), Some("length")),
    ]);
    assert_eq!(completion(raw).2, Finish::Stop);
    assert!(read(&[delta(json!({"content": "x"}), Some(""))]).0.is_err());
}

#[test]
fn content_comes_as_a_text_or_in_parts_of_which_thoughts_are_left_out() {
    let thought = json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]);
    let (raw, progress) = read(&[
        delta(json!({"content": thought}), None),
        delta(
            json!({"content": [{"type": "text", "text": "He"}, "l"]}),
            None,
        ),
        delta(
            json!({"content": [{"type": "output_text", "text": {"value": "lo"}}]}),
            None,
        ),
        delta(json!({"content": null, "reasoning_content": "hm"}), None),
        delta(json!({"content": ""}), Some("stop")),
    ]);
    assert_eq!(completion(raw).0, "Hello");
    assert!(progress.counted().completion_tokens > crate::tokens::count("Hello"));
}

#[test]
fn a_call_without_a_list_and_an_answer_without_quotes_are_read() {
    let call = json!({"id": "a", "function": {"name": "t", "arguments": "{}"}});
    let (raw, _) = read(&[delta(json!({"tool_calls": call}), Some("tool_calls"))]);
    assert_eq!(completion(raw).2, Finish::ToolCalls);
    let (raw, _) = read(&[delta(json!({"content": {"n": 2}}), Some("stop"))]);
    assert_eq!(completion(raw).0, "{\"n\":2}");
    let (raw, _) = read(&[delta(json!({}), Some("error"))]);
    assert!(raw.is_err());
}

#[test]
fn permanent_errors_in_the_stream_have_their_class_and_cost_nothing() {
    use crate::ErrorClass::*;
    let table = [
        (
            json!({"choices": [], "error": {"code": 400, "message": "too long"}}),
            Invalid,
        ),
        (json!({"error": {"code": 401, "message": "?"}}), Auth),
        (
            json!({"choices": [{"delta": {"content": ""}, "finish_reason": "error",
                "error": {"code": 400, "message": "too long"}}]}),
            Invalid,
        ),
        (json!({"error": {"code": 402, "message": "?"}}), Quota),
        (
            json!({"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs", "type": "extra_forbidden"}]}),
            Invalid,
        ),
        (json!({"message": "Insufficient credits"}), Quota),
        (json!("402 Payment Required"), Quota),
        (json!("Error: invalid api key"), Auth),
        (
            json!([{"error": {"code": 400, "message": "?", "status": "INVALID_ARGUMENT"}}]),
            Invalid,
        ),
    ];
    for (error, class) in table {
        let (raw, mut progress) = read(std::slice::from_ref(&error));
        assert_eq!(raw.unwrap_err().error.class, class, "{error}");
        progress.refused_unless_heard();
        assert_eq!(progress.usage().0, Usage::default());
    }
}

#[test]
fn gemini_is_told_its_signatures_again_and_what_stands_for_a_lost_one() {
    let settings = settings("gemini", "");
    let kept = |id: &str| (id == "call_1").then(|| json!({"google": {"thought_signature": "s"}}));
    let with = Shape {
        kept: &kept,
        ..shape(&settings, &[])
    };
    let sent = |shape: &Shape<'_>| {
        let body = complete(&model(), &prompt(), shape).0.body;
        body["messages"][2]["tool_calls"][0]["extra_content"].clone()
    };
    assert_eq!(sent(&with), json!({"google": {"thought_signature": "s"}}));
    let lost = json!({"google": {"thought_signature": NO_SIGNATURE}});
    assert_eq!(sent(&shape(&settings, &[])), lost);
    let body = asked(&prompt(), &[]).to_string();
    assert!(!body.contains("extra_content"), "{body}");

    let call = json!({"index": 0, "id": "call_1", "extra_content": {"google": {"thought_signature": "s"}},
        "function": {"name": "t", "arguments": "{}"}});
    let (raw, _) = read(&[delta(json!({"tool_calls": [call]}), Some("stop"))]);
    let Ok(Raw::Completion { kept, .. }) = raw else {
        panic!("{raw:?}");
    };
    assert_eq!(kept[0].value, json!({"google": {"thought_signature": "s"}}));
}
