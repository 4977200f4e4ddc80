//! NETIP: address level.

use std::net::IpAddr;

use flowhost_policy::{
    Denied, HttpRule,
    egress::{AddressClass, Target, blocked, check_addresses, decide_http},
};

fn rule(url: &str, private_network: bool) -> HttpRule {
    HttpRule {
        private_network,
        ..HttpRule::new(url, &["GET"]).expect("a rule of the test")
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address of the test")
}

/// A named, public rule; one answer from the resolver.
fn resolve(address: &str) -> Result<IpAddr, Denied> {
    check_addresses(
        &rule("https://api.example.com", false),
        &[ip(address)],
        &[],
        false,
    )
}

/// What the whole chain says to a URL that a guest wrote, under a rule that would take any name.
fn denies(url: &str) -> String {
    let rules = [rule("http://api.example.com", false)];
    let target = match Target::parse(url, "GET") {
        Ok(target) => target,
        Err(denied) => return denied.rule,
    };
    match decide_http(&rules, &target) {
        Ok(_) => panic!("{url} was allowed"),
        Err(denied) => denied.rule,
    }
}

#[test]
fn netip_001_to_010_deny_loopback_in_every_spelling() {
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
    ] {
        let rule = denies(&format!("http://{host}/"));
        let expected = ["http#none", "egress.loopback", "egress.unspecified"];
        assert!(expected.contains(&rule.as_str()), "{host}: {rule}");
    }
}

#[test]
fn netip_001_to_010_deny_disguises_even_where_the_address_itself_is_a_rule() {
    let rules = [rule("http://127.0.0.1:80", true)];
    assert!(decide_http(&rules, &Target::parse("http://127.0.0.1/", "GET").unwrap()).is_ok());
    for host in [
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0x7f.1",
        "017700000001",
    ] {
        let denied = Target::parse(&format!("http://{host}/"), "GET").unwrap_err();
        assert_eq!(denied.rule, "egress.loopback", "{host}");
    }
}

#[test]
fn netip_011_to_014_deny_the_metadata_service_in_every_spelling() {
    assert_eq!(denies("http://169.254.169.254/"), "http#none");
    for host in ["0xa9fea9fe", "2852039166", "0251.0376.0251.0376"] {
        assert_eq!(
            denies(&format!("http://{host}/")),
            "egress.metadata",
            "{host}"
        );
    }
    assert_eq!(
        resolve("169.254.169.254").unwrap_err().rule,
        "egress.metadata"
    );
}

#[test]
fn netip_020_to_025_deny_addresses_inside_transition_forms() {
    for (address, rule) in [
        ("64:ff9b::7f00:1", "egress.transition"),
        ("64:ff9b:1::a9fe:a9fe", "egress.transition"),
        ("2002:7f00:1::", "egress.transition"),
        ("2001:0:0:0:0:0:80ff:fefe", "egress.transition"),
        ("::ffff:0:127.0.0.1", "egress.transition"),
        ("fd00:ec2::254", "egress.metadata"),
        ("::7f00:1", "egress.transition"),
        ("2a00::5efe:a00:1", "egress.transition"),
        ("2a00::200:5efe:7f00:1", "egress.transition"),
        ("::ffff:127.0.0.1", "egress.loopback"),
        ("::ffff:169.254.169.254", "egress.metadata"),
    ] {
        assert_eq!(resolve(address).unwrap_err().rule, rule, "{address}");
        let literal = denies(&format!("http://[{address}]/"));
        assert_eq!(literal, "http#none", "{address}");
    }
}

#[test]
fn netip_026_allows_a_public_address_behind_nat64() {
    assert_eq!(resolve("64:ff9b::5db8:d70e"), Ok(ip("64:ff9b::5db8:d70e")));
}

