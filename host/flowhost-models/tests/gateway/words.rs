//! The two wire formats' words, as the providers send them.

use serde_json::{Value, json};

/// `data: …` for each value.
pub(crate) fn data(values: &[Value]) -> Vec<String> {
    values
        .iter()
        .map(|value| format!("data: {value}\n\n"))
        .collect()
}

pub(crate) fn openai_delta(content: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026",
        "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": null}]})
}

pub(crate) fn openai_finish(reason: &str) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m-2026",
        "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

pub(crate) fn openai_usage(prompt: u64, cached: u64, completion: u64, reasoning: u64) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": cached},
            "completion_tokens_details": {"reasoning_tokens": reasoning}}})
}

/// A whole OpenAI stream that says hello.
pub(crate) fn openai_hello(usage: &[Value]) -> Vec<String> {
    let mut values = vec![
        openai_delta("Hel"),
        openai_delta("lo."),
        openai_finish("stop"),
    ];
    values.extend_from_slice(usage);
    let mut events = data(&values);
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// An OpenAI answer as one body.
pub(crate) fn openai_body(usage: Option<Value>) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."},
            "finish_reason": "stop"}],
        "usage": usage})
}

/// A whole Anthropic stream that says hello.
pub(crate) fn anthropic_hello(input: u64, cached: u64, output: u64) -> Vec<String> {
    let events = [
        json!({"type": "message_start", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": "claude-2026", "content": [], "stop_reason": null,
            "usage": {"input_tokens": input, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": cached, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "Hel"}}),
        json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": "lo."}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
            "usage": {"output_tokens": output}}),
        json!({"type": "message_stop"}),
    ];
    events
        .iter()
        .map(|event| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        })
        .collect()
}
