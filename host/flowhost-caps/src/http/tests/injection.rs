//! Secrets go to the rule's host, and do not come back.

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flowhost_policy::Inject;

use super::*;

const SECRET: &str = "s3cr/t-value";

fn injecting(url: &str) -> HttpRule {
    let inject = Inject::Header {
        header: "authorization".to_owned(),
        value: "Bearer ${secret:TOKEN}".to_owned(),
    };
    HttpRule {
        inject: Some(inject),
        ..rule(url)
    }
}

fn uses(bench: &Bench, what: &str) -> usize {
    let facts = crate::testing::decided(&bench.recorder);
    facts
        .iter()
        .filter(|fact| field(fact, "use") == what)
        .count()
}

#[tokio::test]
async fn netx_031_a_secret_goes_to_its_rules_host_alone() {
    let resolver = public().answer("other.example.com", &[PUBLIC]);
    let other = "http://other.example.com/";
    let connector = serving(|request| async move {
        let value = request
            .headers()
            .get("authorization")
            .map(|value| value.as_bytes().to_vec());
        let value = value.unwrap_or_default();
        text(if value == format!("Bearer {SECRET}").as_bytes() {
            Bytes::from("filled")
        } else {
            value.into()
        })
    });
    let bench = Bench::with(
        vec![injecting(PLAIN), rule(other)],
        resolver,
        connector,
        |_| {},
    );
    let headers = vec![header("authorization", "Bearer ${secret:TOKEN}")];
    let placeholder = wit::Request {
        headers: headers.clone(),
        ..request("GET", other)
    };
    assert_eq!(
        bench.send(placeholder).await.unwrap().body,
        b"Bearer ${secret:TOKEN}"
    );
    assert_eq!(uses(&bench, "inject"), 0);
    let filled = wit::Request {
        headers,
        ..request("GET", PLAIN)
    };
    assert_eq!(bench.send(filled).await.unwrap().body, b"filled");
    assert_eq!(uses(&bench, "inject"), 1);
}

#[tokio::test]
async fn a_secret_that_the_plugin_may_not_name_is_not_injected() {
    let mut bench = Bench::with(vec![injecting(PLAIN)], public(), serving(echo), |_| {});
    let mut effective = (*bench.scope.effective).clone();
    effective.grants.secrets.names.clear();
    bench.scope.effective = Arc::new(effective);
    assert_eq!(denied_rule(bench.get(PLAIN).await), "secrets.names#none");
}

#[tokio::test]
async fn netx_032_an_echoed_secret_is_redacted_in_every_listed_encoding() {
    for echoed in [
        SECRET.to_owned(),
        STANDARD.encode(SECRET),
        STANDARD.encode(format!("user:{SECRET}")),
        "s3cr%2Ft-value".to_owned(),
        "s3cr\\/t-value".to_owned(),
    ] {
        let answer = echoed.clone();
        let connector = serving(move |_| {
            let answer = answer.clone();
            async move { text(format!("before {answer} after")) }
        });
        let bench = Bench::with(vec![injecting(PLAIN)], public(), connector, |_| {});
        let response = bench.get(PLAIN).await.unwrap();
        let body = String::from_utf8(response.body).unwrap();
        assert!(
            body.contains("[redacted]") && !body.contains(&echoed),
            "{echoed} gave {body}"
        );
        assert_eq!(uses(&bench, "redact"), 1);
    }
}

#[tokio::test]
async fn netx_032_an_echo_in_headers_is_redacted_and_flagged() {
    let connector = serving(|_| async {
        let mut response = text("ok");
        response
            .headers_mut()
            .insert("x-echo", format!("Bearer {SECRET}").parse().unwrap());
        response
    });
    let bench = Bench::with(vec![injecting(PLAIN)], public(), connector, |_| {});
    let response = bench.get(PLAIN).await.unwrap();
    let echo = response
        .headers
        .iter()
        .find(|header| header.name == "x-echo")
        .unwrap();
    assert_eq!(echo.value, "Bearer [redacted]");
    assert_eq!(uses(&bench, "redact"), 1);
}

#[tokio::test]
async fn netx_032_an_answer_that_cannot_be_searched_is_refused() {
    let all: [&'static [&'static str]; 2] = [&["br"], &["identity", "gzip"]];
    for codings in all {
        let connector = serving(move |_| async move {
            let mut response = text("compressed");
            for coding in codings {
                let coding = coding.parse().unwrap();
                response.headers_mut().append("content-encoding", coding);
            }
            response
        });
        let bench = Bench::with(vec![injecting(PLAIN)], public(), connector, |_| {});
        assert!(matches!(
            bench.get(PLAIN).await,
            Err(types::Error::Failed(_))
        ));
    }
    let bench = Bench::with(vec![injecting(PLAIN)], public(), serving(echo), |_| {});
    let asked = wit::Request {
        headers: vec![header("range", "bytes=0-4")],
        ..request("GET", PLAIN)
    };
    assert!(matches!(
        bench.send(asked).await,
        Err(types::Error::Invalid(_))
    ));
}

#[tokio::test]
async fn cap_011_no_record_and_no_error_holds_the_value() {
    let bench = Bench::with(vec![injecting(PLAIN)], public(), serving(echo), |_| {});
    let response = format!("{:?}", bench.get(PLAIN).await);
    assert!(!response.contains(SECRET), "{response}");
    let records = format!("{:?}", crate::testing::decided(&bench.recorder));
    assert!(
        records.contains("TOKEN") && !records.contains(SECRET),
        "{records}"
    );
}

#[tokio::test]
async fn cap_011_a_blocked_address_gets_no_secret() {
    let resolver = ScriptedResolver::default().answer("api.example.com", &["127.0.0.1"]);
    let bench = Bench::with(vec![injecting(PLAIN)], resolver, serving(echo), |_| {});
    denied_rule(bench.get(PLAIN).await);
    assert_eq!(uses(&bench, "inject"), 0);
}
