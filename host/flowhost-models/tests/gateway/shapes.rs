//! Answers as model servers really give them: under other content types, without last words, in fences.

use flowhost_models::{ErrorClass, Finish, Prompt, Spent};
use serde_json::{Value, json};

use crate::{
    harness::{Log, answered, complete, failure, gateway, prompt},
    server::{Act, Reply, Server},
    words::{data, openai_body, openai_delta, openai_finish, openai_hello, openai_usage},
};

async fn server(reply: Reply) -> Server {
    Server::start(vec![reply]).await
}

fn typed(kind: Option<&str>, body: &str) -> Reply {
    let headers: Vec<(&str, &str)> = kind
        .map(|kind| ("content-type", kind))
        .into_iter()
        .collect();
    Reply::new(200, &headers, body)
}

/// A prompt that asks for `{"n": …}`.
fn asking_for_n() -> Prompt {
    let mut prompt = prompt("p/m");
    prompt.answer_schema = Some(json!({"type": "object", "required": ["n"],
        "properties": {"n": {"type": "integer"}}}));
    prompt
}

const KINDS: [Option<&str>; 5] = [
    None,
    Some("text/plain; charset=utf-8"),
    Some("application/json"),
    Some("text/event-stream"),
    Some("application/octet-stream"),
];

#[tokio::test]
async fn the_body_decides_and_not_its_type() {
    let stream = openai_hello(&[openai_usage(12, 0, 3, 0)]).concat();
    let body = openai_body(Some(json!({"prompt_tokens": 12, "completion_tokens": 3}))).to_string();
    for kind in KINDS {
        for text in [&stream, &body, &format!("\n\n {body}\n")] {
            let server = server(typed(kind, text)).await;
            let answer = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
            assert_eq!(answer.content, "Hello.", "{kind:?} {text}");
            assert_eq!(server.asked().len(), 1, "{kind:?} {text}");
        }
    }
}

#[tokio::test]
async fn an_error_is_read_under_every_type_and_a_permanent_one_is_asked_for_once_and_free() {
    let errors = [
        (
            json!({"error": {"message": "Incorrect API key provided", "type": "invalid_request_error",
            "code": "invalid_api_key"}}),
            ErrorClass::Auth,
            "Incorrect API key",
        ),
        (
            json!({"error": {"message": "Insufficient credits", "code": 402}}),
            ErrorClass::Quota,
            "Insufficient",
        ),
        (
            json!({"error": {"message": "prompt is too long", "code": 400}}),
            ErrorClass::Invalid,
            "too long",
        ),
        (
            json!({"detail": [{"loc": ["body", "messages"], "msg": "Extra inputs"}], "status": 422}),
            ErrorClass::Invalid,
            "body.messages: Extra inputs",
        ),
    ];
    for kind in KINDS {
        for (error, class, words) in &errors {
            for text in [
                error.to_string(),
                format!("data: {error}\n\n"),
                format!("data: {error}"),
            ] {
                let server = server(typed(kind, &text)).await;
                let (fault, log) =
                    failure(&gateway("openai", &server.address), &prompt("p/m")).await;
                assert_eq!(fault.class, *class, "{kind:?} {text}");
                assert!(fault.message.contains(words), "{fault}");
                assert_eq!(log.lines().len(), 1, "{kind:?} {text}");
                assert_eq!(fault.spent, Spent::default(), "{kind:?} {text}");
            }
        }
    }
}

