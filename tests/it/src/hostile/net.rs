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

#[test]
fn net_002_denies_another_port() {
    denied(&[
        "https://api.example.com:8443/",
        "https://api.example.com:80/",
    ]);
}

#[test]
fn net_003_and_004_allow_the_default_port_written_out_and_any_case() {
    let host = setup().host("ok_http");
    for url in ["https://api.example.com:443/", "https://API.EXAMPLE.COM/"] {
        let outcome = host.answer(&json!({ "url": url }));
        assert_ne!(outcome["error"]["case"], "denied", "{outcome}");
    }
    let dialled: Vec<String> = host
        .connector
        .dialled()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(dialled, [format!("{PUBLIC}:443"), format!("{PUBLIC}:443")]);
    assert_eq!(
        host.resolver.asked(),
        ["api.example.com", "api.example.com"],
        "the canonical name"
    );
}

#[test]
fn net_005_a_trailing_dot_never_means_another_rule() {
    let host = setup().host("ok_http");
    let outcome = host.answer(&json!({ "url": "https://api.example.com./" }));
    if outcome["error"]["case"] == "denied" {
        nothing_left(&host, 1);
    } else {
        assert_eq!(host.resolver.asked(), ["api.example.com"]);
    }
}

#[test]
fn net_009_to_015_denies_hosts_on_which_parsers_disagree() {
    denied(&[
        "https://api.example.com\\@evil.test/",
        "https://user:pass@api.example.com/",
        "https://api.example.com%2eevil.test/",
        "https://api.example.com evil.test/",
        "https://api.example.com\tevil.test/",
        "https://api.example.com\r\nHost: evil.test/",
        "https://api.example.com,evil.test/",
        "https://api.example.com;evil.test/",
        "https://api.example.com|evil.test/",
        "https://*.example.com/",
    ]);
}

#[test]
fn net_012_an_at_sign_after_the_authority_changes_no_host() {
    let host = setup().host("ok_http");
    host.cases(&[
        json!({ "url": "https://api.example.com#@evil.test/" }),
        json!({ "url": "https://api.example.com?@evil.test/" }),
    ]);
    let asked = host.resolver.asked();
    assert!(
        asked.iter().all(|name| name == "api.example.com"),
        "{asked:?}"
    );
}

#[test]
fn net_016_and_017_a_wildcard_is_neither_its_apex_nor_a_suffix() {
    denied(&[
        "https://wild.example.com/",
        "https://evilwild.example.com/",
        "https://a.wild.example.com.evil.test/",
    ]);
}

#[test]
fn net_022_and_023_denies_paths_that_leave_their_prefix() {
    denied(&[
        "https://paths.example.com/v1/../admin",
        "https://paths.example.com/v1/%2e%2e/admin",
        "https://paths.example.com/v1/%2E%2E%2Fadmin",
        "https://paths.example.com/v1;/../admin",
        "https://paths.example.com//v1/",
        "https://paths.example.com/v10",
        "https://paths.example.com/v10/x",
        "https://paths.example.com/",
    ]);
}

#[test]
fn net_026_and_028_denies_methods_that_are_not_the_rules() {
    let methods = [
        "CONNECT",
        "TRACE",
        "get",
        "GET x",
        "GET\r\nHost: evil.test",
        "",
        "DELETE",
    ];
    let url = "https://api.example.com/";
    let cases: Vec<Value> = methods
        .iter()
        .map(|method| json!({ "method": method, "url": url }))
        .collect();
    refused(&cases);
}

#[test]
fn net_030_denies_every_other_scheme() {
    denied(&[
        "HTTPS+x://api.example.com/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "ws://api.example.com/",
        "wss://api.example.com/",
        "javascript:alert(1)",
        "data:text/plain,hello",
        "api.example.com/",
        "//api.example.com/",
    ]);
}

#[test]
fn net_032_to_034_denies_names_that_look_like_the_rules() {
    let host = denied(&[
        "https://api.ex\u{430}mple.com/",
        "https://xn--example-.org/",
        "https://example.org.xn--/",
        "https://api.exam\u{ad}ple.com/",
        "https://api.exam\u{200b}ple.com/",
        "https://api.exam\u{200d}ple.com/",
    ]);
    let records = host.of_kind(Kind::NetDecision);
    assert!(
        String::from_utf8_lossy(records[0].payload.as_deref().unwrap()).contains("xn--"),
        "{:?}",
        records[0]
    );
}

