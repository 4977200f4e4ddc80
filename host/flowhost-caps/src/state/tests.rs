//! What `state` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use cap_std::{ambient_authority, fs::Dir};
use flowhost_engine::{Provider, bindings::types};
use flowhost_ledger::records::Asked;
use flowhost_ledger::{Fact, LedgerError, MemoryRecorder, Recorder};
use flowhost_policy::Grants;
use serde_json::json;
use tempfile::TempDir;

use super::host::wit::Host as _;
use super::{Entry, Expected, FolderStore, KEY_BYTES_MAX, Slot, State, StateError, StateStore};
use crate::testing::Call;

fn folder(temporary: &TempDir) -> FolderStore {
    FolderStore::new(dir(temporary))
}

fn dir(temporary: &TempDir) -> Dir {
    Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap()
}

fn slot(tenant: &str, plugin: &str, namespace: &str) -> Slot {
    Slot {
        tenant: tenant.into(),
        plugin: plugin.into(),
        namespace: namespace.into(),
    }
}

fn notes() -> Slot {
    slot("default", "p", "notes")
}

fn call(bytes: u64) -> Call {
    let mut grants = Grants::default();
    grants.state.namespaces = vec!["notes".into()];
    grants.state.bytes = bytes;
    Call::granted(grants)
}

async fn put(
    store: &FolderStore,
    slot: &Slot,
    key: &str,
    value: &str,
    expected: Expected,
) -> Option<u64> {
    store
        .put(slot, key, value.into(), expected, 1_000)
        .await
        .unwrap()
}

async fn value(store: &FolderStore, slot: &Slot, key: &str) -> Option<String> {
    let entry = store.get(slot, key).await.unwrap();
    entry.map(|entry| String::from_utf8(entry.value).unwrap())
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let temporary = TempDir::new().unwrap();
    let call = Call::granted(Grants::default());
    assert!(
        !State::new(Arc::new(folder(&temporary)))
            .capability()
            .granted(&call.scope.effective)
    );
}

#[tokio::test]
async fn denies_another_namespace_and_odd_names_and_touches_nothing() {
    let temporary = TempDir::new().unwrap();
    let call = call(1_000);
    let mut store = call.store(&State::new(Arc::new(folder(&temporary))));
    for namespace in ["other", "*", "", "..", "notes/..", "notes\0", "Notes"] {
        let denied = (&mut &mut store)
            .set(namespace.into(), "k".into(), vec![1])
            .await;
        assert!(
            matches!(denied.unwrap(), Err(types::Error::Denied(_))),
            "{namespace}"
        );
        let denied = (&mut &mut store).get(namespace.into(), "k".into()).await;
        assert!(
            matches!(denied.unwrap(), Err(types::Error::Denied(_))),
            "{namespace}"
        );
        assert_eq!(call.last("decision"), "deny");
    }
    assert_eq!(dir(&temporary).entries().unwrap().count(), 0);
}

#[tokio::test]
async fn refuses_a_key_that_is_empty_or_too_long() {
    let temporary = TempDir::new().unwrap();
    let mut store = call(1_000).store(&State::new(Arc::new(folder(&temporary))));
    for key in [String::new(), "k".repeat(KEY_BYTES_MAX + 1)] {
        let refused = (&mut &mut store).set("notes".into(), key, vec![1]).await;
        assert!(matches!(refused.unwrap(), Err(types::Error::Invalid(_))));
    }
    let longest = "ü".repeat(KEY_BYTES_MAX / 2);
    let set = (&mut &mut store)
        .set("notes".into(), longest, vec![1])
        .await;
    assert!(set.unwrap().is_ok());
}

