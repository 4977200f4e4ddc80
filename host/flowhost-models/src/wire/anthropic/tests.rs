//! The Anthropic codec: what is asked, and how the pieces of an answer are read.

use tokio::time::Instant;

use crate::{answer::Usage, prompt::ToolSpec};

use super::{
    super::testing::{settings, shape},
    *,
};

fn model() -> ModelName {
    "anthropic/claude-sonnet".parse().unwrap()
}

fn prompt() -> Prompt {
    Prompt::new(model(), vec![Turn::new(Speaker::User, "Hi")], 100)
}

fn tool(name: &str) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: "Reads.".to_owned(),
        input_schema: json!({"type": "object"}),
    }
}

fn plainly(prompt: &Prompt) -> Result<(Request, Box<dyn Decoder>), Fault> {
    complete(&model(), prompt, &shape(&settings("anthropic", ""), &[]))
}

fn asked(prompt: &Prompt) -> Value {
    plainly(prompt).unwrap().0.body
}

/// Asked by a provider whose table has more lines, with what was kept of earlier calls.
fn asked_with(prompt: &Prompt, more: &str, kept: &(dyn Fn(&str) -> Option<Value> + Sync)) -> Value {
    let settings = settings("anthropic", more);
    let shape = Shape {
        kept,
        ..shape(&settings, &[])
    };
    complete(&model(), prompt, &shape).unwrap().0.body
}

fn read(prompt: &Prompt, events: &[Value]) -> (Result<Raw, Fault>, Progress) {
    let mut progress = Progress::new(Instant::now(), 50, 100);
    progress.sent();
    let (_, mut decoder) = plainly(prompt).unwrap();
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

fn start(input: u64, cached: u64) -> Value {
    json!({"type": "message_start", "message": {"model": "claude-sonnet-9", "usage": {
        "input_tokens": input, "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0, "output_tokens": 1}}})
}

fn text_delta(text: &str) -> Value {
    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})
}

fn tool_start(index: u64, id: &str, name: &str) -> Value {
    json!({"type": "content_block_start", "index": index,
        "content_block": {"type": "tool_use", "id": id, "name": name, "input": {}}})
}

fn input_delta(index: u64, json: &str) -> Value {
    json!({"type": "content_block_delta", "index": index,
        "delta": {"type": "input_json_delta", "partial_json": json}})
}

fn stop(reason: &str, output: u64) -> Value {
    json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": output}})
}

fn completion(raw: Result<Raw, Fault>) -> (String, Vec<ToolCall>, Finish) {
    match raw {
        Ok(Raw::Completion {
            content,
            tool_calls,
            finish,
            ..
        }) => (content, tool_calls, finish),
        other => panic!("{other:?}"),
    }
}

#[test]
fn refuses_a_tool_with_the_name_of_the_answer() {
    let mut prompt = prompt();
    prompt.tools = vec![tool(ANSWER_TOOL)];
    let fault = plainly(&prompt).map(|_| ()).unwrap_err();
    assert_eq!(fault.error.class, ErrorClass::Invalid);
}

#[test]
fn asks_as_the_reference_says() {
    let mut assistant = Turn::new(Speaker::Assistant, " ");
    assistant.tool_calls = vec![ToolCall {
        id: "call.1".to_owned(),
        name: "files/read".to_owned(),
        arguments: "not json".to_owned(),
    }];
    let mut result = Turn::new(Speaker::Tool, "text");
    result.answers = "call.1".to_owned();
    let mut prompt = prompt();
    prompt.turns = vec![
        Turn::new(Speaker::System, "One."),
        Turn::new(Speaker::User, "Hi"),
        Turn::new(Speaker::System, "Two."),
        assistant,
        result,
        Turn::new(Speaker::User, "Go on."),
        Turn::new(Speaker::Assistant, "Sure: \n"),
    ];
    prompt.tools = vec![tool("files/read")];
    prompt.temperature = Some(1.5);
    prompt.seed = Some(7);
    prompt.stop = vec!["END".to_owned()];
    assert_eq!(
        asked(&prompt),
        json!({
            "model": "claude-sonnet",
            "max_tokens": 100,
            "stream": true,
            "system": "One.\n\nTwo.",
            "temperature": 1.0,
            "stop_sequences": ["END"],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1",
                    "name": "files_read", "input": {"arguments": "not json"}}]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "text"},
                    {"type": "text", "text": "Go on."}]},
                {"role": "assistant", "content": [{"type": "text", "text": "Sure:"}]},
            ],
            "tools": [{"name": "files_read", "description": "Reads.",
                "input_schema": {"type": "object"}}],
        })
    );
}