#[test]
fn net_035_denies_digits_that_only_look_like_text() {
    denied(&["https://①②⑦.⓪.⓪.①/", "https://１２７.0.0.1/"]);
}

#[test]
fn net_037_and_038_denies_what_is_too_long() {
    let label = format!("https://{}.example.com/", "a".repeat(64));
    let name = format!("https://{}example.com/", "a.".repeat(122));
    let long = format!("https://api.example.com/{}?x", "a".repeat(1 << 20));
    denied(&[&label, &name, &long]);
}

#[test]
fn net_039_and_040_denies_hosts_that_are_empty_or_have_a_zone() {
    denied(&[
        "https:///x",
        "https://:443/",
        "https://[fe80::1%25lo]/",
        "https://[::1",
        "",
        "https://",
    ]);
}

#[test]
fn netx_011_denies_an_upgrade_without_the_right() {
    refused(&[json!({
        "url": "https://api.example.com/",
        "headers": [["connection", "Upgrade"], ["upgrade", "websocket"]],
    })]);
}

/// What `wasi:http` may say to a request that must not leave.
fn stopped(outcome: &Value) -> bool {
    let outcome = &outcome["ok"];
    outcome.get("refused").is_some() || outcome.get("error").is_some()
}

#[test]
fn net_024_025_026_028_030_031_wasi_http_denies_what_our_own_interface_denies() {
    let part = |method: &str, scheme: Option<&str>, authority: &str, path: &str| json!({ "method": method, "scheme": scheme, "authority": authority, "path": path });
    let (https, host_name) = (Some("https"), "api.example.com");
    let cases = [
        part("GET", https, host_name, "http://evil.test/"),
        part("GET", https, host_name, "*"),
        part("GET", https, host_name, "x"),
        part("CONNECT", https, host_name, "/"),
        part("TRACE", https, host_name, "/"),
        part("get", https, host_name, "/"),
        part("GET x", https, host_name, "/"),
        part("GET", Some("ftp"), host_name, "/"),
        part("GET", Some("ws"), host_name, "/"),
        part("GET", None, host_name, "/"),
        part("GET", Some("http"), host_name, "/"),
        part("GET", https, "api.example.com:8443", "/"),
        part("GET", https, "user@api.example.com", "/"),
        part("GET", https, "evil.test", "/"),
        part("GET", https, "", "/"),
        part("GET", https, "wild.example.com", "/"),
        part("GET", https, "paths.example.com", "/v1/../admin"),
        part("GET", https, "paths.example.com", "/v10"),
        part("GET", https, "127.0.0.1", "/"),
    ];
    let host = setup().host("ok_wasi_http");
    let outcomes = host.cases(&cases);
    for (case, outcome) in cases.iter().zip(&outcomes) {
        assert!(stopped(outcome), "{case}: {outcome}");
    }
    assert_eq!(host.connector.dialled(), []);
    assert_eq!(host.resolver.asked(), Vec::<String>::new());
    let sent = outcomes
        .iter()
        .filter(|outcome| outcome["ok"].get("error").is_some())
        .count();
    let records = host.of_kind(Kind::NetDecision);
    assert!(
        records
            .iter()
            .all(|record| field(record, "decision") == "deny"),
        "{records:?}"
    );
    assert!(
        records.len() <= sent && records.len() >= 10,
        "{} of {sent}",
        records.len()
    );
}

#[test]
fn cap_006_an_empty_list_of_methods_allows_none() {
    let rule = "[[http]]\nurl = \"https://api.example.com/\"\nmethods = []\n";
    match flowhost_policy::Profile::parse(&format!("version = 1\nname = \"p\"\n{rule}"), "p.toml") {
        Err(problems) => assert!(!problems.is_empty()),
        Ok(_) => {
            let host = Setup::new(rule)
                .resolving("api.example.com", &[PUBLIC])
                .host("ok_http");
            let outcome = host.answer(&json!({ "url": "https://api.example.com/" }));
            assert_eq!(outcome["error"]["case"], "denied", "{outcome}");
            nothing_left(&host, 1);
        }
    }
}