#[test]
fn netip_027_denies_reserved_ipv6() {
    for (address, rule) in [
        ("fe80::1", "egress.link-local"),
        ("fec0::1", "egress.private"),
        ("fc00::1", "egress.private"),
        ("ff02::1", "egress.multicast"),
        ("2001:db8::1", "egress.documentation"),
        ("5f00::1", "egress.reserved"),
        ("::1", "egress.loopback"),
        ("::", "egress.unspecified"),
        ("3fff::1", "egress.documentation"),
        ("100::1", "egress.reserved"),
        ("4000::1", "egress.reserved"),
        ("1::1", "egress.reserved"),
    ] {
        assert_eq!(resolve(address).unwrap_err().rule, rule, "{address}");
        assert_eq!(
            denies(&format!("http://[{address}]/")),
            "http#none",
            "{address}"
        );
    }
}

#[test]
fn netip_027_denies_reserved_ipv4() {
    for (address, class) in [
        ("0.1.2.3", AddressClass::Unspecified),
        ("10.255.255.255", AddressClass::Private),
        ("100.64.0.0", AddressClass::SharedAddress),
        ("100.127.255.255", AddressClass::SharedAddress),
        ("100.100.100.200", AddressClass::Metadata),
        ("127.0.0.0", AddressClass::Loopback),
        ("168.63.129.16", AddressClass::Metadata),
        ("169.254.0.1", AddressClass::LinkLocal),
        ("172.16.0.0", AddressClass::Private),
        ("172.31.255.255", AddressClass::Private),
        ("192.0.0.1", AddressClass::Reserved),
        ("192.0.2.1", AddressClass::Documentation),
        ("192.88.99.1", AddressClass::Transition),
        ("192.168.0.0", AddressClass::Private),
        ("198.18.0.0", AddressClass::Benchmarking),
        ("198.19.255.255", AddressClass::Benchmarking),
        ("198.51.100.1", AddressClass::Documentation),
        ("203.0.113.1", AddressClass::Documentation),
        ("224.0.0.1", AddressClass::Multicast),
        ("240.0.0.1", AddressClass::Reserved),
        ("255.255.255.255", AddressClass::Multicast),
    ] {
        let line = blocked(ip(address)).expect(address);
        assert_eq!(line.class, class, "{address}");
        assert!(!line.source.is_empty());
    }
}

#[test]
fn netip_027_allows_the_neighbours_of_every_range() {
    for address in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700::1",
        "2a00:1450::1",
    ] {
        assert_eq!(resolve(address), Ok(ip(address)), "{address}");
    }
}

#[test]
fn netip_028_denies_the_hosts_own_public_and_lan_addresses() {
    let own = [ip("93.184.215.14"), ip("192.168.1.7"), ip("2a00:1450::1")];
    let public = rule("https://api.example.com", false);
    let private = rule("https://intranet.example.com", true);
    for address in own {
        let denied = check_addresses(&public, &[address], &own, false).unwrap_err();
        assert_eq!(denied.rule, "egress.own", "{address}");
        let keys = check_addresses(&private, &[address], &own, true).unwrap_err();
        assert_eq!(keys.rule, "egress.own", "{address} with both keys");
    }
    let neighbour = check_addresses(&private, &[ip("192.168.1.8")], &own, true);
    assert_eq!(neighbour, Ok(ip("192.168.1.8")));
}

#[test]
fn netip_029_allows_an_explicit_private_address_with_both_keys_and_only_it() {
    let rules = [rule("http://10.1.2.3:8080", true)];
    let target = Target::parse("http://10.1.2.3:8080/x", "GET").unwrap();
    let allowed = decide_http(&rules, &target).unwrap();
    let address = [target.ip().unwrap()];
    assert_eq!(
        check_addresses(allowed.grant, &address, &[], true),
        Ok(ip("10.1.2.3"))
    );
    for url in [
        "http://10.1.2.4:8080/",
        "http://10.1.2.3/",
        "http://10.1.2.3:8081/",
        "https://10.1.2.3:8080/",
    ] {
        let other = Target::parse(url, "GET").unwrap();
        assert_eq!(
            decide_http(&rules, &other).unwrap_err().rule,
            "http#none",
            "{url}"
        );
    }
}