#[test]
fn reads_text_calls_and_a_cumulative_count() {
    let (raw, progress) = read(
        &prompt(),
        &[
            start(20, 5),
            json!({"type": "ping"}),
            text_delta("Let me "),
            text_delta("see."),
            tool_start(1, "toolu_1", "files_read"),
            input_delta(1, "{\"path\":"),
            input_delta(1, "\"x\"}"),
            tool_start(2, "toolu_2", "now"),
            stop("tool_use", 30),
            stop("tool_use", 31),
            json!({"type": "message_stop"}),
        ],
    );
    let (content, calls, finish) = completion(raw);
    assert_eq!(
        (content.as_str(), finish),
        ("Let me see.", Finish::ToolCalls)
    );
    let calls: Vec<_> = calls
        .iter()
        .map(|it| (it.id.as_str(), it.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("toolu_1", "{\"path\":\"x\"}"), ("toolu_2", "{}")]);
    let word = Usage {
        prompt_tokens: 25,
        cached_tokens: 5,
        cache_write_tokens: 0,
        completion_tokens: 31,
        reasoning_tokens: 0,
    };
    assert_eq!(progress.usage(), (word, false));
}

#[test]
fn an_answer_to_a_schema_is_the_input_of_a_tool() {
    let mut object = prompt();
    object.answer_schema = Some(json!({"type": "object", "properties": {"a": {}}}));
    assert_eq!(
        asked(&object)["tool_choice"],
        json!({"type": "tool", "name": ANSWER_TOOL})
    );
    let events = |json: &str| {
        [
            start(9, 0),
            tool_start(0, "t", ANSWER_TOOL),
            input_delta(0, json),
            stop("tool_use", 9),
        ]
    };
    let answered = completion(read(&object, &events("{\"a\":1}")).0);
    assert_eq!(answered, ("{\"a\":1}".to_owned(), vec![], Finish::Stop));

    let mut list = object.clone();
    list.answer_schema = Some(json!({"type": "array"}));
    list.tools = vec![tool("files/read")];
    assert_eq!(asked(&list)["tool_choice"], json!({"type": "any"}));
    let input = &asked(&list)["tools"][1]["input_schema"];
    assert_eq!(input["properties"]["answer"], json!({"type": "array"}));
    let answered = completion(read(&list, &events("{\"answer\":[1, 2]}")).0);
    assert_eq!(answered, ("[1,2]".to_owned(), vec![], Finish::Stop));
}

#[test]
fn an_answer_that_hit_its_limit_is_given_as_it_came() {
    let mut asked = prompt();
    asked.answer_schema = Some(json!({"type": "array"}));
    let events = [
        start(9, 0),
        tool_start(0, "t", ANSWER_TOOL),
        input_delta(0, "{\"answer\":[1,"),
        stop("max_tokens", 9),
    ];
    let answered = completion(read(&asked, &events).0);
    assert_eq!(
        answered,
        ("{\"answer\":[1,".to_owned(), vec![], Finish::Length)
    );
}

#[test]
fn reads_every_reason_to_end() {
    let table = [
        ("end_turn", Finish::Stop),
        ("stop_sequence", Finish::Stop),
        ("max_tokens", Finish::Length),
        ("refusal", Finish::ContentFilter),
        ("pause_turn", Finish::Length),
        ("brand_new", Finish::Length),
    ];
    for (reason, finish) in table {
        let (raw, _) = read(&prompt(), &[start(9, 0), text_delta("x"), stop(reason, 2)]);
        assert_eq!(completion(raw).2, finish, "{reason}");
    }
}

#[test]
fn a_stream_without_its_end_costs_what_was_heard() {
    let (raw, progress) = read(
        &prompt(),
        &[start(20, 5), text_delta("twelve words of text")],
    );
    assert_eq!(raw.unwrap_err().error.class, ErrorClass::Cut);
    let (usage, estimated) = progress.usage();
    assert!(estimated);
    assert_eq!((usage.prompt_tokens, usage.cached_tokens), (25, 5));
    assert_eq!(
        usage.completion_tokens,
        crate::tokens::count("twelve words of text")
    );
}

#[test]
fn an_error_in_the_stream_ends_it_with_its_class() {
    let error =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    let (raw, _) = read(&prompt(), &[start(9, 0), error]);
    assert_eq!(raw.unwrap_err().error.class, ErrorClass::Transient);
    let (raw, _) = read(&prompt(), &[start(9, 0), input_delta(3, "{")]);
    assert_eq!(raw.unwrap_err().error.class, ErrorClass::Provider);
}

#[test]
fn reads_an_answer_that_came_as_one_body() {
    let body = json!({"type": "message", "model": "claude", "stop_reason": "tool_use",
        "content": [{"type": "thinking", "thinking": "…"}, {"type": "text", "text": "Hm."},
            {"type": "tool_use", "id": "t", "name": "now", "input": {"a": 1}}],
        "usage": {"input_tokens": 7, "output_tokens": 3}});
    let mut progress = Progress::new(Instant::now(), 50, 100);
    progress.sent();
    let (_, mut decoder) = plainly(&prompt()).unwrap();
    decoder.body(&body, &mut progress).unwrap();
    let (content, calls, _) = completion(decoder.finish(Ended::default(), &mut progress));
    assert_eq!(
        (content.as_str(), calls[0].arguments.as_str()),
        ("Hm.", "{\"a\":1}")
    );
    assert_eq!(progress.usage().0.prompt_tokens, 7);
}