#[tokio::test]
async fn the_quota_counts_keys_and_values_and_a_refused_write_changes_nothing() {
    let temporary = TempDir::new().unwrap();
    let call = call(10);
    let mut store = call.store(&State::new(Arc::new(folder(&temporary))));
    let mut store = &mut store;
    store
        .set("notes".into(), "k".into(), vec![1; 9])
        .await
        .unwrap()
        .unwrap();
    let over = store
        .set("notes".into(), "k".into(), vec![2; 10])
        .await
        .unwrap();
    let Err(types::Error::Limit(limit)) = over else {
        panic!("{over:?}");
    };
    assert_eq!(
        (limit.name.as_str(), limit.used.as_str()),
        ("state.bytes", "11")
    );
    let kept = store
        .get("notes".into(), "k".into())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(kept.value, vec![1; 9]);
    assert!(
        store
            .delete("notes".into(), "k".into())
            .await
            .unwrap()
            .unwrap()
    );
    assert!(
        store
            .set("notes".into(), "l".into(), vec![2; 9])
            .await
            .unwrap()
            .is_ok()
    );
}

#[tokio::test]
async fn records_every_access_with_rule_and_payload() {
    let temporary = TempDir::new().unwrap();
    let call = call(1_000);
    let mut store = call.store(&State::new(Arc::new(folder(&temporary))));
    let mut store = &mut store;
    store
        .set("notes".into(), "k".into(), b"v".to_vec())
        .await
        .unwrap()
        .unwrap();
    store
        .get("notes".into(), "k".into())
        .await
        .unwrap()
        .unwrap();
    store
        .list("notes".into(), String::new())
        .await
        .unwrap()
        .unwrap();
    store
        .delete("notes".into(), "k".into())
        .await
        .unwrap()
        .unwrap();
    let facts = call.facts();
    let wanted: Vec<_> = facts
        .iter()
        .map(|fact| crate::testing::field(fact, "wanted"))
        .collect();
    for (fact, verb) in wanted.iter().zip(["set", "get", "list", "delete"]) {
        assert!(fact.contains(&format!("{verb} notes/")), "{fact}");
    }
    let lines = facts.iter().map(|fact| format!("{:?}", fact.fields));
    assert!(
        lines.into_iter().all(|line| !line.contains("notes/")),
        "a key is the guest's word"
    );
    let read = Asked::of_payload(facts[1].payload.as_deref().unwrap()).unwrap();
    let told = &read.answer.unwrap()["Ok"];
    assert_eq!(
        (&told["value"], &told["revision"]),
        (&json!("v"), &json!("1"))
    );
    let written = call.answers();
    assert_eq!(written.len(), 2, "of the write and of the deletion");
    assert_eq!(written[0].answer, Some(json!({ "Ok": "1" })));
    assert_eq!(call.last("rule"), "state.namespaces[0]");
}

#[tokio::test]
async fn swaps_only_what_is_still_as_expected() {
    let temporary = TempDir::new().unwrap();
    let mut store = call(1_000).store(&State::new(Arc::new(folder(&temporary))));
    let mut store = &mut store;
    let mut swap = async |expected: &str, value: &str| {
        let (expected, value) = (expected.to_owned(), value.as_bytes().to_vec());
        store
            .compare_and_swap("notes".into(), "k".into(), expected, value)
            .await
            .unwrap()
    };
    let first = swap("", "one").await.unwrap().unwrap();
    assert_eq!(swap("", "two").await.unwrap(), None);
    let second = swap(&first, "two").await.unwrap().unwrap();
    assert_eq!(swap(&first, "three").await.unwrap(), None);
    assert!(swap(&second, "three").await.unwrap().is_some());
    assert!(matches!(
        swap("x", "y").await,
        Err(types::Error::Invalid(_))
    ));
}

#[tokio::test]
async fn survives_the_process_and_never_uses_a_revision_twice() {
    let temporary = TempDir::new().unwrap();
    let first = {
        let store = folder(&temporary);
        put(&store, &notes(), "k", "one", Expected::Any).await;
        let last = put(&store, &notes(), "gone", "two", Expected::Any)
            .await
            .unwrap();
        assert!(store.delete(&notes(), "gone").await.unwrap());
        last
    };
    let store = folder(&temporary);
    assert_eq!(value(&store, &notes(), "k").await.as_deref(), Some("one"));
    assert_eq!(value(&store, &notes(), "gone").await, None);
    let later = put(&store, &notes(), "gone", "three", Expected::Absent)
        .await
        .unwrap();
    assert!(later > first, "{later} after {first}");
    let stale = put(&store, &notes(), "gone", "four", Expected::Revision(first)).await;
    assert_eq!(stale, None);
}

