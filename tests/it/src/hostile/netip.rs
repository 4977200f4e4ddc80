//! NETIP: addresses, as literals and as answers of a resolver, through a real guest.

use std::net::SocketAddr;

use flowhost_caps::http::ResolveError;
use flowhost_ledger::Kind;
use serde_json::{Value, json};

use crate::hosted::{Host, PUBLIC, Setup, field};

const API: &str = "https://api.example.com/";

fn rule(url: &str) -> String {
    format!("[[http]]\nurl = \"{url}\"\nmethods = [\"GET\"]\n")
}

/// Requests to these hosts, over both schemes, leave nothing.
#[track_caller]
fn literals_denied(hosts: &[&str]) {
    let both = format!("{}{}", rule(API), rule("http://api.example.com/"));
    let host = Setup::new(&both).host("ok_http");
    let urls: Vec<String> = hosts
        .iter()
        .flat_map(|name| [format!("http://{name}/"), format!("https://{name}/")])
        .collect();
    let cases: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
    for (url, outcome) in urls.iter().zip(host.cases(&cases)) {
        assert_eq!(outcome["error"]["case"], "denied", "{url}: {outcome}");
    }
    nothing_dialled(&host, urls.len());
    assert!(host.resolver.asked().is_empty());
}

#[track_caller]
fn nothing_dialled(host: &Host, refusals: usize) {
    assert_eq!(host.connector.dialled(), []);
    let records = host.of_kind(Kind::NetDecision);
    let denied: Vec<_> = records
        .iter()
        .filter(|record| field(record, "decision") == "deny")
        .collect();
    assert_eq!(denied.len(), refusals, "{records:?}");
    assert!(
        denied
            .iter()
            .all(|record| !field(record, "rule").is_empty())
    );
}

/// A host where the allowed name has these answers, one after the other.
fn answering(answers: &[&[&str]]) -> Setup {
    answers
        .iter()
        .fold(Setup::new(&rule(API)), |setup, answer| {
            setup.resolving("api.example.com", answer)
        })
}

/// The allowed name with these addresses is denied by this rule of the egress table.
#[track_caller]
fn answer_denied(addresses: &[&str], by: &str) {
    let host = answering(&[addresses]).host("ok_http");
    let outcome = host.answer(&json!({ "url": API }));
    assert_eq!(
        outcome["error"]["case"], "denied",
        "{addresses:?}: {outcome}"
    );
    assert_eq!(outcome["error"]["rule"], by, "{addresses:?}");
    nothing_dialled(&host, 1);
}

#[test]
fn netip_001_to_010_denies_loopback_in_every_spelling() {
    literals_denied(&[
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "127.255.255.254",
        "[::1]",
        "[::]",
    ]);
}

#[test]
fn netip_011_to_014_denies_the_metadata_address_in_every_spelling() {
    literals_denied(&[
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
    ]);
}

#[test]
fn netip_020_to_025_denies_the_transition_forms() {
    literals_denied(&[
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[2002:7f00:1::]",
        "[2001:0:0:0:0:0:80ff:fefe]",
        "[::ffff:0:127.0.0.1]",
        "[fd00:ec2::254]",
    ]);
}

#[test]
fn netip_020_to_025_denies_the_transition_forms_as_answers() {
    for address in [
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001::80ff:fefe",
        "::ffff:10.0.0.1",
    ] {
        let host = answering(&[&[address]]).host("ok_http");
        let outcome = host.answer(&json!({ "url": API }));
        assert_eq!(outcome["error"]["case"], "denied", "{address}: {outcome}");
        nothing_dialled(&host, 1);
    }
}

#[test]
fn netip_027_denies_local_multicast_and_documentation_addresses() {
    literals_denied(&[
        "[fe80::1]",
        "[fec0::1]",
        "[fc00::1]",
        "[ff02::1]",
        "[2001:db8::1]",
        "[5f00::1]",
    ]);
}

#[test]
fn netip_028_denies_this_machines_own_public_address() {
    answer_denied(&["8.8.4.4"], "egress.own");
}

#[test]
fn netip_029_an_address_in_a_rule_opens_that_address_and_port_alone() {
    let rules = format!("{}private_network = true\n", rule("http://10.1.2.3:8080/"));
    let mut setup = Setup::new(&rules);
    setup.allow_private_network = true;
    let host = setup.host("ok_http");
    let urls = [
        "http://10.1.2.3/",
        "http://10.1.2.4:8080/",
        "http://10.1.2.3:8080/",
    ];
    let cases: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
    let outcomes = host.cases(&cases);
    assert_eq!(outcomes[0]["error"]["case"], "denied");
    assert_eq!(outcomes[1]["error"]["case"], "denied");
    assert_eq!(
        outcomes[2]["error"]["case"], "transient",
        "the double refuses: {}",
        outcomes[2]
    );
    assert_eq!(
        host.connector.dialled(),
        ["10.1.2.3:8080".parse::<SocketAddr>().unwrap()]
    );
}

