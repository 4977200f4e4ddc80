//! What `messaging` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;
use std::time::Duration;

use flowhost_bus::{
    Bus, Head, LocalBus, LocalConfig, Pattern, SubscribeOptions, Subscription, Ulid,
};
use flowhost_engine::{CallScope, HostState, Provider, bindings::types};
use flowhost_ledger::Value;
use flowhost_policy::Grants;

use super::host::wit::Host as _;
use super::{MESSAGE, Mailboxes, MessagePayload, Messaging, REPLY};
use crate::testing::Call;

/// Every topic `agents.<name>.in` is read by `<name>`.
struct ByName;

impl Mailboxes for ByName {
    fn readers(&self, _caller: &CallScope, topic: &str) -> Vec<String> {
        topic
            .split('.')
            .nth(1)
            .map(ToOwned::to_owned)
            .into_iter()
            .collect()
    }
}

type Sent<T> = Result<T, types::Error>;

struct World {
    bus: LocalBus,
    messaging: Messaging,
}

fn world() -> World {
    let bus = LocalBus::new(LocalConfig::default());
    let messaging = Messaging::new(Arc::new(bus.clone()), Arc::new(ByName));
    World { bus, messaging }
}

impl World {
    async fn mailbox(&self, topic: &str, messages_max: usize) -> Box<dyn Subscription> {
        let pattern = Pattern::topics("default", "01RUN", topic).unwrap();
        let options = SubscribeOptions {
            messages_max,
            ..SubscribeOptions::default()
        };
        self.bus.subscribe(pattern, options).await.unwrap()
    }
}

fn call() -> Call {
    let mut grants = Grants::default();
    grants.messages.publish = vec!["agents.*.in".into()];
    Call::granted(grants)
}

async fn publish(mut store: &mut HostState, topic: &str, payload: &str) -> Sent<String> {
    let sent = store.publish(topic.to_owned(), "c1".to_owned(), payload.to_owned());
    sent.await.unwrap()
}

async fn request(mut store: &mut HostState, topic: &str, timeout_ms: f64) -> Sent<types::Message> {
    let asked = store.request(topic.to_owned(), "1".to_owned(), timeout_ms);
    asked.await.unwrap()
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let call = Call::granted(Grants::default());
    assert!(
        !world()
            .messaging
            .capability()
            .granted(&call.scope.effective)
    );
}

#[tokio::test]
async fn msg_014_denies_topics_outside_the_grant_and_wildcards_from_guests() {
    let world = world();
    let call = call();
    let mut everything = world.mailbox(">", 10).await;
    let mut store = call.store(&world.messaging);
    let mut store = &mut store;
    for topic in [
        "agents.b.out",
        "agents.*.in",
        ">",
        "",
        "agents..in",
        "agents.b c.in",
        "a\0",
    ] {
        let denied = store
            .publish(topic.into(), String::new(), "1".into())
            .await
            .unwrap();
        assert!(matches!(denied, Err(types::Error::Denied(_))), "{topic}");
        let denied = store.request(topic.into(), "1".into(), 10.0).await.unwrap();
        assert!(matches!(denied, Err(types::Error::Denied(_))), "{topic}");
        assert_eq!(call.last("decision"), "deny");
        assert_eq!(call.last("right"), "messages.publish");
    }
    let nothing = tokio::time::timeout(Duration::from_millis(50), everything.next()).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn refuses_what_is_not_json_or_has_no_canonical_form() {
    let world = world();
    let mut store = call().store(&world.messaging);
    for payload in [
        "",
        "{",
        "{\"a\":1}x",
        "9007199254740993",
        &"[".repeat(10_000),
    ] {
        let sent = publish(&mut store, "agents.b.in", payload).await;
        assert!(
            matches!(sent, Err(types::Error::Invalid(_))),
            "{payload:.20}"
        );
    }
    let mut store = &mut store;
    let control = store.publish("agents.b.in".into(), "a\nb".into(), "1".into());
    assert!(matches!(
        control.await.unwrap(),
        Err(types::Error::Invalid(_))
    ));
}

#[tokio::test]
async fn mcp_030_the_sender_is_the_host_s_word() {
    let world = world();
    let call = call();
    let mut mailbox = world.mailbox("agents.b.in", 10).await;
    let mut store = call.store(&world.messaging);
    let payload = r#"{"sender":"default/admin","waiting":["admin"]}"#;
    let id = publish(&mut store, "agents.b.in", payload).await.unwrap();
    let delivery = mailbox.next().await.unwrap();
    assert_eq!(delivery.envelope.kind, MESSAGE);
    let read = MessagePayload::of(&delivery.envelope).unwrap();
    assert!(read.waiting.is_empty());
    let message = read.into_message(&delivery.envelope);
    assert_eq!(message.sender, "default/p");
    assert_eq!((message.id, message.correlation), (id, "c1".to_owned()));
    assert_eq!(message.payload, payload);
    let rules = call.facts();
    let rule = rules.iter().find_map(|fact| fact.fields.get("rule"));
    assert_eq!(rule.and_then(Value::as_text), Some("messages.publish[0]"));
}

#[tokio::test]
async fn ids_are_unique_in_a_run_and_the_same_in_a_replay() {
    let ids = async || {
        let world = world();
        let mut store = call().store(&world.messaging);
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(publish(&mut store, "agents.b.in", "1").await.unwrap());
        }
        ids
    };
    let first = ids().await;
    assert!(first.is_sorted() && first[0] != first[1] && first[1] != first[2]);
    assert_eq!(first, ids().await);
}

