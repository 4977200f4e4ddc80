//! What comes before what: rights and residency before a connection, leave before a byte, stand-ins
//! only where the caller may.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_models::{Body, ErrorClass, Spent, Transport, TransportError};
use http::{Request, Response};
use serde_json::json;

use crate::{
    harness::{Host, Log, complete, config, failure, gateway, model, prompt, soon, who},
    server::{Reply, Server},
    words::openai_hello,
};

/// Counts what is handed to it and sends nothing.
#[derive(Default)]
struct Recorder(AtomicUsize);

#[async_trait]
impl Transport for Recorder {
    async fn send(&self, _: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Err(TransportError::Connect("a double".to_owned()))
    }
}

const TWO: &str = r#"
    retry = { max_attempts = 1 }
    [providers.far]
    kind = "openai"
    url = "https://models.example.com/v1"
    unpriced = true
    [providers.near]
    kind = "openai"
    url = "http://models.example.internal/v1"
    unpriced = true
    on_prem = true
    [failover]
    "near/m" = ["far/m"]
    "#;

fn recorded(config: &str) -> (Arc<Recorder>, flowhost_models::Gateway) {
    let recorder = Arc::new(Recorder::default());
    let gateway = Host::default().gateway_over(config, recorder.clone());
    (recorder, gateway)
}

#[tokio::test]
async fn strict_residency_refuses_before_a_connection() {
    let (recorder, gateway) = recorded(&format!("residency = \"strict\"\n{TWO}"));
    assert_eq!(
        gateway.knows(&model("far/m")).unwrap_err().class,
        ErrorClass::Residency
    );
    let (error, log) = failure(&gateway, &prompt("far/m")).await;
    assert_eq!(error.class, ErrorClass::Residency);
    assert!(
        error
            .hint
            .contains("on_prem = true in [models.providers.far]")
    );
    assert_eq!(
        (log.lines().len(), recorder.0.load(Ordering::Relaxed)),
        (0, 0)
    );
    assert!(gateway.knows(&model("mock/m")).is_ok());
}

#[tokio::test]
async fn strict_residency_holds_for_stand_ins() {
    let (recorder, gateway) = recorded(&format!("residency = \"strict\"\n{TWO}"));
    let (error, log) = failure(&gateway, &prompt("near/m")).await;
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(
        error
            .hint
            .contains("far/m was not tried: residency is strict"),
        "{}",
        error.hint
    );
    assert_eq!(log.classes(), ["unreachable"]);
    assert_eq!(recorder.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_stand_in_beyond_the_callers_rights_is_not_tried() {
    let (recorder, gateway) = recorded(TWO);
    let log = Log::default();
    let allowed = |name: &flowhost_models::ModelName| name.provider == "near";
    let error = gateway
        .complete(&prompt("near/m"), &who(), &allowed, soon(), &log)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Unreachable);
    assert!(
        error
            .hint
            .contains("far/m was not tried: the caller's rights do not name")
    );
    assert_eq!(recorder.0.load(Ordering::Relaxed), 1);

    let error = gateway
        .complete(&prompt("near/m"), &who(), &|_| false, soon(), &log)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Refused);
    assert_eq!(recorder.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn without_leave_nothing_is_sent_and_no_one_else_is_asked() {
    let (recorder, gateway) = recorded(TWO);
    let log = Log::that_refuses("the budget is used up");
    let error = complete(&gateway, &prompt("near/m"), &log)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.message.as_str()),
        (ErrorClass::Refused, "the budget is used up")
    );
    assert_eq!(recorder.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_outcome_that_cannot_be_kept_ends_the_call_with_its_cost() {
    let server = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    let log = Log::that_is_full("the ledger is full");
    let error = complete(&gateway("openai", &server.address), &prompt("p/m"), &log)
        .await
        .unwrap_err();
    assert_eq!(error.class, ErrorClass::Refused);
    assert!(error.spent.micro_usd > 0);
}

#[tokio::test]
async fn an_unknown_provider_is_told_with_its_cure() {
    let gateway = Host::default().gateway("");
    let error = gateway.knows(&model("openai/x")).unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid);
    let mut lines = error.hint.lines();
    assert!(lines.any(|line| line == "[models.providers.openai]"));
    let (called, _) = failure(&gateway, &prompt("openai/x")).await;
    assert_eq!(called.hint, error.hint, "a call is told the same lines");
}

#[tokio::test]
async fn a_prompt_out_of_bounds_is_refused_before_anything() {
    let (recorder, gateway) = recorded(TWO);
    let mut prompt = prompt("near/m");
    prompt.max_tokens = 0;
    let (error, log) = failure(&gateway, &prompt).await;
    assert_eq!(error.class, ErrorClass::Invalid);
    assert_eq!(
        (log.lines().len(), recorder.0.load(Ordering::Relaxed)),
        (0, 0)
    );
    assert_eq!(
        gateway.estimate(&prompt).unwrap_err().class,
        ErrorClass::Invalid
    );
}

/// Two providers, the first of which answers with `status`.
async fn failing_over(status: u16) -> (Result<String, ErrorClass>, Vec<String>) {
    let broken = Server::start(vec![Reply::json(status, &json!({"error": "x"}))]).await;
    let whole = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    let config = format!(
        "{}\n[providers.q]\nkind = \"openai\"\nurl = \"http://{}/v1\"\nunpriced = true\n\
         [failover]\n\"p/m\" = [\"q/n\"]",
        config("openai", &broken.address),
        whole.address
    );
    let log = Log::default();
    let gateway = Host::default().gateway(&config);
    let result = complete(&gateway, &prompt("p/m"), &log).await;
    let result = result.map(|completion| {
        assert_eq!(completion.model, model("q/n"));
        assert_eq!(whole.asked()[0].body["model"], "n");
        completion.content
    });
    (result.map_err(|error| error.class), log.lines())
}

#[tokio::test]
async fn what_another_model_cannot_do_better_is_not_failed_over() {
    let (result, lines) = failing_over(400).await;
    assert_eq!(result, Err(ErrorClass::Invalid));
    assert_eq!(lines.len(), 1);
}

#[tokio::test]
async fn a_stand_in_answers_after_the_tries_of_the_first() {
    let (result, lines) = failing_over(503).await;
    assert_eq!(result, Ok("Hello.".to_owned()));
    let starts: Vec<&str> = lines.iter().map(|line| &line[..5]).collect();
    assert_eq!(starts, ["1 p/m", "2 p/m", "3 q/n"]);
    for status in [401, 402, 302] {
        let (result, lines) = failing_over(status).await;
        assert_eq!(
            (result, lines.len()),
            (Ok("Hello.".to_owned()), 2),
            "{status}"
        );
    }
}

#[tokio::test]
async fn a_provider_that_embeds_nothing_says_so_before_a_connection() {
    let config =
        "[providers.p]\nkind = \"anthropic\"\nurl = \"https://a.example.com/v1\"\nunpriced = true";
    let (recorder, gateway) = recorded(config);
    let texts = ["x".to_owned()];
    let error = gateway
        .embed(
            &model("p/m"),
            &texts,
            &who(),
            &|_| true,
            soon(),
            &Log::default(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (error.class, error.spent),
        (ErrorClass::Invalid, Spent::default())
    );
    assert_eq!(recorder.0.load(Ordering::Relaxed), 0);
}