#[test]
fn a_stream_whose_last_event_came_is_whole_without_a_reason() {
    let end = json!({"type": "message_stop"});
    let blank = json!({"type": "message_delta", "delta": {"stop_reason": ""}});
    let (raw, progress) = read(&prompt(), &[start(20, 5), text_delta("Hm."), blank, end]);
    assert_eq!(completion(raw).2, Finish::Stop);
    assert_eq!(progress.word().prompt_tokens, Some(25));
}

#[test]
fn what_was_written_into_the_cache_is_counted_apart() {
    let started = json!({"type": "message_start", "message": {"usage": {"input_tokens": 20,
        "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1}}});
    let (_, progress) = read(&prompt(), &[started, text_delta("x"), stop("end_turn", 2)]);
    let usage = progress.usage().0;
    let parts = (
        usage.prompt_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
    );
    assert_eq!(parts, (32, 5, 7));
}

#[test]
fn the_ends_of_what_can_be_cached_are_marked() {
    let mut cached = prompt();
    cached.turns.insert(0, Turn::new(Speaker::System, "One."));
    cached.tools = vec![tool("now")];
    let mark = json!({"type": "ephemeral", "ttl": "1h"});
    let body = asked_with(&cached, "cache = \"1h\"", &|_| None);
    assert_eq!(body["tools"][0]["cache_control"], mark);
    assert_eq!(
        body["system"],
        json!([{"type": "text", "text": "One.", "cache_control": mark}])
    );
    assert_eq!(body["messages"][0]["content"][0]["cache_control"], mark);
    assert_eq!(asked(&cached)["system"], "One.");
    assert!(!asked(&cached).to_string().contains("cache_control"));
}

#[test]
fn thinking_is_asked_for_where_it_leaves_room_and_demands_no_tool() {
    let mut asking = prompt();
    asking.temperature = Some(0.5);
    asking.answer_schema = Some(json!({"type": "object"}));
    let small = asked_with(&asking, "thinking = 4096", &|_| None);
    assert_eq!(
        (&small["thinking"], &small["temperature"]),
        (&Value::Null, &json!(0.5))
    );
    asking.max_tokens = 6_000;
    let body = asked_with(&asking, "thinking = 4096", &|_| None);
    assert_eq!(
        body["thinking"],
        json!({"type": "enabled", "budget_tokens": 3_000})
    );
    assert_eq!(
        (&body["temperature"], &body["tool_choice"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        body["system"].as_str().unwrap().contains(ANSWER_TOOL),
        "{body}"
    );
    let body = asked_with(&asking, "thinking = \"adaptive\"", &|_| None);
    assert_eq!(body["thinking"], json!({"type": "adaptive"}));
}

#[test]
fn thoughts_go_back_with_their_calls_and_without_them_nothing_is_thought() {
    let block = json!({"type": "thinking", "thinking": "hm", "signature": "s1"});
    let (raw, progress) = read(
        &prompt(),
        &[
            start(9, 0),
            json!({"type": "content_block_start", "index": 0,
                "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "thinking_delta", "thinking": "hm"}}),
            json!({"type": "content_block_delta", "index": 0,
                "delta": {"type": "signature_delta", "signature": "s1"}}),
            tool_start(1, "toolu_1", "now"),
            stop("tool_use", 9),
        ],
    );
    let Ok(Raw::Completion {
        kept,
        tool_calls,
        content,
        ..
    }) = raw
    else {
        panic!("{raw:?}");
    };
    assert_eq!(content, "");
    assert_eq!(
        (kept[0].call.as_str(), &kept[0].value),
        ("toolu_1", &json!([block]))
    );
    assert!(progress.usage().0.completion_tokens > 0);

    let mut next = prompt();
    next.max_tokens = 4_096;
    next.tools = vec![tool("now")];
    let mut assistant = Turn::new(Speaker::Assistant, "");
    assistant.tool_calls = tool_calls;
    let mut result = Turn::new(Speaker::Tool, "noon");
    result.answers = "toolu_1".to_owned();
    next.turns.extend([assistant, result]);
    let remembered = |id: &str| (id == "toolu_1").then(|| json!([block]));
    let body = asked_with(&next, "thinking = 2048", &remembered);
    assert_eq!(body["messages"][1]["content"][0], block);
    assert_eq!(body["messages"][1]["content"][1]["type"], "tool_use");
    assert_eq!(body["thinking"]["budget_tokens"], 2_048);
    let body = asked_with(&next, "thinking = 2048", &|_| None);
    assert_eq!(body["thinking"], Value::Null);
    assert_eq!(body["messages"][1]["content"][0]["type"], "tool_use");
}