#[tokio::test]
async fn msg_017_tells_the_sender_that_a_mailbox_is_full() {
    let world = world();
    let _mailbox = world.mailbox("agents.b.in", 2).await;
    let mut store = call().store(&world.messaging);
    let mut send = async || publish(&mut store, "agents.b.in", "1").await;
    assert!(send().await.is_ok() && send().await.is_ok());
    let Err(types::Error::Limit(limit)) = send().await else {
        panic!("the mailbox took more than it holds");
    };
    assert_eq!(
        (limit.name.as_str(), limit.allowed.as_str()),
        ("queue", "2")
    );
}

#[tokio::test]
async fn dos_032_refuses_a_request_that_its_own_waiters_would_have_to_answer() {
    let world = world();
    let mut call = call();
    call.scope.callers = Arc::new(["a".into()]);
    let mut mailbox = world.mailbox(">", 10).await;
    let mut store = call.store(&world.messaging);
    for topic in ["agents.a.in", "agents.p.in"] {
        let refused = (&mut &mut store)
            .request(topic.into(), "1".into(), 1_000.0)
            .await;
        let Err(types::Error::Failed(message)) = refused.unwrap() else {
            panic!("{topic} was asked");
        };
        assert!(message.contains("cycle"), "{message}");
        assert_eq!(call.last("rule"), "messages.cycle");
    }
    let nothing = tokio::time::timeout(Duration::from_millis(50), mailbox.next()).await;
    assert!(nothing.is_err());
}

#[tokio::test]
async fn a_request_without_answer_is_transient_and_ends_with_the_call_at_the_latest() {
    let world = world();
    let mut call = call();
    call.scope.deadline = tokio::time::Instant::now() + Duration::from_millis(100);
    let mut store = call.store(&world.messaging);
    let alone = (&mut &mut store)
        .request("agents.b.in".into(), "1".into(), 1e12)
        .await;
    assert!(matches!(alone.unwrap(), Err(types::Error::Transient(_))));
    let _mailbox = world.mailbox("agents.b.in", 10).await;
    let mut store = call.store(&world.messaging);
    let request = request(&mut store, "agents.b.in", 1e12);
    let bounded = tokio::time::timeout(Duration::from_secs(10), request).await;
    assert!(matches!(bounded.unwrap(), Err(types::Error::Transient(_))));
    for timeout in [-1.0, f64::NAN, f64::INFINITY] {
        let odd = (&mut &mut store)
            .request("agents.b.in".into(), "3".into(), timeout)
            .await;
        assert!(
            matches!(odd.unwrap(), Err(types::Error::Invalid(_))),
            "{timeout}"
        );
    }
}

#[tokio::test]
async fn a_request_names_who_waits_and_gets_the_answer_with_its_sender() {
    let world = world();
    let mut call = call();
    call.scope.callers = Arc::new(["outer".into()]);
    let mut mailbox = world.mailbox("agents.b.in", 10).await;
    let worker = tokio::spawn(async move {
        let delivery = mailbox.next().await.unwrap();
        let read = MessagePayload::of(&delivery.envelope).unwrap();
        assert_eq!(read.waiting, ["outer", "p"]);
        let reply = MessagePayload {
            topic: "agents.b.in".into(),
            payload: r#"{"pong":true}"#.to_owned(),
            waiting: Vec::new(),
            root: read.root,
        };
        let payload = serde_json::to_value(reply).unwrap();
        let id = Ulid::from_parts(9, 9);
        let answer = Head::answer(&delivery.envelope, id, "default/b", REPLY);
        delivery
            .answer(Arc::new(answer.seal(payload).unwrap()))
            .await
            .unwrap();
    });
    let mut store = call.store(&world.messaging);
    let answer = (&mut &mut store)
        .request("agents.b.in".into(), "1".into(), 5_000.0)
        .await;
    let answer = answer.unwrap().unwrap();
    assert_eq!(
        (answer.sender.as_str(), answer.payload.as_str()),
        ("default/b", r#"{"pong":true}"#)
    );
    assert_eq!(call.last("sender"), "default/b");
    worker.await.unwrap();
}