#[tokio::test]
async fn plain_words_under_a_200_are_the_servers_reason() {
    let long_page = format!("<html><title>Sign in</title>{}", "x".repeat(100_000));
    let table = [
        ("402 Payment Required", ErrorClass::Quota, 1),
        (long_page.as_str(), ErrorClass::Provider, 1),
        (
            "upstream connect timeout, try again",
            ErrorClass::Transient,
            2,
        ),
        (
            "<html><title>Sign in</title></html>",
            ErrorClass::Provider,
            1,
        ),
    ];
    for (text, class, asked) in table {
        let server = server(typed(Some("text/plain"), text)).await;
        let (fault, _) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
        assert_eq!(
            (fault.class, server.asked().len()),
            (class, asked),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_error_after_a_part_of_the_answer_costs_that_part_and_is_not_asked_again() {
    for error in [
        "data: {\"error\": {\"code\": 402, \"message\": \"x\"}}\n\n",
        "{\"error\": {\"code\": 402}}\n\n",
    ] {
        let mut events = data(&[openai_delta("Hel")]);
        events.push(error.to_owned());
        let server = server(Reply::events(&events)).await;
        let (fault, log) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
        assert_eq!((fault.class, log.lines().len()), (ErrorClass::Quota, 1));
        assert!(fault.spent.usage.completion_tokens > 0 && fault.spent.estimated);
    }
}

#[tokio::test]
async fn a_stream_is_read_whatever_ends_its_events() {
    let values = [
        openai_delta("Hel"),
        openai_delta("lo."),
        openai_finish("stop"),
        openai_usage(12, 0, 3, 0),
    ];
    let line = |value: &Value| format!("data: {value}\n");
    let single: String = values.iter().map(line).collect();
    let bare: String = values.iter().map(|it| format!("{it}\n")).collect();
    for text in [
        format!("{single}data: [DONE]\n"),
        single.clone(),
        format!("{single}data: [DONE]"),
        bare,
    ] {
        let server = server(typed(Some("text/event-stream"), &text)).await;
        let answer = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
        assert_eq!(answer.content, "Hello.", "{text}");
        assert_eq!(answer.spent.usage.prompt_tokens, 12, "{text}");
    }
}

#[tokio::test]
async fn done_without_a_reason_is_an_answer() {
    let mut events = data(&[openai_delta("Hello."), openai_usage(12, 0, 3, 0)]);
    events.push("data: [DONE]\n\n".to_owned());
    let server = server(Reply::events(&events)).await;
    let answer = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(
        (answer.finish, answer.spent.estimated),
        (Finish::Stop, false)
    );
}

#[tokio::test]
async fn usage_as_floats_is_counted_and_unknown_usage_is_told_as_unknown() {
    let usage = |usage: Value| json!({"choices": [], "usage": usage});
    let table = [
        (
            usage(json!({"prompt_tokens": 300.0, "completion_tokens": 20.0})),
            (Some(300), Some(20)),
            false,
        ),
        (
            usage(json!({"prompt_tokens": 300, "completion_tokens": null})),
            (Some(300), None),
            true,
        ),
        (usage(json!(null)), (None, None), true),
    ];
    for (last, (prompt_tokens, completion_tokens), estimated) in table {
        let server = server(Reply::events(&openai_hello(std::slice::from_ref(&last)))).await;
        let log = Log::default();
        let answer = complete(&gateway("openai", &server.address), &prompt("p/m"), &log).await;
        let spent = answer.unwrap().spent;
        let (reported, counted) = log.told();
        assert_eq!(
            (
                reported.prompt_tokens,
                reported.completion_tokens,
                spent.estimated
            ),
            (prompt_tokens, completion_tokens, estimated),
            "{last}"
        );
        assert!(counted.prompt_tokens > 0 && counted.completion_tokens > 0);
        assert_eq!(
            spent.usage.prompt_tokens,
            prompt_tokens.unwrap_or(counted.prompt_tokens)
        );
    }
}

#[tokio::test]
async fn an_answer_to_a_schema_is_found_in_what_stands_around_it() {
    for content in [
        "{\"n\": 2}",
        "Here is the JSON:\n\n```json\n{\"n\": 2}\n```\n",
        "{\"n\": 2}\n\nLet me know if you need more!",
        "<think>\nhm\n</think>\n{\"n\": 2}",
    ] {
        let events = data(&[openai_delta(content), openai_finish("stop")]);
        let server = server(Reply::events(&events)).await;
        let answer = answered(&gateway("openai", &server.address), &asking_for_n()).await;
        assert_eq!(answer.content, "{\"n\": 2}", "{content}");
        assert_eq!(answer.taken_out, content.len() > 8, "{content}");
    }
}

#[tokio::test]
async fn a_responses_server_is_spoken_to() {
    let events: Vec<String> = [
        json!({"type": "response.created", "response": {"status": "in_progress"}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "Hello."}),
        json!({"type": "response.completed", "response": {"status": "completed", "model": "m-2026",
            "output": [], "usage": {"input_tokens": 12, "output_tokens": 3}}}),
    ]
    .iter()
    .map(|it| format!("event: {}\ndata: {it}\n\n", it["type"].as_str().unwrap()))
    .collect();
    let server = server(Reply::events(&events)).await;
    let config = crate::harness::config("openai", &server.address)
        .replace("key = \"KEY\"", "key = \"KEY\"\napi = \"responses\"");
    let gateway = crate::harness::Host::default().gateway(&config);
    let answer = answered(&gateway, &prompt("p/m")).await;
    assert_eq!(
        (answer.content.as_str(), answer.answered_by.as_str()),
        ("Hello.", "m-2026")
    );
    assert!(!answer.spent.estimated);
    assert!(server.asked()[0].head.starts_with("POST /v1/responses "));
}

#[tokio::test]
async fn a_gemini_server_is_spoken_to() {
    let server = server(Reply::events(&openai_hello(&[openai_usage(12, 0, 3, 0)]))).await;
    let answer = answered(&gateway("gemini", &server.address), &prompt("p/m")).await;
    assert_eq!(answer.content, "Hello.");
    assert!(
        server.asked()[0]
            .head
            .starts_with("POST /v1/chat/completions ")
    );
}

#[tokio::test]
async fn blanks_without_end_are_not_waited_for_beyond_their_bound() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let reply = Reply(vec![
        Act::Send(head.as_bytes().to_vec()),
        Act::Forever(vec![b' '; 16 << 10]),
    ]);
    let server = server(reply).await;
    let (fault, _) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert!(
        matches!(fault.class, ErrorClass::Provider | ErrorClass::Cut),
        "{fault}"
    );
}
