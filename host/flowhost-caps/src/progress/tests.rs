//! What `progress` refuses, then what it gives: the host's side, with doubles where the world would be.

use std::sync::Arc;

use flowhost_engine::{Fault, HostState, Provider};
use flowhost_policy::{Grants, Limits};
use zeroize::Zeroizing;

use super::Progress;
use super::host::wit::Host as _;
use crate::shared::line::MemoryLog;
use crate::shared::secret::SecretStore;
use crate::testing::{Call, fault};

struct OneSecret;

impl SecretStore for OneSecret {
    fn get(&self, name: &str) -> Option<Zeroizing<String>> {
        (name == "TOKEN").then(|| Zeroizing::new("s3cret-t0ken".to_owned()))
    }
}

fn progress() -> (Progress, Arc<MemoryLog>) {
    let sink = Arc::new(MemoryLog::new(1_000));
    (Progress::new(sink.clone(), Arc::new(OneSecret)), sink)
}

fn grants() -> Grants {
    let mut grants = Grants {
        log: true,
        ..Grants::default()
    };
    grants.secrets.names = vec!["TOKEN".into()];
    grants
}

fn report(mut state: &mut HostState, done: f64, total: Option<f64>, message: &str) {
    state.report(done, total, message.to_owned()).unwrap();
}

#[test]
fn is_not_granted_unless_the_profile_says_log() {
    let call = Call::granted(Grants::default());
    assert!(!progress().0.capability().granted(&call.scope.effective));
    let call = Call::granted(grants());
    assert!(progress().0.capability().granted(&call.scope.effective));
}

#[tokio::test]
async fn dos_027_each_report_is_a_host_call() {
    let limits = Limits {
        host_calls: 1,
        ..Limits::default()
    };
    let call = Call::new(grants(), limits);
    let mut store = call.store(&progress().0);
    report(&mut store, 1.0, None, "one");
    let second = (&mut &mut store).report(2.0, None, "two".into());
    let expected = matches!(
        fault(second),
        Fault::Limit {
            name: "host_calls",
            ..
        }
    );
    assert!(expected);
}

#[tokio::test]
async fn dos_024_a_flood_is_neither_shown_nor_recorded_and_shares_the_cap_of_log_lines() {
    let limits = Limits {
        log_bytes: 100,
        ..Limits::default()
    };
    let call = Call::new(grants(), limits);
    let (progress, sink) = progress();
    let mut store = call.store(&progress);
    for done in 1..10_000 {
        report(&mut store, f64::from(done), Some(10_000.0), "x");
    }
    assert!(sink.progress().len() < 100, "{}", sink.progress().len());
    let recorded = call.facts().len();
    assert!((10..=12).contains(&recorded), "{recorded}");
    report(&mut store, 10_000.0, Some(10_000.0), &"x".repeat(200));
    let last = sink.progress().pop().unwrap();
    assert!(last.done < 10_000.0, "over the cap and shown");
}

#[tokio::test]
async fn dos_026_cap_011_neutralises_and_redacts_what_is_shown_and_what_is_recorded() {
    let call = Call::granted(grants());
    let (progress, sink) = progress();
    let mut store = call.store(&progress);
    report(&mut store, 1.0, Some(2.0), "s3cret-t0ken \u{1b}[2J\u{202e}");
    let line = sink.progress().remove(0);
    assert_eq!(line.message, "[redacted] \\u{1b}[2J\\u{202e}");
    assert_eq!((&*line.call, line.done, line.total), ("7", 1.0, Some(2.0)));
    let fact = call.facts().remove(0);
    assert_eq!(fact.payload.unwrap(), line.message.as_bytes());
    assert_eq!(call.last("done"), "1");
    assert_eq!(call.last("total"), "2");
}
