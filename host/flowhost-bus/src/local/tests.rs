//! The local bus as its users see it: bounds, redelivery, dedupe and answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use ulid::Ulid;

use super::{LocalBus, LocalConfig};
use crate::{Bus, BusError, Envelope, Head, Pattern, Subject, SubscribeOptions};

const SOON: Duration = Duration::from_millis(200);

fn head(id: u128) -> Head {
    Head {
        id: Ulid::from_parts(1, id),
        tenant: "default".into(),
        run: "R".into(),
        step: "s".into(),
        actor: "default/host".into(),
        correlation: String::new(),
        causation: String::new(),
        traceparent: String::new(),
        kind: "message".into(),
    }
}

fn envelope(id: u128, payload: Value) -> Arc<Envelope> {
    Arc::new(head(id).seal(payload).unwrap())
}

fn subject(names: &[&str]) -> Subject {
    Subject::of("default", "R", names).unwrap()
}

fn pattern(rest: &str) -> Pattern {
    Pattern::of("default", "R", rest).unwrap()
}

fn bus() -> LocalBus {
    LocalBus::new(LocalConfig::default())
}

fn group(name: &str, messages_max: usize) -> SubscribeOptions {
    SubscribeOptions {
        group: name.into(),
        messages_max,
        deliveries_max: 3,
    }
}

#[tokio::test]
async fn msg_005_refuses_a_known_id_with_another_payload() {
    let bus = bus();
    let to = subject(&["a"]);
    let mut reader = bus
        .subscribe(pattern("a"), SubscribeOptions::default())
        .await
        .unwrap();
    bus.publish(&to, envelope(1, json!(1))).await.unwrap();
    let second = bus.publish(&to, envelope(1, json!(2))).await;
    assert!(matches!(second, Err(BusError::Conflict { .. })));
    let delivery = reader.next().await.unwrap();
    assert_eq!(delivery.envelope.payload().unwrap(), &json!(1));
    delivery.ack().await.unwrap();
    assert!(tokio::time::timeout(SOON, reader.next()).await.is_err());
}

#[tokio::test]
async fn refuses_a_known_id_on_another_subject() {
    let bus = bus();
    bus.publish(&subject(&["a"]), envelope(1, json!(1)))
        .await
        .unwrap();
    let second = bus.publish(&subject(&["b"]), envelope(1, json!(1))).await;
    assert!(matches!(second, Err(BusError::Conflict { .. })));
}

#[tokio::test]
async fn refuses_an_envelope_on_a_subject_of_another_run_or_tenant() {
    let bus = bus();
    for (tenant, run) in [("default", "R2"), ("other", "R"), ("defaul", "t.R")] {
        let to = Subject::of(tenant, run, &["a"]).unwrap();
        let sent = bus.publish(&to, envelope(1, json!(1))).await;
        assert!(matches!(sent, Err(BusError::Misplaced { .. })), "{to}");
    }
}

#[tokio::test]
async fn msg_004_delivers_the_same_envelope_once() {
    let bus = bus();
    let to = subject(&["a"]);
    let mut reader = bus
        .subscribe(pattern("a"), SubscribeOptions::default())
        .await
        .unwrap();
    assert!(
        !bus.publish(&to, envelope(1, json!(1)))
            .await
            .unwrap()
            .duplicate
    );
    assert!(
        bus.publish(&to, envelope(1, json!(1)))
            .await
            .unwrap()
            .duplicate
    );
    reader.next().await.unwrap().ack().await.unwrap();
    assert!(tokio::time::timeout(SOON, reader.next()).await.is_err());
}

#[tokio::test]
async fn msg_017_a_full_queue_refuses_and_makes_a_patient_sender_wait() {
    let bus = bus();
    let to = subject(&["a"]);
    let mut reader = bus.subscribe(pattern("a"), group("g", 2)).await.unwrap();
    for id in 0..2 {
        bus.try_publish(&to, envelope(id, json!(id))).await.unwrap();
    }
    let refused = bus.try_publish(&to, envelope(2, json!(2))).await;
    assert!(matches!(refused, Err(BusError::Full { allowed: 2, .. })));

    let waiting = {
        let (bus, to) = (bus.clone(), to.clone());
        tokio::spawn(async move { bus.publish(&to, envelope(2, json!(2))).await })
    };
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    let held = reader.next().await.unwrap();
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished(), "work in hand still takes a place");
    held.ack().await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().queues, 1);
}

#[tokio::test]
async fn msg_017_a_sender_that_gives_up_waiting_sends_nothing_and_may_come_back() {
    let bus = bus();
    let to = subject(&["a"]);
    let mut reader = bus.subscribe(pattern("a"), group("g", 1)).await.unwrap();
    bus.publish(&to, envelope(0, json!(0))).await.unwrap();
    let late = tokio::time::timeout(SOON, bus.publish(&to, envelope(1, json!(1)))).await;
    assert!(late.is_err());
    reader.next().await.unwrap().ack().await.unwrap();
    let again = bus.publish(&to, envelope(1, json!(1))).await.unwrap();
    assert!(!again.duplicate);
}

