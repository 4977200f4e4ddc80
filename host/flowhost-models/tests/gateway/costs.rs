//! What a call costs, to the micro-dollar, over all providers.

use flowhost_models::{Config, ErrorClass, Gateway, Spent};
use serde_json::json;

use crate::{
    harness::{Host, Log, NOON_MS, complete, model, prompt, soon, who},
    server::{Reply, Server},
    words::{anthropic_hello, openai_body, openai_hello, openai_usage},
};

const HOUR_MS: u64 = 3_600_000;

async fn cost(gateway: &Gateway, name: &str) -> Spent {
    complete(gateway, &prompt(name), &Log::default())
        .await
        .unwrap()
        .spent
}

/// Prices as their owners write them: fractions, cached input, silent thinking, cheap nights.
fn prices(openai: &str, anthropic: &str, local: &str) -> String {
    format!(
        r#"
        providers.openai = {{ kind = "openai", url = "http://{openai}/v1" }}
        providers.anthropic = {{ kind = "anthropic", url = "http://{anthropic}/v1" }}
        providers.local = {{ kind = "openai", url = "http://{local}/v1", unpriced = true }}
        providers.mock = {{ kind = "mock", scripts = "s" }}
        [prices."openai/gpt-5.1"]
        input = 1.25
        cached_input = 0.125
        output = 10.0
        reasoning = 12.5
        [prices."openai/*"]
        input = 0.15
        output = 0.6
        hours = [{{ from = "22:00", to = "06:00", factor = 0.5 }}, {{ from = "12:00", to = "13:00", factor = 1.5 }}]
        [prices."anthropic/*"]
        input = 3
        cached_input = 0.3
        output = 15
        [prices."mock/paid"]
        input = 0.000001
        output = 2.5
        "#
    )
}

#[tokio::test]
async fn every_provider_is_right_to_the_micro_dollar() {
    let openai = openai_hello(&[openai_usage(12_345, 10_000, 678, 500)]);
    let openai = Server::start(vec![Reply::events(&openai)]).await;
    let anthropic = Server::start(vec![Reply::events(&anthropic_hello(1_001, 5_000, 333))]).await;
    let body = openai_body(Some(json!({"prompt_tokens": 50, "completion_tokens": 5})));
    let local = Server::start(vec![Reply::json(200, &body)]).await;
    let config = prices(&openai.address, &anthropic.address, &local.address);
    let script = r#"[{"content": "Hello.", "usage":
        {"prompt_tokens": 1001, "completion_tokens": 7, "reasoning_tokens": 2}}]"#;
    let at = |now_ms: u64| {
        let scripts = [("s/default.json".to_owned(), script.to_owned())].into();
        Host {
            now_ms,
            scripts,
            ..Host::default()
        }
        .gateway(&config)
    };
    let table = [
        // 2,345 × 1.25 + 10,000 × 0.125 + 178 × 10 + 500 × 12.5 = 12,211.25
        ("openai/gpt-5.1", NOON_MS, 12_212),
        // (12,345 × 0.15 + 678 × 0.6) × 1.5 = 3,387.825 at noon; × 1 = 2,258.55; × 0.5 = 1,129.275
        ("openai/mini", NOON_MS, 3_388),
        ("openai/mini", NOON_MS + HOUR_MS, 2_259),
        ("openai/mini", NOON_MS + 10 * HOUR_MS, 1_130),
        ("openai/mini", NOON_MS + 17 * HOUR_MS, 1_130),
        ("openai/mini", NOON_MS + 18 * HOUR_MS, 2_259),
        // 1,001 × 3 + 5,000 × 0.3 + 333 × 15 = 9,498
        ("anthropic/claude-sonnet", NOON_MS, 9_498),
        ("local/llama3:8b", NOON_MS, 0),
        // 1,001 × 0.000001 + 7 × 2.5 = 17.501001
        ("mock/paid", NOON_MS, 18),
        ("mock/free", NOON_MS, 0),
    ];
    for (name, now_ms, micro_usd) in table {
        let spent = cost(&at(now_ms), name).await;
        assert!(!spent.estimated, "{name}");
        assert_eq!(spent.micro_usd, micro_usd, "{name} at {now_ms}");
    }
}

