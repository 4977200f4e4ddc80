//! What reaches an agent's mailbox and what does not, without an agent.

use flowhost_ledger::MemoryRecorder;
use serde_json::json;

use super::*;
use crate::calls::channel::Channel;
use crate::calls::desk::Recording;
use crate::standin::testing::{RUN, envelope, machinery, purse, scope};

/// The reader of an agent, and the ledger of its run.
fn reader(key: &str) -> (Reader, Arc<MemoryRecorder>) {
    let ledger = Arc::new(MemoryRecorder::default());
    let scope = scope(ledger.clone());
    let recording = Recording::new(ledger.clone(), scope.own_calls.clone(), purse());
    let channel = Channel::of(&scope, 0);
    let worker = Worker::new(scope, channel, &machinery(), Arc::new(recording));
    (Reader::alone(&worker, key, "news.>"), ledger)
}

fn message(sender: &str, waiting: &[&str]) -> Envelope {
    let payload = json!({
        "topic": "news.today", "payload": "{}", "waiting": waiting, "root": "1",
    });
    envelope(sender, MESSAGE, payload)
}

#[tokio::test]
async fn an_agent_hears_another_of_its_plan_and_not_itself() {
    let (ann, _) = reader("ann");
    assert!(ann.wanted(&message("ann", &[])).is_none());
    let heard = ann.wanted(&message("bob", &[])).unwrap();
    assert_eq!(heard.topic, "news.today");
}

#[tokio::test]
async fn an_agent_hears_nobody_of_another_plan_whatever_the_name() {
    let (ann, _) = reader("inner.yaml::ann");
    for foreign in ["bob", "ann", "other.yaml::bob"] {
        assert!(ann.wanted(&message(foreign, &[])).is_none(), "{foreign}");
    }
    assert!(ann.wanted(&message("inner.yaml::bob", &[])).is_some());
}

/// It would wait for an answer of somebody who waits for its own.
#[tokio::test]
async fn an_agent_that_is_waited_for_is_not_asked_by_who_waits() {
    let (ann, _) = reader("ann");
    assert!(ann.wanted(&message("bob", &["ann", "bob"])).is_none());
    assert!(ann.wanted(&message("bob", &["bob"])).is_some());
}

#[tokio::test]
async fn what_is_no_message_of_a_plugin_is_not_read() {
    let (ann, _) = reader("ann");
    let said = message("bob", &[]).payload().unwrap().clone();
    let order = envelope("bob", "step.start", said);
    assert!(ann.wanted(&order).is_none(), "another kind");
    let odd = envelope("bob", MESSAGE, json!({ "topic": 7 }));
    assert!(ann.wanted(&odd).is_none(), "another form");
}

#[tokio::test]
async fn what_another_process_of_the_run_had_given_to_an_agent_is_asked_of_the_record() {
    let message = message("bob", &[]);
    for (before, knows) in [(0, false), (1, true)] {
        let ledger = Arc::new(MemoryRecorder::default());
        let scope = scope(ledger.clone());
        let recording = Recording::new(ledger, scope.own_calls.clone(), purse());
        let read = [(("ann".to_owned(), message.id.to_string()), 1)];
        recording.agents_heard(read.into(), []);
        let channel = Channel::of(&scope, before);
        let worker = Worker::new(scope, channel, &machinery(), Arc::new(recording));
        assert_eq!(
            Reader::alone(&worker, "ann", "news.>").had_read(&message),
            knows
        );
        assert!(!Reader::alone(&worker, "ann", "news.>").had_read(&message));
    }
}

/// Sends an envelope through the bus, and hands the delivery to the reader.
async fn delivered(reader: &Reader, message: Envelope) -> Result<(), Fault> {
    let bus = &reader.worker.bus;
    let pattern = Pattern::topics("default", RUN, "news.>").unwrap();
    let options = SubscribeOptions {
        group: "ann news.>".to_owned(),
        messages_max: 1,
        deliveries_max: 1,
    };
    let mut mailbox = bus.subscribe(pattern, options).await.unwrap();
    let subject = Subject::topic("default", RUN, "news.today").unwrap();
    bus.try_publish(&subject, Arc::new(message)).await.unwrap();
    reader.deliver(mailbox.next().await.unwrap()).await
}

#[tokio::test]
async fn what_is_not_for_an_agent_is_taken_out_of_its_mailbox_and_leaves_no_record() {
    let (ann, ledger) = reader("ann");
    delivered(&ann, message("ann", &[])).await.unwrap();
    assert!(ledger.facts().is_empty(), "nobody was called");
    assert_eq!(ann.delivered.load(Relaxed), 0, "and nothing is counted");
}

#[tokio::test]
async fn a_message_for_an_agent_that_is_gone_is_no_call_either() {
    let (ann, ledger) = reader("ann");
    let fault = delivered(&ann, message("bob", &[])).await.unwrap_err();
    assert!(fault.to_string().contains("`ann` is gone"), "{fault}");
    assert!(ledger.facts().is_empty());
}

#[tokio::test]
async fn a_run_without_agents_opens_no_mailbox() {
    let (ann, _) = reader("ann");
    let mut mailboxes = Mailboxes::open(&ann.worker).await.unwrap();
    assert!(mailboxes.readers.is_empty());
    mailboxes.close().await;
}