#[test]
fn netip_029_denies_a_private_address_with_one_key_and_names_the_other() {
    let address = [ip("10.1.2.3")];
    let first = check_addresses(&rule("http://10.1.2.3", false), &address, &[], true).unwrap_err();
    assert_eq!(first.rule, "egress.private");
    assert_eq!(first.cure.as_deref(), Some("private_network = true"));
    let second = check_addresses(&rule("http://10.1.2.3", true), &address, &[], false).unwrap_err();
    assert_eq!(second.cure.as_deref(), Some("--allow-private-network"));
}

#[test]
fn netip_029_allows_loopback_written_out_with_both_keys() {
    let own = [ip("127.0.0.1"), ip("::1")];
    for (url, address) in [
        ("http://127.0.0.1:9", "127.0.0.1"),
        ("http://[::1]:9", "::1"),
        ("http://localhost:9", "::1"),
    ] {
        let rule = rule(url, true);
        assert_eq!(
            check_addresses(&rule, &[ip(address)], &own, true),
            Ok(ip(address)),
            "{url}"
        );
        assert!(
            check_addresses(&rule, &[ip(address)], &own, false).is_err(),
            "{url}"
        );
    }
}

#[test]
fn netip_029_denies_loopback_behind_a_name_even_with_both_keys() {
    let rule = rule("http://intranet.example.com", true);
    let denied = check_addresses(&rule, &[ip("127.0.0.1")], &[], true).unwrap_err();
    assert_eq!(
        (denied.rule.as_str(), denied.cure),
        ("egress.loopback", None)
    );
}

#[test]
fn netip_029_denies_localhost_anywhere_but_on_this_machine() {
    let rule = rule("http://localhost:9", true);
    for address in ["93.184.215.14", "10.0.0.1", "::ffff:10.0.0.1"] {
        let denied = check_addresses(&rule, &[ip(address)], &[], true).unwrap_err();
        assert_eq!(denied.rule, "egress.other-address", "{address}");
    }
}

#[test]
fn netip_029_denies_metadata_with_both_keys_and_the_address_written_out() {
    let rule = rule("http://169.254.169.254", true);
    let denied = check_addresses(&rule, &[ip("169.254.169.254")], &[], true).unwrap_err();
    assert_eq!(
        (denied.rule.as_str(), denied.cure),
        ("egress.metadata", None)
    );
}

#[test]
fn netip_030_reads_a_mapped_address_as_its_ipv4_address() {
    let rules = [rule("http://[10.0.0.0/8]:80/", true)];
    for url in [
        "http://10.0.0.1/",
        "http://[::ffff:10.0.0.1]/",
        "http://[::ffff:a00:1]/",
    ] {
        let target = Target::parse(url, "GET").unwrap();
        assert_eq!(target.to_string(), "GET http://10.0.0.1/", "{url}");
        let allowed = decide_http(&rules, &target).unwrap();
        assert_eq!(
            check_addresses(allowed.grant, &[ip("::ffff:10.0.0.1")], &[], true),
            Ok(ip("10.0.0.1"))
        );
    }
    for url in [
        "http://11.0.0.1/",
        "http://10.0.0.1:81/",
        "http://[fd00::1]/",
        "http://ten.example.com/",
    ] {
        assert!(
            decide_http(&rules, &Target::parse(url, "GET").unwrap()).is_err(),
            "{url}"
        );
    }
}

#[test]
fn netip_030_matches_ipv6_networks() {
    let rules = [rule("http://[fd00:1234::/32]:80/", true)];
    assert!(
        decide_http(
            &rules,
            &Target::parse("http://[fd00:1234::1]/", "GET").unwrap()
        )
        .is_ok()
    );
    assert!(
        decide_http(
            &rules,
            &Target::parse("http://[fd00:1235::1]/", "GET").unwrap()
        )
        .is_err()
    );
}

