//! Streams that break off, lie about their cost, or never end.

use flowhost_models::{ErrorClass, Finish, tokens};
use serde_json::json;

use crate::{
    harness::{Log, answered, complete, failure, gateway, prompt},
    server::{Act, Reply, Server, chunk},
    words::{anthropic_hello, data, openai_delta, openai_finish, openai_hello, openai_usage},
};

#[tokio::test]
async fn a_stream_cut_in_the_middle_of_an_event_is_tried_again_and_paid_twice() {
    let mut half = data(&[openai_delta("Hello wor")]);
    half.push("data: {\"choices\": [{\"del".to_owned());
    let whole = openai_hello(&[openai_usage(12, 0, 3, 0)]);
    let server = Server::start(vec![Reply::cut(&half), Reply::events(&whole)]).await;
    let log = Log::default();
    let completion = complete(&gateway("openai", &server.address), &prompt("p/m"), &log).await;
    let completion = completion.unwrap();
    assert_eq!(completion.content, "Hello.");
    assert_eq!(log.classes(), ["cut", "ok"]);
    let prompt_tokens = tokens::count_prompt(&prompt("p/m"));
    assert!(completion.spent.estimated);
    assert_eq!(completion.spent.usage.prompt_tokens, prompt_tokens + 12);
    assert_eq!(
        completion.spent.usage.completion_tokens,
        tokens::count("Hello wor") + 3
    );
}

#[tokio::test]
async fn a_stream_cut_in_the_middle_of_a_chunk_is_cut() {
    let mut bytes = chunk(&data(&[openai_delta("Hello")]).concat());
    bytes.truncate(bytes.len() / 2);
    let mut reply = Reply::cut(&[]);
    reply.0.insert(1, Act::Send(bytes));
    let server = Server::start(vec![reply]).await;
    let (error, log) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Cut);
    assert_eq!(log.classes(), ["cut", "cut"]);
    assert!(error.spent.usage.prompt_tokens > 0 && error.spent.estimated);
}

#[tokio::test]
async fn a_stream_cut_before_its_usage_is_an_answer_that_we_count() {
    let mut events = data(&[openai_delta("Hello."), openai_finish("stop")]);
    let server = Server::start(vec![Reply::cut(&events)]).await;
    let log = Log::default();
    let completion = complete(&gateway("openai", &server.address), &prompt("p/m"), &log).await;
    let completion = completion.unwrap();
    assert_eq!(completion.content, "Hello.");
    assert!(completion.spent.estimated && completion.spent.micro_usd > 0);
    assert_eq!(
        completion.spent.usage.completion_tokens,
        tokens::count("Hello.")
    );

    events = anthropic_hello(20, 5, 9);
    events.truncate(5);
    let server = Server::start(vec![Reply::cut(&events)]).await;
    let (error, _) = failure(&gateway("anthropic", &server.address), &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Cut);
    assert_eq!(error.spent.usage.prompt_tokens, 2 * 25);
}

#[tokio::test]
async fn a_missing_or_impossible_count_is_replaced_by_ours_and_never_free() {
    let lies = [
        vec![],
        vec![openai_usage(0, 0, 0, 0)],
        vec![openai_usage(u64::MAX / 2, 0, 3, 0)],
        vec![openai_usage(12, 13, 3, 0)],
        vec![json!({"choices": [], "usage": {"prompt_tokens": -5, "completion_tokens": "3"}})],
        vec![json!({"choices": [], "usage": null})],
    ];
    for usage in lies {
        let server = Server::start(vec![Reply::events(&openai_hello(&usage))]).await;
        let gateway = gateway("openai", &server.address);
        let completion = complete(&gateway, &prompt("p/m"), &Log::default())
            .await
            .unwrap();
        let spent = completion.spent;
        assert!(spent.estimated && spent.micro_usd > 0, "{usage:?}");
        assert_eq!(
            spent.usage.prompt_tokens,
            tokens::count_prompt(&prompt("p/m"))
        );
        assert!(spent.usage.completion_tokens >= 3 && spent.usage.completion_tokens <= 100);
    }
}

