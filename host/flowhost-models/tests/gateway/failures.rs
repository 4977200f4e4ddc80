//! Providers that refuse, are not there, or are something else.

use flowhost_models::{ErrorClass, Spent};
use serde_json::json;

use crate::{
    harness::{Host, KEY, Log, answered, class_of, complete, config, failure, gateway, prompt},
    server::{Reply, Server},
    words::openai_hello,
};

async fn classes(reply: Reply) -> (ErrorClass, Vec<String>, usize) {
    let server = Server::start(vec![reply]).await;
    let (class, tries) = class_of(&gateway("openai", &server.address)).await;
    (class, tries, server.asked().len())
}

#[tokio::test]
async fn what_time_does_not_heal_is_tried_once() {
    let error = |kind: &str, message: &str| json!({"error": {"message": message, "type": kind, "code": kind}});
    let table = [
        (
            401,
            error("invalid_api_key", "Incorrect API key provided"),
            ErrorClass::Auth,
        ),
        (403, error("permission_error", "no"), ErrorClass::Auth),
        (402, json!({}), ErrorClass::Quota),
        (
            429,
            error("insufficient_quota", "You exceeded your quota"),
            ErrorClass::Quota,
        ),
        (
            400,
            error("invalid_request_error", "bad"),
            ErrorClass::Invalid,
        ),
        (
            404,
            error("model_not_found", "no such model"),
            ErrorClass::Invalid,
        ),
        (413, json!({"detail": "too large"}), ErrorClass::Invalid),
    ];
    for (status, body, class) in table {
        let (found, _, asked) = classes(Reply::json(status, &body)).await;
        assert_eq!((found, asked), (class, 1), "{status} {body}");
    }
}

#[tokio::test]
async fn what_time_may_heal_is_tried_again() {
    let overloaded =
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
    for status in [500, 502, 503, 529] {
        let (class, tries, asked) = classes(Reply::json(status, &overloaded)).await;
        assert_eq!((class, asked), (ErrorClass::Transient, 2), "{status}");
        assert_eq!(tries, ["transient", "transient"]);
    }
    let html = Reply::new(503, &[("content-type", "text/html")], "<h1>down</h1>");
    assert_eq!(classes(html).await.0, ErrorClass::Transient);
}

#[tokio::test]
async fn a_full_minute_is_waited_for_as_long_as_the_provider_asks() {
    let limited =
        json!({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}});
    let reply = Reply::new(
        429,
        &[
            ("content-type", "application/json"),
            ("retry-after-ms", "20"),
        ],
        &limited.to_string(),
    );
    let server = Server::start(vec![reply, Reply::events(&openai_hello(&[]))]).await;
    let log = Log::default();
    let completion = complete(&gateway("openai", &server.address), &prompt("p/m"), &log).await;
    assert_eq!(completion.unwrap().content, "Hello.");
    assert_eq!(log.classes(), ["rate_limited", "ok"]);
}

#[tokio::test]
async fn a_wait_beyond_our_longest_is_not_begun() {
    let reply = Reply::new(429, &[("retry-after", "3600")], "{}");
    let (class, tries, _) = classes(reply).await;
    assert_eq!((class, tries.len()), (ErrorClass::RateLimited, 1));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays() {
    let thief = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("http://{}/v1/chat/completions", thief.address);
        let reply = Reply::new(status, &[("location", &location)], "");
        let (class, _, asked) = classes(reply).await;
        assert_eq!((class, asked), (ErrorClass::Provider, 1), "{status}");
    }
    assert_eq!(thief.connections(), 0);
}

