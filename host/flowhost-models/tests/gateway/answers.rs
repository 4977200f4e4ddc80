//! Answers that are as they should be.

use std::time::Duration;

use flowhost_models::{Answer, ErrorClass, Finish, ToolSpec, Usage};
use serde_json::json;

use crate::{
    harness::{Host, KEY, Log, answered, complete, config, gateway, model, prompt, soon, who},
    server::{Act, Reply, Server},
    words::{anthropic_hello, data, openai_body, openai_finish, openai_hello, openai_usage},
};

fn usage(prompt: u64, cached: u64, completion: u64, reasoning: u64) -> Usage {
    Usage {
        prompt_tokens: prompt,
        cached_tokens: cached,
        cache_write_tokens: 0,
        completion_tokens: completion,
        reasoning_tokens: reasoning,
    }
}

#[tokio::test]
async fn an_openai_stream_is_read_and_its_connection_kept() {
    let events = openai_hello(&[openai_usage(12, 4, 3, 1)]);
    let server = Server::start(vec![Reply::events(&events)]).await;
    let gateway = gateway("openai", &server.address);
    for _ in 0..3 {
        let log = Log::default();
        let completion = complete(&gateway, &prompt("p/m"), &log).await.unwrap();
        assert_eq!(completion.content, "Hello.");
        assert_eq!(completion.finish, Finish::Stop);
        assert_eq!(completion.answered_by, "m-2026");
        assert_eq!(completion.model, model("p/m"));
        assert_eq!(completion.spent.usage, usage(12, 4, 3, 1));
        assert!(!completion.spent.estimated);
        assert_eq!(log.classes(), ["ok"]);
    }
    assert_eq!(server.connections(), 1);
    let asked = &server.asked()[0];
    let head = asked.head.to_lowercase();
    assert!(
        head.starts_with("post /v1/chat/completions http/1.1"),
        "{head}"
    );
    assert!(head.contains(&format!("authorization: bearer {KEY}")));
    assert!(head.contains("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert_eq!(asked.body["stream_options"], json!({"include_usage": true}));
    assert_eq!(asked.body["max_tokens"], 100);
}

#[tokio::test]
async fn a_slow_start_and_a_slow_middle_are_waited_for() {
    let pause = Duration::from_millis(30);
    let mut reply = Reply::events(&openai_hello(&[])).after(pause);
    reply.0.insert(3, Act::Pause(pause));
    let server = Server::start(vec![reply]).await;
    let completion = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(completion.content, "Hello.");
}

#[tokio::test]
async fn an_anthropic_stream_is_read() {
    let server = Server::start(vec![Reply::events(&anthropic_hello(20, 5, 9))]).await;
    let gateway = gateway("anthropic", &server.address);
    let completion = complete(&gateway, &prompt("p/m"), &Log::default())
        .await
        .unwrap();
    assert_eq!(completion.content, "Hello.");
    assert_eq!(completion.answered_by, "claude-2026");
    assert_eq!(completion.spent.usage, usage(25, 5, 9, 0));
    let head = server.asked()[0].head.to_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1"), "{head}");
    assert!(head.contains(&format!("x-api-key: {KEY}")));
    assert!(head.contains("anthropic-version: 2023-06-01"));
    assert!(!head.contains("authorization"));
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_read_too() {
    let body = openai_body(Some(json!({"prompt_tokens": 12, "completion_tokens": 3})));
    let server = Server::start(vec![Reply::json(200, &body)]).await;
    let completion = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(completion.content, "Hello.");
    assert_eq!(completion.spent.usage, usage(12, 0, 3, 0));
}

#[tokio::test]
async fn tool_calls_come_back_under_the_callers_names() {
    let call = |index: u64, id: &str, name: &str, arguments: &str| {
        let function = json!({"name": name, "arguments": arguments});
        let calls = json!([{"index": index, "id": id, "type": "function", "function": function}]);
        json!({"model": "m", "choices": [{"index": 0, "delta": {"tool_calls": calls}}]})
    };
    let events = data(&[
        call(0, "a", "files_read", "{\"pa"),
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "function": {"arguments": "th\":\"x\"}"}}]}}]}),
        call(1, "b", "no_such_tool", "not json"),
        openai_finish("tool_calls"),
        openai_usage(12, 0, 30, 0),
    ]);
    let server = Server::start(vec![Reply::events(&events)]).await;
    let mut prompt = prompt("p/m");
    prompt.tools = vec![ToolSpec {
        name: "files/read".to_owned(),
        description: "Reads.".to_owned(),
        input_schema: json!({"type": "object"}),
    }];
    let completion = answered(&gateway("openai", &server.address), &prompt).await;
    let calls: Vec<_> = completion
        .tool_calls
        .iter()
        .map(|call| (call.name.as_str(), call.arguments.as_str()))
        .collect();
    assert_eq!(
        calls,
        [
            ("files/read", "{\"path\":\"x\"}"),
            ("no_such_tool", "not json")
        ]
    );
    assert_eq!(completion.finish, Finish::ToolCalls);
}

