//! Refusals first: nothing leaves that was not granted, held and recorded.

use std::sync::{Arc, Mutex};

use flowhost_engine::{
    Amount, CallScope, HostState, Provider as _, Shortfall, Whose, bindings::types,
};
use flowhost_ledger::{Fact, Kind, Value};
use flowhost_models::{Config, PriceConfig, ProviderConfig, ProviderKind};
use flowhost_policy::Grants;

use super::host::wit::{self, Host as _};
use super::testing::gateway;
use super::{HoldId, Model, ModelServices, Origin, Spending};
use crate::shared::money::Left;
use crate::testing::Call;

/// Holds up to a ceiling, and remembers what happened.
struct Purse {
    tokens: u64,
    seen: Mutex<Vec<(&'static str, Left)>>,
}

impl Purse {
    fn of(tokens: u64) -> Arc<Self> {
        let seen = Mutex::default();
        Arc::new(Self { tokens, seen })
    }

    fn seen(&self) -> Vec<(&'static str, Left)> {
        self.seen.lock().unwrap().clone()
    }
}

impl Spending for Purse {
    fn hold(&self, _: &CallScope, want: Left) -> Result<HoldId, Shortfall> {
        if want.tokens > self.tokens {
            return Err(Shortfall {
                amount: Amount::Tokens,
                whose: Whose::Plan,
                spent: 0,
                held: 0,
                asked: want.tokens,
                allowed: self.tokens,
            });
        }
        self.seen.lock().unwrap().push(("hold", want));
        Ok(HoldId(1))
    }

    fn settle(&self, _: HoldId, spent: Left) {
        self.seen.lock().unwrap().push(("settle", spent));
    }

