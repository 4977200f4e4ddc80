//! Servers that refuse a part of a request: what is asked again without it, remembered and recorded.

use flowhost_models::{ErrorClass, Gateway, Prompt, ToolSpec};
use serde_json::{Value, json};

use crate::{
    harness::{Host, Log, complete, config, failure, gateway, prompt},
    server::{Asked, Reply, Server},
    words::openai_hello,
};

fn refusal(status: u16, message: &str) -> Reply {
    let kind = "invalid_request_error";
    Reply::json(
        status,
        &json!({"error": {"message": message, "type": kind, "param": null}}),
    )
}

fn hello() -> Reply {
    Reply::events(&openai_hello(&[]))
}

/// Seed, schema, tools and temperature.
fn rich() -> Prompt {
    let mut prompt = prompt("p/m");
    prompt.seed = Some(7);
    prompt.temperature = Some(0.5);
    prompt.answer_schema = Some(json!({"type": "object", "title": "Shape"}));
    prompt.tools = vec![ToolSpec {
        name: "now".to_owned(),
        description: "Tells the time.".to_owned(),
        input_schema: json!({"type": "object"}),
    }];
    prompt
}

fn keys(asked: &Asked) -> Vec<&str> {
    asked
        .body
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn with(more: &str, server: &Server) -> Gateway {
    let text = config("openai", &server.address);
    let text = text.replace("key = \"KEY\"", &format!("key = \"KEY\"\n{more}"));
    Host::default().gateway(&text)
}

#[tokio::test]
async fn a_refusal_that_names_no_part_is_not_asked_again() {
    let server = Server::start(vec![refusal(400, "messages must alternate")]).await;
    let (error, log) = failure(&gateway("openai", &server.address), &rich()).await;
    assert_eq!(error.class, ErrorClass::Invalid);
    assert!(error.message.contains("messages must alternate"));
    assert_eq!(log.lines().len(), 1);
}

#[tokio::test]
async fn where_the_configuration_says_so_nothing_is_asked_again() {
    let server = Server::start(vec![refusal(400, "Unknown parameter: seed")]).await;
    let (error, log) = failure(&with("fallback = false", &server), &rich()).await;
    assert_eq!((error.class, log.lines().len()), (ErrorClass::Invalid, 1));
}

#[tokio::test]
async fn a_part_that_stays_refused_is_left_out_once() {
    let server = Server::start(vec![refusal(400, "seed is not supported")]).await;
    let (_, log) = failure(&gateway("openai", &server.address), &rich()).await;
    assert_eq!(log.left_out(), ["", "seed"]);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_refused_part_is_left_out_at_once_for_good_and_on_record() {
    let detail = json!({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"],
        "msg": "Extra inputs are not permitted"}]});
    let in_stream = Reply::events(&[format!(
        "data: {}\n\n",
        json!({"error": {"code": 400, "message": "Unrecognized request argument supplied: seed"}})
    )]);
    for reply in [
        Reply::json(422, &detail),
        in_stream,
        refusal(400, "Unknown name \"seed\""),
    ] {
        let server = Server::start(vec![reply, hello()]).await;
        let gateway = gateway("openai", &server.address);
        let log = Log::default();
        let answer = complete(&gateway, &rich(), &log).await.unwrap();
        assert_eq!(answer.content, "Hello.");
        assert_eq!(log.classes(), ["invalid", "ok"]);
        assert_eq!(log.left_out(), ["", "seed"]);
        assert!(answer.spent.usage.prompt_tokens > 0);
        let log = Log::default();
        complete(&gateway, &rich(), &log).await.unwrap();
        assert_eq!(log.left_out(), ["seed"], "remembered");
        let log = Log::default();
        let mut other = rich();
        other.model = "p/other".parse().unwrap();
        complete(&gateway, &other, &log).await.unwrap();
        assert_eq!(log.left_out(), [""], "of that model alone");
    }
}