#[tokio::test]
async fn tenants_plugins_and_namespaces_do_not_meet() {
    let temporary = TempDir::new().unwrap();
    let store = folder(&temporary);
    let slots = [
        notes(),
        slot("other", "p", "notes"),
        slot("default", "q", "notes"),
        slot("default", "p", "more"),
        slot("default", "p/notes", "x"),
        slot("..", "..", ".."),
        slot("default", "P", "notes"),
        slot("default", &"/".repeat(100), "notes"),
        slot("default", &"/".repeat(101), "notes"),
    ];
    for (n, slot) in slots.iter().enumerate() {
        put(&store, slot, "k", &n.to_string(), Expected::Absent)
            .await
            .unwrap();
    }
    for (n, slot) in slots.iter().enumerate() {
        assert_eq!(value(&store, slot, "k").await, Some(n.to_string()));
    }
    assert_eq!(dir(&temporary).entries().unwrap().count(), 3);
}

#[tokio::test]
async fn a_write_that_was_cut_leaves_the_old_value_and_foreign_files_are_refused() {
    let temporary = TempDir::new().unwrap();
    put(&folder(&temporary), &notes(), "k", "one", Expected::Any).await;
    let place = dir(&temporary).open_dir("default/p/notes").unwrap();
    place.write("pending", b"torn").unwrap();
    let store = folder(&temporary);
    assert_eq!(value(&store, &notes(), "k").await.as_deref(), Some("one"));
    assert!(!place.exists("pending"));
    place.write("passwd", b"12345678").unwrap();
    let refused = folder(&temporary).get(&notes(), "k").await;
    assert!(matches!(refused, Err(StateError::Storage(_))));
}

#[tokio::test]
async fn lists_by_prefix_sorted() {
    let temporary = TempDir::new().unwrap();
    let store = folder(&temporary);
    for key in ["b/2", "a", "b/1", "c", "B/1"] {
        put(&store, &notes(), key, "v", Expected::Any).await;
    }
    assert_eq!(store.list(&notes(), "b/").await.unwrap(), ["b/1", "b/2"]);
    assert_eq!(store.list(&notes(), "").await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_swaps_at_once_one_wins() {
    let temporary = TempDir::new().unwrap();
    let store = Arc::new(folder(&temporary));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                put(&store, &notes(), "k", &n.to_string(), Expected::Absent).await
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += usize::from(task.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
}

/// Knows whether its last record is on disk.
#[derive(Default)]
struct Durable(MemoryRecorder, AtomicBool);

impl Recorder for Durable {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        self.1.store(false, Ordering::Relaxed);
        self.0.append(fact)
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        self.1.store(true, Ordering::Relaxed);
        self.0.durable(seq)
    }
}

/// Writes nothing that is not on record.
struct Watchful(Arc<Durable>);

#[async_trait]
impl StateStore for Watchful {
    async fn get(&self, _: &Slot, _: &str) -> Result<Option<Entry>, StateError> {
        Ok(None)
    }

    async fn put(
        &self,
        _: &Slot,
        _: &str,
        _: Vec<u8>,
        _: Expected,
        _: u64,
    ) -> Result<Option<u64>, StateError> {
        assert!(self.0.1.load(Ordering::Relaxed), "not on disk yet");
        Ok(Some(1))
    }

    async fn delete(&self, _: &Slot, _: &str) -> Result<bool, StateError> {
        assert!(self.0.1.load(Ordering::Relaxed), "not on disk yet");
        Ok(true)
    }

    async fn list(&self, _: &Slot, _: &str) -> Result<Vec<String>, StateError> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn nothing_is_written_before_its_record_is_on_disk() {
    let recorder = Arc::new(Durable::default());
    let mut call = call(1_000);
    call.scope.run.recorder = recorder.clone();
    let mut store = call.store(&State::new(Arc::new(Watchful(recorder))));
    let set = (&mut &mut store)
        .set("notes".into(), "k".into(), vec![1])
        .await;
    assert!(set.unwrap().is_ok());
    let gone = (&mut &mut store).delete("notes".into(), "k".into()).await;
    assert!(gone.unwrap().is_ok());
}