#[tokio::test]
async fn msg_017_messages_to_a_sleeping_reader_hold_only_the_bound() {
    let bus = LocalBus::new(LocalConfig {
        dedupe_window: 100,
        ..LocalConfig::default()
    });
    let to = subject(&["a"]);
    let _reader = bus.subscribe(pattern("a"), group("g", 8)).await.unwrap();
    let first = envelope(0, json!("x"));
    let weak = Arc::downgrade(&first);
    bus.try_publish(&to, first).await.unwrap();
    let mut refused = 0_u32;
    for id in 1..20_000_u128 {
        let next = envelope(id, json!("x"));
        let sent = bus.try_publish(&to, next).await;
        refused += u32::from(matches!(sent, Err(BusError::Full { .. })));
    }
    assert_eq!(refused, 20_000 - 8);
    assert_eq!(weak.strong_count(), 1, "what was taken is kept, not copied");
}

#[tokio::test]
async fn a_queue_is_bounded_in_bytes_too() {
    let bus = LocalBus::new(LocalConfig {
        queue_bytes_max: 1_000,
        ..LocalConfig::default()
    });
    let to = subject(&["a"]);
    let _reader = bus
        .subscribe(pattern("a"), SubscribeOptions::default())
        .await
        .unwrap();
    let large = envelope(1, json!("x".repeat(2_000)));
    let sent = bus.publish(&to, large).await;
    assert!(matches!(
        sent,
        Err(BusError::TooLarge { allowed: 1_000, .. })
    ));
    let half = |id| envelope(id, json!("x".repeat(500)));
    bus.try_publish(&to, half(2)).await.unwrap();
    let sent = bus.try_publish(&to, half(3)).await;
    assert!(matches!(sent, Err(BusError::Full { allowed: 1_000, .. })));
}