#[tokio::test]
async fn a_schema_that_is_refused_stands_in_the_prompt() {
    let server = Server::start(vec![
        refusal(400, "This response_format type is unavailable now"),
        hello(),
    ])
    .await;
    let log = Log::default();
    let gateway = gateway("openai", &server.address);
    complete(&gateway, &rich(), &log).await.unwrap();
    assert_eq!(log.left_out(), ["", "response_format"]);
    let asked = server.asked();
    assert!(keys(&asked[0]).contains(&"response_format"));
    assert!(!keys(&asked[1]).contains(&"response_format"));
    assert!(keys(&asked[1]).contains(&"tools"));
    let told = asked[1].body["messages"][0]["content"].as_str().unwrap();
    assert!(told.contains("\"title\":\"Shape\""), "{told}");
}

#[tokio::test]
async fn tools_beside_a_format_stay_and_go_only_when_they_are_still_refused() {
    let both = || {
        refusal(
            400,
            "json mode cannot be combined with tool/function calling",
        )
    };
    let server = Server::start(vec![both(), hello()]).await;
    complete(
        &gateway("openai", &server.address),
        &rich(),
        &Log::default(),
    )
    .await
    .unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 2);
    assert!(keys(&asked[1]).contains(&"tools") && !keys(&asked[1]).contains(&"response_format"));

    let server = Server::start(vec![both(), both(), hello()]).await;
    let log = Log::default();
    complete(&gateway("openai", &server.address), &rich(), &log)
        .await
        .unwrap();
    let asked = server.asked();
    assert!(!keys(&asked[2]).contains(&"tools") && keys(&asked[2]).contains(&"response_format"));
    assert_eq!(
        log.left_out()[2],
        "response_format_with_tools, tools_with_response_format"
    );
}

#[tokio::test]
async fn one_callers_schema_takes_nothing_from_others() {
    let message = "Invalid schema for response_format 'answer': `title` is not permitted";
    let server = Server::start(vec![refusal(400, message), hello()]).await;
    let gateway = gateway("openai", &server.address);
    complete(&gateway, &rich(), &Log::default()).await.unwrap();
    let log = Log::default();
    complete(&gateway, &rich(), &log).await.unwrap();
    assert_eq!(log.left_out(), [""]);
}

#[tokio::test]
async fn the_limit_goes_under_its_other_name() {
    let message = "Unsupported parameter: 'max_tokens' is not supported with this model. Use \
        'max_completion_tokens' instead.";
    let server = Server::start(vec![refusal(400, message), hello()]).await;
    complete(
        &gateway("openai", &server.address),
        &rich(),
        &Log::default(),
    )
    .await
    .unwrap();
    let body = &server.asked()[1].body;
    assert_eq!(
        (&body["max_tokens"], &body["max_completion_tokens"]),
        (&Value::Null, &json!(100))
    );
}

#[tokio::test]
async fn what_the_configuration_leaves_out_is_never_sent() {
    let server = Server::start(vec![hello()]).await;
    let gateway = with(
        "leave_out = [\"seed\", \"stream_options\", \"response_format\"]",
        &server,
    );
    let log = Log::default();
    complete(&gateway, &rich(), &log).await.unwrap();
    assert_eq!(log.left_out(), ["seed, stream_options, response_format"]);
    assert_eq!(
        keys(&server.asked()[0]),
        [
            "max_tokens",
            "messages",
            "model",
            "stream",
            "temperature",
            "tools"
        ]
    );
}

#[tokio::test]
async fn an_anthropic_server_that_lets_no_tool_be_demanded_is_told_in_words() {
    let server = Server::start(vec![
        refusal(400, "tool_choice: only auto is supported"),
        Reply::events(&crate::words::anthropic_hello(20, 0, 9)),
    ])
    .await;
    let mut prompt = rich();
    prompt.tools.clear();
    complete(
        &gateway("anthropic", &server.address),
        &prompt,
        &Log::default(),
    )
    .await
    .unwrap();
    let asked = server.asked();
    assert!(keys(&asked[0]).contains(&"tool_choice") && !keys(&asked[1]).contains(&"tool_choice"));
    assert!(
        asked[1].body["system"]
            .as_str()
            .unwrap()
            .contains("flowhost_answer")
    );
}