#[test]
fn netip_030_denies_an_answer_outside_of_an_address_rule() {
    let rule = rule("http://10.1.2.3", true);
    let denied = check_addresses(&rule, &[ip("10.1.2.4")], &[], true).unwrap_err();
    assert_eq!(denied.rule, "egress.other-address");
}

#[test]
fn netip_031_denies_an_allowed_name_that_resolves_to_loopback() {
    let denied = resolve("127.0.0.1").unwrap_err();
    assert_eq!(denied.rule, "egress.loopback");
    assert_eq!(denied.wanted, "https://api.example.com:443/ at 127.0.0.1");
}

#[test]
fn netip_032_denies_the_whole_request_when_one_answer_is_blocked() {
    let rule = rule("https://api.example.com", false);
    for answers in [
        ["93.184.215.14", "169.254.169.254"],
        ["169.254.169.254", "93.184.215.14"],
    ] {
        let answers = answers.map(ip);
        assert_eq!(
            check_addresses(&rule, &answers, &[], false)
                .unwrap_err()
                .rule,
            "egress.metadata"
        );
    }
}

#[test]
fn netip_033_connects_to_the_address_that_was_checked() {
    let rule = rule("https://api.example.com", false);
    let answers = [ip("93.184.215.14"), ip("93.184.215.15")];
    assert_eq!(check_addresses(&rule, &answers, &[], false), Ok(answers[0]));
}

#[test]
fn netip_035_denies_a_mapped_private_answer() {
    assert_eq!(
        resolve("::ffff:10.0.0.1").unwrap_err().rule,
        "egress.private"
    );
}

#[test]
fn netip_037_denies_more_answers_than_a_name_has() {
    let rule = rule("https://api.example.com", false);
    let answers = |count| vec![ip("93.184.215.14"); count];
    assert!(check_addresses(&rule, &answers(64), &[], false).is_ok());
    let denied = check_addresses(&rule, &answers(65), &[], false).unwrap_err();
    assert_eq!(denied.rule, "egress.too-many-addresses");
}

#[test]
fn netip_038_denies_a_name_without_an_address() {
    let denied =
        check_addresses(&rule("https://api.example.com", false), &[], &[], false).unwrap_err();
    assert_eq!(denied.rule, "egress.no-address");
}

#[test]
fn netip_039_denies_a_hosts_file_entry_that_points_home() {
    assert_eq!(resolve("::1").unwrap_err().rule, "egress.loopback");
    assert_eq!(resolve("127.0.1.1").unwrap_err().rule, "egress.loopback");
}

const LOCAL_NAMES: [&str; 12] = [
    "metadata.google.internal",
    "metadata",
    "instance-data",
    "localhost",
    "a.localhost",
    "printer.local",
    "db.internal",
    "host.docker.internal",
    "router.home.arpa",
    "kubernetes.default.svc.cluster.local",
    "nas.lan",
    "intranet",
];

#[test]
fn netip_040_denies_local_names_without_an_exact_rule() {
    for name in LOCAL_NAMES {
        assert_eq!(
            denies(&format!("http://{name}/")),
            "egress.local-name",
            "{name}"
        );
    }
}

#[test]
fn netip_040_denies_local_names_under_a_wildcard() {
    let rules = [
        rule("http://*.svc.internal", true),
        rule("http://*.google.internal", true),
    ];
    for name in ["db.svc.internal", "metadata.google.internal"] {
        let target = Target::parse(&format!("http://{name}/"), "GET").unwrap();
        assert_eq!(
            decide_http(&rules, &target).unwrap_err().rule,
            "egress.local-name",
            "{name}"
        );
    }
}

#[test]
fn netip_040_allows_a_local_name_that_a_rule_writes_out() {
    for name in LOCAL_NAMES {
        let rules = [rule(&format!("http://{name}"), true)];
        let target = Target::parse(&format!("http://{name}/"), "GET").unwrap();
        assert!(decide_http(&rules, &target).is_ok(), "{name}");
    }
}