#[test]
fn netip_029_a_private_rule_needs_the_second_key() {
    let rules = format!("{}private_network = true\n", rule("http://10.1.2.3:8080/"));
    let host = Setup::new(&rules).host("ok_http");
    let outcome = host.answer(&json!({ "url": "http://10.1.2.3:8080/" }));
    assert_eq!(outcome["error"]["case"], "denied", "{outcome}");
    nothing_dialled(&host, 1);
}

#[test]
fn netip_030_a_network_in_a_rule_means_the_mapped_form_too() {
    let rules = format!(
        "{}private_network = true\n",
        rule("http://10.0.0.0/8:8080/")
    );
    let Ok(_) =
        flowhost_policy::Profile::parse(&format!("version = 1\nname = \"p\"\n{rules}"), "p")
    else {
        return literals_denied(&["[::ffff:10.0.0.1]"]);
    };
    let mut setup = Setup::new(&rules);
    setup.allow_private_network = true;
    let host = setup.host("ok_http");
    host.answer(&json!({ "url": "http://[::ffff:10.0.0.1]:8080/" }));
    for address in host.connector.dialled() {
        assert_eq!(address, "10.0.0.1:8080".parse::<SocketAddr>().unwrap());
    }
}

#[test]
fn netip_031_and_039_denies_an_allowed_name_at_loopback() {
    answer_denied(&["127.0.0.1"], "egress.loopback");
}

#[test]
fn netip_032_denies_the_whole_request_when_one_answer_is_blocked() {
    answer_denied(&[PUBLIC, "169.254.169.254"], "egress.metadata");
}

#[test]
fn netip_033_looks_a_name_up_once_and_connects_to_what_was_checked() {
    let host = answering(&[&[PUBLIC], &["127.0.0.1"]]).host("ok_http");
    host.answer(&json!({ "url": API }));
    assert_eq!(host.resolver.asked(), ["api.example.com"]);
    assert_eq!(
        host.connector.dialled(),
        [format!("{PUBLIC}:443").parse::<SocketAddr>().unwrap()]
    );
}

#[test]
fn netip_034_checks_again_on_the_next_request_of_the_same_guest() {
    let host = answering(&[&[PUBLIC], &["127.0.0.1"]]).host("ok_http");
    let outcomes = host.cases(&[json!({ "url": API }), json!({ "url": API })]);
    assert_eq!(outcomes[1]["error"]["case"], "denied", "{}", outcomes[1]);
    assert_eq!(outcomes[1]["error"]["rule"], "egress.loopback");
    assert_eq!(host.connector.dialled().len(), 1);
}

#[test]
fn netip_035_denies_a_mapped_private_answer() {
    answer_denied(&["::ffff:10.0.0.1"], "egress.private");
}

#[test]
fn netip_037_denies_a_name_with_a_thousand_addresses() {
    let many: Vec<String> = (0..1_000)
        .map(|n| format!("93.184.{}.{}", n / 256, n % 256))
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    answer_denied(&many, "egress.too-many-addresses");
}

#[test]
fn netip_038_a_failing_resolver_is_a_typed_error_without_a_fallback() {
    for (error, case) in [
        (ResolveError::Timeout, "transient"),
        (ResolveError::Failed("SERVFAIL".to_owned()), "transient"),
        (ResolveError::NotFound, "failed"),
    ] {
        let mut setup = Setup::new(&rule(API));
        setup.resolver = setup.resolver.failure("api.example.com", error);
        let host = setup.host("ok_http");
        let outcome = host.answer(&json!({ "url": API }));
        assert_eq!(outcome["error"]["case"], case, "{outcome}");
        assert_eq!(host.resolver.asked(), ["api.example.com"]);
        assert_eq!(host.connector.dialled(), []);
    }
}

#[test]
fn netip_040_denies_local_names_that_no_rule_writes_out() {
    literals_denied(&[
        "metadata.google.internal",
        "metadata",
        "instance-data",
        "localhost",
        "a.localhost",
        "printer.local",
        "db.internal",
        "host.docker.internal",
    ]);
}