#[tokio::test]
async fn texts_are_embedded() {
    let body = json!({"object": "list", "model": "e-2026", "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, -1]},
        {"object": "embedding", "index": 1, "embedding": [0.25, 2e-3]}],
        "usage": {"prompt_tokens": 6, "total_tokens": 6}});
    let server = Server::start(vec![Reply::json(200, &body)]).await;
    let gateway = gateway("openai", &server.address);
    let texts = ["one".to_owned(), "two".to_owned()];
    let log = Log::default();
    let embeddings = gateway
        .embed(&model("p/e"), &texts, &who(), &|_| true, soon(), &log)
        .await
        .unwrap();
    assert_eq!(embeddings.vectors, [[0.5, -1.0], [0.25, 0.002]]);
    assert_eq!(embeddings.spent.usage, usage(6, 0, 0, 0));
    assert_eq!(embeddings.spent.micro_usd, 8);
    assert_eq!(server.asked()[0].body["input"], json!(["one", "two"]));
}

#[tokio::test]
async fn a_stream_without_an_embedding_is_no_answer() {
    let silence = [": keep-alive\n\n".to_owned()];
    for (reply, class) in [
        (Reply::events(&silence), ErrorClass::Provider),
        (Reply::cut(&silence), ErrorClass::Cut),
    ] {
        let server = Server::start(vec![reply]).await;
        let gateway = gateway("openai", &server.address);
        let (texts, log) = (["one".to_owned()], Log::default());
        let error = gateway
            .embed(&model("p/e"), &texts, &who(), &|_| true, soon(), &log)
            .await
            .unwrap_err();
        assert_eq!(error.class, class);
    }
}

#[tokio::test]
async fn a_server_without_a_key_is_sent_none() {
    let server = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    let config = config("openai", &server.address).replace("key = \"KEY\"", "");
    let gateway = Host::default().gateway(&config);
    complete(&gateway, &prompt("p/m"), &Log::default())
        .await
        .unwrap();
    assert!(
        !server.asked()[0]
            .head
            .to_lowercase()
            .contains("authorization")
    );
}

#[tokio::test]
async fn openai_itself_is_told_the_limit_in_its_own_field() {
    let server = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    let config = config("openai", &server.address)
        .replace("key = \"KEY\"", "output_limit = \"max_completion_tokens\"");
    complete(
        &Host::default().gateway(&config),
        &prompt("p/m"),
        &Log::default(),
    )
    .await
    .unwrap();
    let body = &server.asked()[0].body;
    assert_eq!(
        (&body["max_completion_tokens"], &body["max_tokens"]),
        (&json!(100), &json!(null))
    );
}

#[test]
fn an_answer_tells_who_gave_it() {
    let answer = Answer::Embeddings(flowhost_models::Embeddings {
        vectors: vec![],
        spent: flowhost_models::Spent::default(),
        model: model("p/m"),
        answered_by: "x".to_owned(),
    });
    assert_eq!(answer.answered_by(), "x");
}