    fn origin(&self, _: &CallScope) -> Origin {
        Origin {
            stage: "plan".to_owned(),
            prompt_version: "v3".to_owned(),
            ..Origin::default()
        }
    }
}

/// `mock` at a dollar for a million of tokens, and `far`, that nobody serves on the premises.
fn config() -> Config {
    let mut config = Config::default();
    let mut mock = ProviderConfig::new(ProviderKind::Mock);
    mock.on_prem = true;
    mock.scripts = Some("scripts".to_owned());
    config.providers.insert("mock".to_owned(), mock);
    let price: PriceConfig = serde_json::from_str(r#"{"input":1.0,"output":1.0}"#).unwrap();
    config.prices.insert("mock/*".to_owned(), price);
    config
}

fn setup(purse: &Arc<Purse>, scripts: &[(&str, &str)]) -> (Call, HostState) {
    let mut grants = Grants::default();
    grants.model.allow = vec!["mock/*".into()];
    grants.model.tokens = 100_000;
    grants.model.micro_usd = 1_000_000;
    let model = Model::new(ModelServices {
        gateway: gateway(config(), scripts),
        spending: purse.clone(),
        redact: true,
    });
    let call = Call::granted(grants);
    let store = call.store(&model);
    (call, store)
}

fn prompt(model: &str, content: &str) -> wit::Prompt {
    wit::Prompt {
        model: model.to_owned(),
        turns: vec![wit::Turn {
            speaker: wit::Speaker::User,
            content: content.to_owned(),
            tool_calls: Vec::new(),
            answers: String::new(),
        }],
        tools: Vec::new(),
        answer_schema: String::new(),
        temperature: -1.0,
        max_tokens: 64,
        seed: String::new(),
        stop: Vec::new(),
    }
}

async fn ask(store: &mut HostState, prompt: wit::Prompt) -> Result<wit::Completion, types::Error> {
    (&mut &mut *store).complete(prompt).await.unwrap()
}

fn text(fact: &Fact, name: &str) -> String {
    match fact.fields.get(name) {
        Some(Value::Text(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn denies_a_model_outside_the_grant_with_a_record_and_asks_nobody() {
    let purse = Purse::of(1_000_000);
    let (call, mut store) = setup(&purse, &[]);
    for model in ["openai/gpt", "mock", "", "mock/../openai", "mo\u{202e}ck/x"] {
        let denied = ask(&mut store, prompt(model, "hello")).await;
        assert!(matches!(denied, Err(types::Error::Denied(_))), "{model}");
        assert_eq!(call.last("decision"), "deny");
        assert_eq!(call.last("right"), "model.allow");
    }
    assert!(purse.seen().is_empty());
}

#[tokio::test]
async fn refuses_what_the_budget_has_not_left_before_anything_is_asked() {
    let purse = Purse::of(10);
    let (call, mut store) = setup(&purse, &[]);
    let refused = ask(&mut store, prompt("mock/m", "hello")).await;
    let Err(types::Error::Limit(limit)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (limit.name.as_str(), limit.allowed.as_str()),
        ("tokens", "10")
    );
    let facts = call.facts();
    assert_eq!(facts.len(), 1, "no intent: {facts:?}");
    assert_eq!(facts[0].kind, Kind::Budget);
    assert_eq!(text(&facts[0], "event"), "refuse");
    assert_eq!(text(&facts[0], "whose"), "plan");
    assert_eq!(text(&facts[0], "held"), "0");
}

#[tokio::test]
async fn refuses_a_prompt_that_is_none() {
    let purse = Purse::of(1_000_000);
    let (call, mut store) = setup(&purse, &[]);
    let good = || prompt("mock/m", "hello");
    let bad = [
        wit::Prompt {
            turns: Vec::new(),
            ..good()
        },
        wit::Prompt {
            max_tokens: 0,
            ..good()
        },
        wit::Prompt {
            max_tokens: -1,
            ..good()
        },
        wit::Prompt {
            temperature: 2.1,
            ..good()
        },
        wit::Prompt {
            temperature: f64::NAN,
            ..good()
        },
        wit::Prompt {
            seed: "x".to_owned(),
            ..good()
        },
        wit::Prompt {
            answer_schema: "{".to_owned(),
            ..good()
        },
        wit::Prompt {
            stop: vec!["x".to_owned(); 5],
            ..good()
        },
        wit::Prompt {
            tools: vec![wit::ToolSpec {
                name: "t".to_owned(),
                description: String::new(),
                input_schema: "no".to_owned(),
            }],
            ..good()
        },
    ];
    for prompt in bad {
        let shown = format!("{prompt:?}");
        let refused = ask(&mut store, prompt).await;
        assert!(matches!(refused, Err(types::Error::Invalid(_))), "{shown}");
    }
    assert!(purse.seen().is_empty() && call.facts().is_empty());
}

#[tokio::test]
async fn records_intent_and_result_and_settles_what_it_cost() {
    let purse = Purse::of(1_000_000);
    let (call, mut store) = setup(&purse, &[]);
    let answer = ask(&mut store, prompt("mock/m", "hello")).await.unwrap();
    let facts = call.facts();
    let kinds: Vec<_> = facts.iter().map(|fact| fact.kind).collect();
    assert_eq!(kinds, [Kind::ModelIntent, Kind::ModelResult]);
    let (intent, result) = (&facts[0], &facts[1]);
    assert_eq!(text(intent, "rule"), "model.allow[0]");
    assert_eq!(
        (text(intent, "stage"), text(intent, "prompt_version")),
        ("plan".into(), "v3".into())
    );
    assert_eq!(
        (text(result, "intent"), text(result, "status")),
        ("0".into(), "ok".into())
    );
    assert!(
        String::from_utf8(intent.payload.clone().unwrap())
            .unwrap()
            .contains("hello")
    );
    let payload = String::from_utf8(result.payload.clone().unwrap()).unwrap();
    assert!(payload.contains(&answer.content), "{payload}");
    let seen = purse.seen();
    let used = u64::try_from(answer.usage.prompt_tokens + answer.usage.completion_tokens).unwrap();
    // A dollar for a million of tokens: as many micro-dollars as tokens.
    let spent = Left {
        tokens: used,
        micro_usd: used,
    };
    assert_eq!(seen[1], ("settle", spent));
    assert!(seen[0].1.tokens >= used, "less was held than spent");
    assert_eq!(text(result, "micro_usd"), used.to_string());
}

#[tokio::test]
async fn keys_and_addresses_reach_neither_the_model_nor_the_guest_nor_the_ledger() {
    let purse = Purse::of(1_000_000);
    let scripts = [("scripts/plan/p.md", "ask ann@example.org")];
    let (call, mut store) = setup(&purse, &scripts);
    let answer = ask(&mut store, prompt("mock/m", "bob@example.org says hello")).await;
    let answer = answer.unwrap();
    assert_eq!(answer.content, "ask [redacted:email]");
    for fact in call.facts() {
        let payload = String::from_utf8(fact.payload.unwrap()).unwrap();
        assert!(!payload.contains("@example.org"), "{payload}");
        assert!(payload.contains("[redacted:email]"), "{payload}");
    }
    assert_eq!(text(&call.facts()[0], "redacted"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_stopped_is_booked_with_what_it_held_and_has_its_result() {
    let purse = Purse::of(1_000_000);
    let mut slow = config();
    slow.providers.get_mut("mock").unwrap().latency = Some("5s".to_owned());
    let model = Model::new(ModelServices {
        gateway: gateway(slow, &[]),
        spending: purse.clone(),
        redact: false,
    });
    let mut grants = Grants::default();
    grants.model.allow = vec!["mock/*".into()];
    let call = Call::granted(grants);
    let mut store = call.store(&model);
    let asking = ask(&mut store, prompt("mock/m", "hello"));
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(1), asking).await;
    assert!(stopped.is_err());
    let seen = purse.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].1, seen[1].1, "what was held is booked");
    let facts = call.facts();
    assert_eq!(facts.len(), 2);
    assert_eq!(
        (text(&facts[1], "status"), text(&facts[1], "class")),
        ("error".into(), "cut".into())
    );
    assert_eq!(text(&facts[1], "estimated"), "true");
    assert_eq!(text(&facts[1], "owner"), "limit");
    assert_eq!(
        text(&facts[1], "prompt_tokens"),
        "None",
        "nobody counted but us"
    );
    assert_ne!(text(&facts[1], "counted_prompt_tokens"), "None");
}

#[tokio::test]
async fn embeds_texts_under_the_same_rules() {
    let purse = Purse::of(1_000_000);
    let (call, mut store) = setup(&purse, &[]);
    let mut store = &mut store;
    let denied = store
        .embed("openai/e".into(), vec!["a".into()])
        .await
        .unwrap();
    assert!(matches!(denied, Err(types::Error::Denied(_))));
    let many = vec![String::new(); super::prompt::TEXTS_MAX + 1];
    let refused = store.embed("mock/e".into(), many).await.unwrap();
    assert!(matches!(refused, Err(types::Error::Invalid(_))));
    let made = store
        .embed("mock/e".into(), vec!["a".into(), "b".into()])
        .await;
    let made = made.unwrap().unwrap();
    assert_eq!(made.vectors.len(), 2);
    assert_eq!(call.last("operation"), "embed");
}

#[test]
fn no_grant_links_nothing() {
    let purse = Purse::of(1);
    let services = super::testing::services(purse);
    let model = Model::new(services);
    assert!(
        !model
            .capability()
            .granted(&flowhost_policy::Effective::default())
    );
}
