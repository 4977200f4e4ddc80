//! What `log` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flowhost_engine::{Fault, HostState, Provider};
use flowhost_policy::{Grants, Limits};
use zeroize::Zeroizing;

use super::host::wit::{self, Host as _};
use super::{Level, Log, MemoryLog, Stream};
use crate::shared::secret::SecretStore;
use crate::testing::{Call, fault};

struct OneSecret;

impl SecretStore for OneSecret {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        (name == "TOKEN").then(|| Zeroizing::new("s3cret-t0ken".to_owned()))
    }
}

fn log() -> (Log, Arc<MemoryLog>) {
    let sink = Arc::new(MemoryLog::new(1_000));
    (Log::new(sink.clone(), Arc::new(OneSecret)), sink)
}

fn grants(secrets: &[&str]) -> Grants {
    let mut grants = Grants {
        log: true,
        ..Grants::default()
    };
    grants.secrets.names = secrets.iter().map(ToString::to_string).collect();
    grants
}

fn write(mut state: &mut HostState, text: &str) {
    state
        .write(wit::Level::Info, text.to_owned(), Vec::new())
        .unwrap();
}

#[test]
fn is_not_granted_unless_the_profile_says_so() {
    let call = Call::granted(Grants::default());
    assert!(!log().0.capability().granted(&call.scope.effective));
}

#[tokio::test]
async fn dos_024_drops_over_the_cap_and_says_how_much_in_one_record() {
    let limits = Limits {
        log_bytes: 100,
        ..Limits::default()
    };
    let call = Call::new(grants(&[]), limits);
    let (log, sink) = log();
    let mut store = call.store(&log);
    for _ in 0..1_000 {
        write(&mut store, "x");
    }
    assert_eq!(sink.lines().len(), 50, "a byte and the line's end each");
    assert!(call.facts().is_empty());
    drop(store);
    assert_eq!(
        call.facts().len(),
        2,
        "what was taken, and what was dropped"
    );
    assert_eq!(call.last("decision"), "drop");
    assert_eq!(call.last("dropped_lines"), "950");
    assert_eq!(call.last("dropped_bytes"), "1900");
    assert_eq!(call.scope.meter.log_bytes.load(Ordering::Relaxed), 100);
    assert_eq!(call.scope.meter.log_dropped.load(Ordering::Relaxed), 1_900);
}

#[tokio::test]
async fn the_lines_of_a_call_are_the_payload_of_one_record() {
    let call = Call::granted(grants(&[]));
    let mut store = call.store(&log().0);
    write(&mut store, "one");
    write(&mut store, "two");
    drop(store);
    assert_eq!(call.facts().len(), 1);
    assert_eq!(call.last("lines"), "2");
    let payload = call.facts()[0].payload.clone().unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(&payload), "info one\ninfo two\n");
}

#[tokio::test]
async fn a_line_over_the_cap_does_not_make_a_shorter_one_wait() {
    let limits = Limits {
        log_bytes: 10,
        ..Limits::default()
    };
    let call = Call::new(grants(&[]), limits);
    let (log, sink) = log();
    let mut store = call.store(&log);
    write(&mut store, &"x".repeat(11));
    write(&mut store, "short");
    assert_eq!(sink.lines().len(), 1);
}

#[tokio::test]
async fn dos_027_each_line_is_a_host_call() {
    let limits = Limits {
        host_calls: 1,
        ..Limits::default()
    };
    let call = Call::new(grants(&[]), limits);
    let mut store = call.store(&log().0);
    write(&mut store, "one");
    let second = (&mut &mut store).write(wit::Level::Info, "two".into(), Vec::new());
    assert!(matches!(
        fault(second),
        Fault::Limit {
            name: "host_calls",
            ..
        }
    ));
}

#[tokio::test]
async fn dos_026_neutralises_escapes_osc_52_bidi_and_line_breaks() {
    let call = Call::granted(grants(&[]));
    let (log, sink) = log();
    let mut store = call.store(&log);
    let hostile = "a\u{1b}[2J\u{1b}]52;c;ZXZpbA==\u{7}\u{202e}b\r\nforged line\u{200b}\u{9b}";
    let field = wit::Field {
        key: "k\u{1b}".into(),
        value: "v\u{2066}".into(),
    };
    (&mut &mut store)
        .write(wit::Level::Error, hostile.into(), vec![field])
        .unwrap();
    let line = sink.lines().remove(0);
    assert_eq!((line.level, line.stream), (Level::Error, Stream::Log));
    let (key, value) = &line.fields[0];
    for text in [&line.message, key, value] {
        assert!(
            text.chars().all(|c| c.is_ascii_graphic() || c == ' '),
            "{text}"
        );
    }
    assert!(line.message.starts_with("a\\u{1b}[2J"));
    assert_eq!(line.plugin.as_ref(), "p");
}

#[tokio::test]
async fn cap_011_redacts_a_secret_that_the_plugin_may_have_seen() {
    let call = Call::granted(grants(&["TOKEN"]));
    let (log, sink) = log();
    let mut store = call.store(&log);
    write(&mut store, "sent s3cret-t0ken");
    write(&mut store, "hex 7333637265742d74306b656e");
    let shown: Vec<_> = sink.lines().into_iter().map(|line| line.message).collect();
    assert_eq!(shown, ["sent [redacted]", "hex [redacted]"]);
}

#[tokio::test]
async fn cap_012_redacts_the_rest_of_a_secret_that_was_split_over_two_lines() {
    let call = Call::granted(grants(&["TOKEN"]));
    let (log, sink) = log();
    let mut store = call.store(&log);
    write(&mut store, "first half s3cret");
    write(&mut store, "-t0ken and more");
    write(&mut store, "harmless");
    let shown: Vec<_> = sink.lines().into_iter().map(|line| line.message).collect();
    assert_eq!(shown, ["first half s3cret", "[redacted]", "harmless"]);
}
