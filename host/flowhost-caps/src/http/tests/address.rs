//! What is refused after the one lookup, and before any connection.

use super::*;
use crate::http::ResolveError;

fn resolving(addresses: &[&str]) -> Bench {
    let resolver = ScriptedResolver::default().answer("api.example.com", addresses);
    Bench::with(
        vec![rule(API)],
        resolver,
        RecordingConnector::default(),
        |_| {},
    )
}

#[tokio::test]
async fn netip_031_denies_an_allowed_name_at_loopback() {
    let bench = resolving(&["127.0.0.1"]);
    assert_eq!(denied_rule(bench.get(API).await), "egress.loopback");
    bench.nothing_left("egress.loopback");
}

#[tokio::test]
async fn netip_032_denies_the_whole_request_when_one_answer_is_blocked() {
    let bench = resolving(&[PUBLIC, "169.254.169.254"]);
    assert_eq!(denied_rule(bench.get(API).await), "egress.metadata");
    bench.nothing_left("egress.metadata");
}

#[tokio::test]
async fn netip_033_looks_a_name_up_once_and_dials_what_was_checked() {
    let resolver = ScriptedResolver::default()
        .answer("api.example.com", &[PUBLIC])
        .answer("api.example.com", &["127.0.0.1"]);
    let connector = serving(|_| async { text("ok") });
    let bench = Bench::with(vec![rule(PLAIN)], resolver, connector, |_| {});
    bench.get(PLAIN).await.unwrap();
    assert_eq!(bench.resolver.asked(), ["api.example.com"]);
    assert_eq!(
        bench.connector.dialled(),
        [SocketAddr::new(PUBLIC.parse().unwrap(), 80)]
    );
}

#[tokio::test]
async fn netip_034_checks_again_on_the_next_request() {
    let resolver = ScriptedResolver::default()
        .answer("api.example.com", &[PUBLIC])
        .answer("api.example.com", &["10.0.0.7"]);
    let connector = serving(|_| async { text("ok") });
    let bench = Bench::with(vec![rule(PLAIN)], resolver, connector, |_| {});
    bench.get(PLAIN).await.unwrap();
    assert_eq!(denied_rule(bench.get(PLAIN).await), "egress.private");
    assert_eq!(bench.connector.dialled().len(), 1);
}

#[tokio::test]
async fn netip_035_denies_a_mapped_private_address() {
    let bench = resolving(&["::ffff:10.0.0.1"]);
    assert_eq!(denied_rule(bench.get(API).await), "egress.private");
    bench.nothing_left("egress.private");
}

#[tokio::test]
async fn netip_036_a_chain_of_aliases_that_does_not_end_is_a_typed_error() {
    let error = ResolveError::Failed("too many CNAME records".to_owned());
    let resolver = ScriptedResolver::default().failure("api.example.com", error);
    let bench = Bench::with(
        vec![rule(API)],
        resolver,
        RecordingConnector::default(),
        |_| {},
    );
    assert!(matches!(
        bench.get(API).await,
        Err(types::Error::Transient(_))
    ));
    assert_eq!(bench.connector.dialled(), []);
}

#[tokio::test]
async fn netip_037_denies_a_name_with_too_many_addresses() {
    let many: Vec<String> = (0..1000)
        .map(|i| format!("93.184.{}.{}", i / 250, i % 250))
        .collect();
    let bench = resolving(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(
        denied_rule(bench.get(API).await),
        "egress.too-many-addresses"
    );
    bench.nothing_left("egress.too-many-addresses");
}

#[tokio::test]
async fn netip_038_a_failing_resolver_is_a_typed_error_and_is_asked_once() {
    for (error, transient) in [
        (ResolveError::Timeout, true),
        (ResolveError::Failed("SERVFAIL".to_owned()), true),
        (ResolveError::NotFound, false),
    ] {
        let resolver = ScriptedResolver::default().failure("api.example.com", error);
        let bench = Bench::with(
            vec![rule(API)],
            resolver,
            RecordingConnector::default(),
            |_| {},
        );
        match bench.get(API).await {
            Err(types::Error::Transient(_)) => assert!(transient),
            Err(types::Error::Failed(_)) => assert!(!transient),
            other => panic!("{other:?}"),
        }
        assert_eq!(bench.resolver.asked(), ["api.example.com"]);
        assert_eq!(bench.connector.dialled(), []);
    }
}

#[tokio::test]
async fn netip_028_denies_this_machines_own_public_address() {
    let bench = resolving(&["8.8.4.4"]);
    assert_eq!(denied_rule(bench.get(API).await), "egress.own");
    bench.nothing_left("egress.own");
}

#[tokio::test]
async fn netip_001_to_025_denies_address_literals_in_every_disguise() {
    let bench = Bench::new(vec![rule(API)]);
    for host in [
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
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[::ffff:0:127.0.0.1]",
        "[fd00:ec2::254]",
        "[::1]",
    ] {
        denied_rule(bench.get(&format!("https://{host}/")).await);
    }
    assert_eq!(bench.connector.dialled(), []);
    assert!(bench.resolver.asked().is_empty());
}

#[tokio::test]
async fn netip_029_an_explicit_address_opens_that_address_and_port_alone() {
    let private = HttpRule {
        private_network: true,
        ..rule("http://10.1.2.3:8080/")
    };
    let connector = serving(|_| async { text("ok") });
    let bench = Bench::with(
        vec![private],
        ScriptedResolver::default(),
        connector,
        |services| {
            services.allow_private_network = true;
        },
    );
    denied_rule(bench.get("http://10.1.2.3/").await);
    denied_rule(bench.get("http://10.1.2.4:8080/").await);
    bench.get("http://10.1.2.3:8080/").await.unwrap();
    assert_eq!(
        bench.connector.dialled(),
        ["10.1.2.3:8080".parse().unwrap()]
    );
    assert!(
        bench.resolver.asked().is_empty(),
        "an address is never looked up"
    );
}

#[tokio::test]
async fn a_private_address_needs_both_keys() {
    for (first, second) in [(false, false), (true, false), (false, true)] {
        let private = HttpRule {
            private_network: first,
            ..rule(API)
        };
        let resolver = ScriptedResolver::default().answer("api.example.com", &["10.0.0.7"]);
        let bench = Bench::with(
            vec![private],
            resolver,
            RecordingConnector::default(),
            |services| {
                services.allow_private_network = second;
            },
        );
        assert_eq!(denied_rule(bench.get(API).await), "egress.private");
        bench.nothing_left("egress.private");
    }
}

#[tokio::test]
async fn netip_040_local_names_need_a_rule_that_writes_them_out() {
    let wildcard = rule("https://*.example.com/");
    let bench = Bench::new(vec![wildcard]);
    for host in [
        "localhost",
        "a.localhost",
        "metadata.google.internal",
        "metadata",
        "instance-data",
        "printer.local",
        "host.docker.internal",
    ] {
        assert_eq!(
            denied_rule(bench.get(&format!("https://{host}/")).await),
            "egress.local-name"
        );
    }
    assert!(bench.resolver.asked().is_empty());
}