#[tokio::test]
async fn usage_that_stands_in_every_event_is_counted_once() {
    let mut values = vec![
        openai_delta("Hel"),
        openai_delta("lo."),
        openai_finish("stop"),
    ];
    for (number, value) in values.iter_mut().enumerate() {
        value["usage"] = openai_usage(12, 0, number as u64 + 1, 0)["usage"].clone();
    }
    let server = Server::start(vec![Reply::events(&data(&values))]).await;
    let completion = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
    let spent = completion.spent;
    assert_eq!(
        (spent.usage.prompt_tokens, spent.usage.completion_tokens),
        (12, 3)
    );
    assert!(!spent.estimated);
}

#[tokio::test]
async fn an_answer_that_never_ends_is_cut_and_paid() {
    let mut reply = Reply::cut(&[]);
    let endless = chunk(&data(&[openai_delta(&"word ".repeat(100))]).concat());
    reply.0.insert(1, Act::Forever(endless));
    let server = Server::start(vec![reply]).await;
    let (error, log) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Cut);
    assert_eq!(log.classes(), ["cut"], "what never ends is not asked again");
    assert_eq!(error.spent.usage.completion_tokens, 100);
}

#[tokio::test]
async fn a_stream_of_nothing_is_cut_at_its_bound() {
    for nothing in [
        ": keep-alive\n\n".repeat(4_096),
        "data: {\"choices\":[]}\n\n".repeat(1_024),
    ] {
        let mut reply = Reply::cut(&[]);
        reply.0.insert(1, Act::Forever(chunk(&nothing)));
        let server = Server::start(vec![reply]).await;
        let (error, _) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
        assert_eq!(error.class, ErrorClass::Cut);
    }
}

#[tokio::test]
async fn a_line_without_end_and_bytes_that_are_no_text_are_the_providers_fault() {
    let endless = Act::Forever(chunk(&"x".repeat(64 << 10)));
    let binary = Act::Send(b"5\r\ndata:\r\n4\r\n\xff\xfe\n\n\r\n".to_vec());
    let no_json = Act::Send(chunk("data: {\"choices\": [\n\n"));
    for act in [endless, binary, no_json] {
        let mut reply = Reply::cut(&[]);
        reply.0.insert(1, act);
        let server = Server::start(vec![reply]).await;
        let (error, _) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
        assert_eq!(error.class, ErrorClass::Provider, "{error}");
    }
}

#[tokio::test]
async fn an_error_in_the_middle_has_its_class_and_its_cost() {
    let table = [
        ("overloaded_error", ErrorClass::Transient),
        ("rate_limit_error", ErrorClass::RateLimited),
        ("authentication_error", ErrorClass::Auth),
        ("invalid_request_error", ErrorClass::Invalid),
        ("a_new_error", ErrorClass::Provider),
    ];
    for (kind, class) in table {
        let mut events = anthropic_hello(20, 5, 9);
        events.truncate(4);
        let error = json!({"type": "error", "error": {"type": kind, "message": "so"}});
        events.push(format!("event: error\ndata: {error}\n\n"));
        let server = Server::start(vec![Reply::events(&events)]).await;
        let (error, _) = failure(&gateway("anthropic", &server.address), &prompt("p/m")).await;
        assert_eq!(error.class, class, "{kind}");
        assert!(error.spent.usage.prompt_tokens >= 25);
    }
}

#[tokio::test]
async fn a_stream_without_its_last_word_is_whole_when_it_gave_a_reason() {
    let events = data(&[
        openai_delta("Hello."),
        openai_finish("length"),
        openai_usage(12, 0, 3, 0),
    ]);
    let server = Server::start(vec![Reply::events(&events)]).await;
    let completion = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(
        (completion.finish, completion.spent.estimated),
        (Finish::Length, false)
    );
}