#[tokio::test]
async fn refuses_more_queues_than_allowed_and_frees_those_that_nobody_reads() {
    let bus = LocalBus::new(LocalConfig {
        queues_max: 1,
        ..LocalConfig::default()
    });
    let first = bus
        .subscribe(pattern("a"), SubscribeOptions::default())
        .await
        .unwrap();
    let second = bus
        .subscribe(pattern("b"), SubscribeOptions::default())
        .await;
    assert!(matches!(second, Err(BusError::Exhausted { .. })));
    drop(first);
    assert_eq!(bus.queues(), 0);
    assert!(
        bus.subscribe(pattern("b.>"), SubscribeOptions::default())
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_sender_does_not_wait_for_readers_that_left() {
    let bus = bus();
    let to = subject(&["a"]);
    let reader = bus.subscribe(pattern("a"), group("g", 1)).await.unwrap();
    bus.publish(&to, envelope(0, json!(0))).await.unwrap();
    let waiting = {
        let (bus, to) = (bus.clone(), to.clone());
        tokio::spawn(async move { bus.publish(&to, envelope(1, json!(1))).await })
    };
    tokio::task::yield_now().await;
    drop(reader);
    assert_eq!(waiting.await.unwrap().unwrap().queues, 0);
}

#[tokio::test]
async fn a_group_shares_a_queue_and_others_get_their_own_copy() {
    let bus = bus();
    let mut one = bus.subscribe(pattern("*"), group("g", 8)).await.unwrap();
    let mut two = bus.subscribe(pattern("*"), group("g", 8)).await.unwrap();
    let mut other = bus.subscribe(pattern("a"), group("h", 8)).await.unwrap();
    let to = subject(&["a"]);
    for id in 0..2 {
        let receipt = bus.publish(&to, envelope(id, json!(id))).await.unwrap();
        assert_eq!(receipt.queues, 2);
    }
    let first = one.next().await.unwrap();
    let second = two.next().await.unwrap();
    assert_ne!(first.envelope.id, second.envelope.id);
    for id in 0..2 {
        let delivery = other.next().await.unwrap();
        assert_eq!(
            delivery.envelope.payload().unwrap(),
            &json!(id),
            "order is kept"
        );
        delivery.ack().await.unwrap();
    }
}

#[tokio::test]
async fn msg_006_what_is_dropped_unacknowledged_comes_again_first() {
    let bus = bus();
    let to = subject(&["a"]);
    let mut reader = bus.subscribe(pattern("a"), group("g", 8)).await.unwrap();
    for id in 0..2 {
        bus.publish(&to, envelope(id, json!(id))).await.unwrap();
    }
    drop(reader.next().await.unwrap());
    let again = reader.next().await.unwrap();
    assert_eq!(
        (again.attempt, again.envelope.payload().unwrap()),
        (2, &json!(0))
    );
    again.progress().await.unwrap();
    again.ack().await.unwrap();
    assert_eq!(
        reader.next().await.unwrap().envelope.payload().unwrap(),
        &json!(1)
    );
}

#[tokio::test]
async fn msg_008_sets_a_poison_message_aside_and_goes_on() {
    let bus = bus();
    let to = subject(&["a"]);
    let mut reader = bus.subscribe(pattern("a"), group("g", 1)).await.unwrap();
    bus.publish(&to, envelope(0, json!("poison")))
        .await
        .unwrap();
    for attempt in 1..=3 {
        assert_eq!(reader.next().await.unwrap().attempt, attempt);
    }
    // The queue takes one at a time: there is room again.
    bus.try_publish(&to, envelope(1, json!("fine")))
        .await
        .unwrap();
    assert_eq!(
        reader.next().await.unwrap().envelope.payload().unwrap(),
        &json!("fine")
    );
}

#[tokio::test]
async fn a_request_without_listener_fails_at_once() {
    let asked = bus()
        .request(&subject(&["a"]), envelope(1, json!(1)), SOON)
        .await;
    assert!(matches!(asked, Err(BusError::NoListener { .. })));
}

#[tokio::test]
async fn a_request_ends_at_its_timeout_and_its_late_answer_is_refused() {
    let bus = bus();
    let mut reader = bus.subscribe(pattern("a"), group("g", 8)).await.unwrap();
    let asked = bus
        .request(&subject(&["a"]), envelope(1, json!(1)), SOON)
        .await;
    assert!(matches!(
        asked,
        Err(BusError::Timeout { waited_ms: 200, .. })
    ));
    let delivery = reader.next().await.unwrap();
    let answer = answer_to(&delivery.envelope);
    assert_eq!(delivery.answer(answer).await, Err(BusError::NotAsked));
}

#[tokio::test]
async fn a_request_whose_readers_all_fail_ends_before_its_timeout() {
    let bus = bus();
    let mut reader = bus.subscribe(pattern("a"), group("g", 8)).await.unwrap();
    let asking = {
        let bus = bus.clone();
        let hour = Duration::from_secs(3_600);
        tokio::spawn(async move {
            bus.request(&subject(&["a"]), envelope(1, json!(1)), hour)
                .await
        })
    };
    reader.next().await.unwrap().ack().await.unwrap();
    let asked = asking.await.unwrap();
    assert!(matches!(asked, Err(BusError::Unanswered { .. })));
}

#[tokio::test]
async fn a_request_gets_the_answer_that_names_it_as_cause() {
    let bus = bus();
    let mut reader = bus.subscribe(pattern("a"), group("g", 8)).await.unwrap();
    let asking = {
        let bus = bus.clone();
        tokio::spawn(async move {
            bus.request(&subject(&["a"]), envelope(1, json!(1)), SOON * 20)
                .await
        })
    };
    let delivery = reader.next().await.unwrap();
    assert!(delivery.wants_answer());
    let forged = delivery.answer(envelope(9, json!("forged"))).await;
    assert!(matches!(forged, Err(BusError::WrongCause { .. })));
    let delivery = reader.next().await.unwrap();
    let answer = answer_to(&delivery.envelope);
    delivery.answer(answer).await.unwrap();
    let answer = asking.await.unwrap().unwrap();
    assert_eq!(answer.payload().unwrap(), &json!("pong"));
    let again = bus
        .request(&subject(&["a"]), envelope(1, json!(1)), SOON)
        .await;
    assert!(matches!(again, Err(BusError::Repeated { .. })));
}

fn answer_to(request: &Envelope) -> Arc<Envelope> {
    let id = Ulid::from_parts(2, 2);
    let head = Head::answer(request, id, "default/b", "answer");
    Arc::new(head.seal(json!("pong")).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_senders_and_readers_lose_nothing_and_repeat_nothing() {
    let bus = bus();
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = bus.subscribe(pattern("w.>"), group("g", 4)).await.unwrap();
        readers.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Ok(delivery) = tokio::time::timeout(SOON, reader.next()).await {
                let delivery = delivery.unwrap();
                seen.push(delivery.envelope.id);
                delivery.ack().await.unwrap();
            }
            seen
        }));
    }
    let mut senders = Vec::new();
    for sender in 0..4_u128 {
        let bus = bus.clone();
        senders.push(tokio::spawn(async move {
            for n in 0..500 {
                let to = subject(&["w", &n.to_string()]);
                let envelope = envelope(sender << 64 | n, json!(n));
                bus.publish(&to, envelope).await.unwrap();
            }
        }));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let mut seen = Vec::new();
    for reader in readers {
        seen.extend(reader.await.unwrap());
    }
    assert_eq!(seen.len(), 2_000);
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 2_000);
}
