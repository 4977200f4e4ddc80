//! NET: the same tables through `flowhost:http` and through `wasi:http`, which one sender serves.

use flowhost_ledger::Kind;
use serde_json::{Value, json};

use crate::hosted::{Host, PUBLIC, Setup, field};

const RULES: &str = r#"
[[http]]
url = "https://api.example.com/"
methods = ["GET", "POST"]
[[http]]
url = "https://*.wild.example.com/"
methods = ["GET"]
[[http]]
url = "https://paths.example.com/v1/"
methods = ["GET"]
"#;

fn setup() -> Setup {
    let hosts = [
        "api.example.com",
        "a.wild.example.com",
        "paths.example.com",
        "evil.test",
    ];
    hosts.iter().fold(Setup::new(RULES), |setup, host| {
        setup.resolving(host, &[PUBLIC])
    })
}

/// Sends a GET to every URL and expects each to be denied before any look-up, with a record.
#[track_caller]
fn denied(urls: &[&str]) -> Host {
    let cases: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
    refused(&cases)
}

#[track_caller]
fn refused(cases: &[Value]) -> Host {
    let host = setup().host("ok_http");
    let outcomes = host.cases(cases);
    for (case, outcome) in cases.iter().zip(&outcomes) {
        assert_eq!(outcome["error"]["case"], "denied", "{case}: {outcome}");
    }
    nothing_left(&host, cases.len());
    host
}

/// No name was asked for, no address handed out, and each request is one refusal with its rule.
#[track_caller]
fn nothing_left(host: &Host, refusals: usize) {
    assert_eq!(host.connector.dialled(), []);
    assert_eq!(host.resolver.asked(), Vec::<String>::new());
    let records = host.of_kind(Kind::NetDecision);
    assert_eq!(records.len(), refusals, "{records:?}");
    for record in &records {
        assert_eq!(field(record, "decision"), "deny", "{record:?}");
        assert!(!field(record, "rule").is_empty(), "{record:?}");
    }
}

#[test]
fn net_001_denies_another_scheme() {
    denied(&["http://api.example.com/"]);
}