#[tokio::test]
async fn a_model_without_a_price_is_refused_before_a_connection() {
    let server = Server::start(vec![Reply::events(&openai_hello(&[]))]).await;
    let config = format!(
        "providers.p = {{ kind = \"openai\", url = \"http://{}/v1\" }}\n[prices.\"p/a\"]\ninput = 1.0",
        server.address
    );
    let gateway = Host::default().gateway(&config);
    assert!(gateway.knows(&model("p/a")).is_ok());
    let error = gateway.knows(&model("p/b")).unwrap_err();
    assert_eq!(error.class, ErrorClass::Invalid);
    assert!(
        error.hint.contains("[models.prices.\"p/b\"]"),
        "{}",
        error.hint
    );
    let log = Log::default();
    assert!(complete(&gateway, &prompt("p/b"), &log).await.is_err());
    assert_eq!((log.lines().len(), server.connections()), (0, 0));

    let gateway = Host::default().gateway(&format!("{config}\n[failover]\n\"p/b\" = [\"p/a\"]"));
    let error = complete(&gateway, &prompt("p/b"), &log).await.unwrap_err();
    assert_eq!(
        error.class,
        ErrorClass::Invalid,
        "no stand-in hides a missing price"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn an_estimate_holds_for_the_dearest_stand_in() {
    let config = r#"
        [prices."mock/cheap"]
        input = 1.0
        output = 1.0
        [prices."mock/dear"]
        input = 2.0
        output = 3.0
        reasoning = 50.0
        hours = [{ from = "00:00", to = "01:00", factor = 4.0 }]
        [failover]
        "mock/cheap" = ["mock/dear"]
        "#;
    let gateway = Host::default().gateway(config);
    let prompt = prompt("mock/cheap");
    let estimate = gateway.estimate(&prompt).unwrap();
    let tokens = flowhost_models::tokens::count_prompt(&prompt);
    assert_eq!(
        (estimate.prompt_tokens, estimate.completion_tokens),
        (tokens, 100)
    );
    assert_eq!(estimate.micro_usd, tokens * 2 * 4 + 100 * 50 * 4);
    assert_eq!(estimate.tokens(), tokens + 100);
}

#[tokio::test]
async fn an_estimate_is_never_below_what_mock_spends() {
    let config = "[prices.\"mock/*\"]\ninput = 1.3\noutput = 7.7";
    for (seed, text) in ["a", "Say hello to everyone.", "ü 語 🦀", &"x".repeat(500)]
        .iter()
        .enumerate()
    {
        for max_tokens in [1, 7, 40, 4_000] {
            let gateway = Host::default().gateway(config);
            let mut prompt = prompt("mock/m");
            prompt.turns[0].content = (*text).to_owned();
            prompt.max_tokens = max_tokens;
            prompt.seed = Some(seed as u64);
            let estimate = gateway.estimate(&prompt).unwrap();
            let spent = complete(&gateway, &prompt, &Log::default())
                .await
                .unwrap()
                .spent;
            assert!(spent.usage.tokens() <= estimate.tokens());
            assert!(spent.micro_usd <= estimate.micro_usd && spent.micro_usd > 0);
        }
    }
    let gateway = Host::default().gateway(config);
    let texts = ["one".to_owned(), "two words".to_owned()];
    let estimate = gateway.estimate_embed(&model("mock/e"), &texts).unwrap();
    let embeddings = gateway
        .embed(
            &model("mock/e"),
            &texts,
            &who(),
            &|_| true,
            soon(),
            &Log::default(),
        )
        .await
        .unwrap();
    assert!(embeddings.spent.micro_usd <= estimate.micro_usd);
}

#[test]
fn the_default_configuration_makes_a_gateway() {
    let host = std::sync::Arc::new(Host::default());
    assert!(Gateway::new(Config::default(), host.clone(), host.clone(), host).is_ok());
}