#[tokio::test]
async fn a_server_that_repeats_the_key_does_not_spread_it() {
    let body = json!({"error": {"message": format!("bad key {KEY}\u{1b}[2J\u{202e}")}});
    let server = Server::start(vec![Reply::json(401, &body)]).await;
    let (error, log) = failure(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(
        error.message,
        "the provider answered 401: bad key [key]\\u{1b}[2J\\u{202e}"
    );
    assert!(!log.lines().concat().contains(KEY));

    let events = crate::words::data(&[
        crate::words::openai_delta(&format!("your key is {KEY}")),
        crate::words::openai_finish("stop"),
    ]);
    let server = Server::start(vec![Reply::events(&events)]).await;
    let completion = answered(&gateway("openai", &server.address), &prompt("p/m")).await;
    assert_eq!(completion.content, "your key is [key]");
}

#[tokio::test]
async fn a_missing_or_unsendable_key_is_told_without_it() {
    let server = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    for key in [None, Some(""), Some("sk-two\nlines-secret")] {
        let host = Host {
            keys: key
                .map(|key| ("KEY".to_owned(), key.to_owned()))
                .into_iter()
                .collect(),
            ..Host::default()
        };
        let gateway = host.gateway(&config("openai", &server.address));
        let (error, log) = failure(&gateway, &prompt("p/m")).await;
        assert_eq!(error.class, ErrorClass::Auth);
        assert!(
            error.message.contains("KEY") && !error.message.contains("two"),
            "{error}"
        );
        assert_eq!(log.classes(), ["auth"]);
        assert_eq!(error.spent, Spent::default());
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable_and_costs_nothing() {
    let server = Server::start(vec![]).await;
    // Port 1 of loopback is not served.
    let gateway = gateway("openai", "127.0.0.1:1");
    let (error, log) = failure(&gateway, &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert_eq!(log.classes(), ["unreachable", "unreachable"]);
    assert_eq!(error.spent, Spent::default());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_not_http_or_not_the_protocol_is_the_providers_fault() {
    let json = |text: &str| Reply::new(200, &[("content-type", "application/json")], text);
    let table = [
        Reply::raw("SSH-2.0-OpenSSH_9.9\r\n"),
        Reply::raw(&format!(
            "HTTP/1.1 200 OK\r\n{}\r\n",
            "x-y: z\r\n".repeat(200)
        )),
        Reply::raw(&format!(
            "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n",
            "z".repeat(200_000)
        )),
        Reply::new(200, &[("content-type", "text/html")], "<h1>hello</h1>"),
        Reply::new(200, &[], "{}"),
        Reply::new(
            200,
            &[
                ("content-type", "application/json"),
                ("content-encoding", "gzip"),
            ],
            "x",
        ),
        json("{\"choices\": ["),
        json("[]"),
        json("{\"choices\": []}"),
        Reply::new(204, &[], ""),
    ];
    for (number, reply) in table.into_iter().enumerate() {
        let (class, _, _) = classes(reply).await;
        assert_eq!(class, ErrorClass::Provider, "reply {number}");
    }
}

#[tokio::test]
async fn an_error_under_a_200_has_its_class() {
    let body = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
    let (class, tries, _) = classes(Reply::json(200, &body)).await;
    assert_eq!((class, tries.len()), (ErrorClass::RateLimited, 2));
}

#[tokio::test]
async fn an_answer_without_its_reason_to_end_is_cut() {
    let body = json!({"choices": [{"message": {"content": "Hel"}, "finish_reason": null}]});
    assert_eq!(classes(Reply::json(200, &body)).await.0, ErrorClass::Cut);
}

#[tokio::test]
async fn a_huge_body_is_cut_at_its_bound() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"choices\": \"";
    let reply = Reply(vec![
        crate::server::Act::Send(head.as_bytes().to_vec()),
        crate::server::Act::Forever(vec![b'x'; 64 << 10]),
    ]);
    let (class, tries, _) = classes(reply).await;
    assert_eq!((class, tries.len()), (ErrorClass::Cut, 1));
}

#[tokio::test]
async fn a_provider_that_is_left_alone_is_named_with_what_was_wrong_and_quotes_nobody() {
    let reply = Reply::json(
        503,
        &json!({"error": {"message": "cannot answer `my diary`"}}),
    );
    let server = Server::start(vec![reply]).await;
    let key = "key = \"KEY\"\n";
    let text = config("openai", &server.address);
    assert!(text.contains(key), "{text}");
    let breaker = format!("{key}breaker = {{ failures = 4, open = \"60s\" }}\n");
    let gateway = Host::default().gateway(&text.replace(key, &breaker));
    for _ in 0..2 {
        let (error, _) = failure(&gateway, &prompt("p/m")).await;
        assert_eq!(error.class, ErrorClass::Transient, "{error}");
    }
    let (error, _) = failure(&gateway, &prompt("p/m")).await;
    assert_eq!(error.class, ErrorClass::Unreachable);
    for words in ["4 times in a row", "of class `transient`"] {
        assert!(error.message.contains(words), "{words}: {error}");
    }
    assert!(!error.to_string().contains("diary"), "{error}");
}
