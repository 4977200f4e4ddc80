//! Laws: narrowing never widens, canonical forms are stable, no list means none, nothing panics.

use std::net::IpAddr;

use flowhost_policy::{
    Access, Direction, Effective, FileGrant, Grants, HttpRule, Manifest, Narrowing, Position,
    Profile,
    cases::Cases,
    decide_file, decide_model, decide_reveal, decide_secret, decide_state, decide_tool,
    decide_topic, effective,
    egress::{Target, blocked, check_addresses, decide_http},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// Few words, so that patterns and questions meet often.
fn pick(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    vec(select(words), 0..=most).prop_map(|words| {
        let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        words.sort();
        words.dedup();
        words
    })
}

const URLS: &[&str] = &[
    "https://a.example.com/",
    "https://a.example.com/v1",
    "https://a.example.com/v1/",
    "https://a.example.com/v1/x/",
    "https://*.example.com/",
    "https://*.example.com/v1/",
    "https://*.a.example.com/",
    "http://a.example.com/",
    "https://a.example.com:8443/",
    "http://10.0.0.1/",
    "http://[10.0.0.0/8]/",
    "http://[10.0.0.0/16]/",
];

const PLACES: &[&str] = &[
    "https://a.example.com/",
    "https://a.example.com/v1",
    "https://a.example.com/v1/x/y",
    "https://a.example.com/v10",
    "https://b.example.com/v1/",
    "https://b.a.example.com/",
    "https://example.com/",
    "http://a.example.com/",
    "https://a.example.com:8443/",
    "http://10.0.0.1/",
    "http://10.0.1.1/",
    "http://10.1.0.1/",
];

const METHODS: &[&str] = &["GET", "POST", "PUT"];
const TOOLS: &[&str] = &["a/*", "a/x", "a/x*", "b/*", "b/y", "c/xy"];
const TOOL_NAMES: &[&str] = &["a/x", "a/xy", "a/z", "b/y", "b/z", "c/xy", "d/x"];
const MODELS: &[&str] = &["m/*", "m/a*", "m/ab", "*/ab", "n*/a", "n/*"];
const MODEL_NAMES: &[&str] = &["m/a", "m/ab", "m/abc", "n/a", "n/ab", "nn/a", "o/ab"];
const TOPICS: &[&str] = &[">", "a.>", "a.*", "a.b", "*.b", "a.*.c", "self.b"];
const TOPIC_NAMES: &[&str] = &["a", "a.b", "a.b.c", "c.b", "me.b", "a.c", "you.b"];
const NAMES: &[&str] = &["A", "B", "C"];
const GUESTS: &[&str] = &["/", "/d", "/d/e", "/f"];
const HOSTS: &[&str] = &[".", "d", "d/e", "f"];
const FILES: &[&str] = &["/", "/d", "/d/e", "/d/e/x", "/d/x", "/f", "/f/x", "/g"];

fn http_rule() -> impl Strategy<Value = HttpRule> {
    (select(URLS), pick(METHODS, 3), 1..100_u64, any::<bool>()).prop_map(
        |(url, methods, bytes, private_network)| HttpRule {
            methods,
            response_bytes: bytes,
            request_bytes: bytes * 2,
            private_network,
            ..HttpRule::new(url, &[]).expect("a rule of the test")
        },
    )
}

fn files() -> impl Strategy<Value = Vec<FileGrant>> {
    vec(
        (select(GUESTS), select(HOSTS), any::<bool>(), 1..100_u64),
        0..3,
    )
    .prop_map(|grants| {
        let mut out: Vec<FileGrant> = Vec::new();
        for (guest, host, write, quota) in grants {
            let apart = |had: &FileGrant| {
                let nested =
                    |a: &str, b: &str| a == "/" || a == b || b.starts_with(&format!("{a}/"));
                !nested(&had.guest, guest) && !nested(guest, &had.guest)
            };
            if out.iter().all(apart) {
                out.push(FileGrant {
                    guest: guest.to_owned(),
                    host: host.to_owned(),
                    access: if write { Access::Write } else { Access::Read },
                    quota_bytes: if write { quota } else { 0 },
                    quota_entries: if write { quota } else { 0 },
                });
            }
        }
        out
    })
}

prop_compose! {
    fn grants()(
        flags in any::<[bool; 3]>(),
        http in vec(http_rule(), 0..4),
        files in files(),
        call in pick(TOOLS, 3),
        allow in pick(MODELS, 3),
        publish in pick(TOPICS, 3),
        subscribe in pick(TOPICS, 3),
        namespaces in pick(NAMES, 3),
        names in pick(NAMES, 3),
        tokens in 1..1_000_u64,
    ) -> Grants {
        let mut grants = Grants {
            log: flags[0],
            config: flags[1],
            budget: flags[2],
            http,
            files,
            ..Grants::default()
        };
        grants.tools.call = call;
        grants.model.tokens = if allow.is_empty() { 0 } else { tokens };
        grants.model.micro_usd = grants.model.tokens;
        grants.model.allow = allow;
        grants.messages.publish = publish;
        grants.messages.subscribe = subscribe;
        grants.state.bytes = if namespaces.is_empty() { 0 } else { tokens };
        grants.state.namespaces = namespaces;
        grants.secrets.reveal = names.iter().take(1).cloned().collect();
        grants.secrets.names = names;
        grants
    }
}

/// A profile that grants exactly this; the text part is only its name.
fn profile(grants: Grants) -> Profile {
    let mut profile =
        Profile::parse("version = 1\nname = \"p\"\n", "p.toml").expect("a bare profile");
    profile.grants = grants;
    profile
}

fn anything() -> Manifest {
    let packages = [
        "log",
        "config",
        "budget",
        "http",
        "files",
        "model",
        "tools",
        "messaging",
        "state",
        "clock",
        "random",
        "secrets",
    ];
    let imports: Vec<String> = packages
        .iter()
        .map(|p| format!("flowhost:{p}/{p}"))
        .collect();
    Manifest::from_imports("me", imports.iter().map(String::as_str))
}

/// `a ∩ b`, with `b` as the caller's rights.
fn meet(a: &Grants, b: &Grants) -> Grants {
    let caller = Effective {
        grants: b.clone(),
        ..Effective::default()
    };
    effective(
        &anything(),
        &profile(a.clone()),
        &Narrowing::none("me"),
        Some(&caller),
    )
    .0
    .grants
}

/// Every question of the small world, and what these grants answer.
fn answers(grants: &Grants) -> Vec<bool> {
    let mut out = vec![grants.log, grants.config, grants.budget];
    for place in PLACES {
        for method in METHODS {
            let target = Target::parse(place, method).expect("a place of the test");
            out.push(decide_http(&grants.http, &target).is_ok());
        }
    }
    for name in TOOL_NAMES {
        out.push(decide_tool(&grants.tools, name).is_ok());
    }
    for name in MODEL_NAMES {
        out.push(decide_model(&grants.model, name).is_ok());
    }
    for name in TOPIC_NAMES {
        out.push(decide_topic(&grants.messages, Direction::Publish, name).is_ok());
        out.push(decide_topic(&grants.messages, Direction::Subscribe, name).is_ok());
    }
    for name in NAMES {
        out.push(decide_state(&grants.state, name).is_ok());
        out.push(decide_secret(&grants.secrets, name).is_ok());
        out.push(decide_reveal(&grants.secrets, name).is_ok());
    }
    out
}

/// The host files that a guest can reach, by the right that it has to them.
fn reachable(grants: &Grants) -> Vec<(String, Access)> {
    let mut out = Vec::new();
    for path in FILES {
        for access in [Access::Read, Access::Write] {
            if let Ok(allowed) = decide_file(&grants.files, path, access) {
                let rest = path
                    .strip_prefix(allowed.grant.guest.as_str())
                    .unwrap_or(path);
                let whole = format!("{}/{rest}", allowed.grant.host);
                let parts: Vec<&str> = whole
                    .split('/')
                    .filter(|part| !matches!(*part, "" | "."))
                    .collect();
                out.push((parts.join("/"), access));
            }
        }
    }
    out
}

/// `self` becomes the plugin's name on the way through the intersection; the caller's is done.
fn resolved(mut grants: Grants) -> Grants {
    for list in [&mut grants.messages.publish, &mut grants.messages.subscribe] {
        for topic in list.iter_mut() {
            *topic = topic.replace("self", "me");
        }
        list.sort();
    }
    grants
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn an_intersection_allows_what_both_allow_and_nothing_else(a in grants(), b in grants()) {
        let (a, b) = (resolved(a), resolved(b));
        let expected: Vec<bool> =
            answers(&a).into_iter().zip(answers(&b)).map(|(a, b)| a && b).collect();
        prop_assert_eq!(answers(&meet(&a, &b)), expected);
        let (ours, theirs) = (reachable(&a), reachable(&b));
        for file in reachable(&meet(&a, &b)) {
            prop_assert!(ours.contains(&file) || theirs.contains(&file), "{:?}", file);
        }
    }

    #[test]
    fn an_intersection_does_not_care_who_is_first(a in grants(), b in grants()) {
        let (a, b) = (resolved(a), resolved(b));
        let (ab, ba) = (meet(&a, &b), meet(&b, &a));
        prop_assert_eq!(answers(&ab), answers(&ba));
        prop_assert_eq!(&ab.tools, &ba.tools);
        prop_assert_eq!(&ab.model, &ba.model);
        prop_assert_eq!(&ab.messages, &ba.messages);
        prop_assert_eq!(&ab.state, &ba.state);
        prop_assert_eq!(&ab.secrets, &ba.secrets);
    }

    #[test]
    fn an_intersection_with_itself_changes_nothing(a in grants()) {
        let a = resolved(a);
        let once = meet(&a, &a);
        prop_assert_eq!(answers(&once), answers(&a));
        prop_assert_eq!(meet(&once, &once), once);
    }

    #[test]
    fn an_intersection_reaches_no_host_file_that_the_profile_does_not(a in grants(), b in grants()) {
        let met = meet(&a, &b);
        for grant in &met.files {
            let from = a.files.iter().find(|had| {
                let inside = had.host == "." || grant.host == had.host
                    || grant.host.starts_with(&format!("{}/", had.host));
                inside && had.access >= grant.access && had.quota_bytes >= grant.quota_bytes
            });
            prop_assert!(from.is_some(), "{:?} out of {:?}", grant, a.files);
        }
        prop_assert_eq!(meet(&a, &Grants::default()), Grants::default());
    }

    #[test]
    fn an_intersection_with_oneself_reaches_the_same_host_files(a in grants()) {
        prop_assert_eq!(reachable(&meet(&a, &a)), reachable(&a));
    }

    #[test]
    fn an_intersection_never_raises_a_cap(a in grants(), b in grants()) {
        let met = meet(&a, &b);
        let most = |rules: &[HttpRule]| rules.iter().map(|rule| rule.response_bytes).max().unwrap_or(0);
        prop_assert!(most(&met.http) <= most(&a.http).min(most(&b.http)));
        prop_assert!(met.model.tokens <= a.model.tokens.min(b.model.tokens));
        prop_assert!(met.state.bytes <= a.state.bytes.min(b.state.bytes));
        let private = |rules: &[HttpRule]| rules.iter().any(|rule| rule.private_network);
        prop_assert!(!private(&met.http) || (private(&a.http) && private(&b.http)));
    }

    #[test]
    fn a_plan_never_widens(a in grants(), call in pick(TOOLS, 3), urls in vec(select(URLS), 0..3), memory in 1..200_u64) {
        let a = resolved(a);
        let http: Vec<_> = urls.iter().map(|url| serde_json::json!({ "url": url, "methods": METHODS })).collect();
        let json = serde_json::json!({
            "limits": { "memory": format!("{memory}MiB") }, "grants": { "tools": { "call": call }, "http": http },
        });
        let plan = Narrowing::from_json("me", &json, "plan.yaml", Position::START).expect("a narrowing");
        let (rights, _) = effective(&anything(), &profile(a.clone()), &plan, None);
        for (narrow, wide) in answers(&rights.grants).into_iter().zip(answers(&a)) {
            prop_assert!(!narrow || wide);
        }
        prop_assert!(rights.limits.memory_bytes <= 64 << 20);
    }

    #[test]
    fn no_manifest_and_no_list_means_none(a in grants()) {
        let nothing = Manifest::from_imports("me", []);
        let (rights, _) = effective(&nothing, &profile(a), &Narrowing::none("me"), None);
        prop_assert_eq!(rights.grants, Grants::default());
        prop_assert!(answers(&Grants::default()).into_iter().all(|answer| !answer));
    }

    #[test]
    fn a_profile_hashes_alike_however_its_keys_are_ordered(order in Just((0..PARTS.len()).collect::<Vec<_>>()).prop_shuffle()) {
        let text: String = order.iter().map(|index| PARTS[*index]).collect();
        let head = "name = \"x\"\nlog = true\nversion = 1\n";
        let shuffled = Profile::parse(&format!("{head}{text}"), "x.toml").expect("shuffled");
        let head = "version = 1\nname = \"x\"\ndescription = \"other words\"\nlog = true\n";
        let straight = Profile::parse(&format!("{head}{}", PARTS.concat()), "x.toml").expect("straight");
        prop_assert_eq!(shuffled.canonical(), straight.canonical());
        prop_assert_eq!(shuffled.hash(), straight.hash());
    }
}

/// Tables whose order, and whose lists' order, means nothing.
const PARTS: [&str; 7] = [
    "[limits]\nfuel = 7\nmemory = \"1MiB\"\n",
    "[env]\nB = \"2\"\nA = \"1\"\n",
    "[model]\nusd = 1\nallow = [\"b/*\", \"a/*\"]\ntokens = 5\n",
    "[tools]\ncall = [\"b\", \"a/x\"]\n",
    "[[files]]\nhost = \"b\"\naccess = \"read\"\nguest = \"/b\"\n",
    "[clock]\nwall = \"virtual\"\n",
    "[state]\nnamespaces = [\"y\", \"x\"]\n",
];

/// Text that looks like what parsers expect, so that it gets past the first check.
fn near_miss() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "https://",
        "http://",
        "a.example.com",
        "[",
        "]",
        ":",
        "443",
        "/",
        "..",
        "%2e",
        "%",
        "@",
        "\\",
        "?",
        "#",
        "127.0.0.1",
        "::1",
        "*",
        ".",
        "xn--",
        "é",
        "\u{200b}",
        "\u{0}",
        "10.0.0.0/8",
        "GET",
        ";",
        " ",
        "\n",
    ]);
    prop_oneof![
        vec(pieces, 0..12).prop_map(|pieces| pieces.concat()),
        ".*",
        "\\PC{0,64}"
    ]
}

/// The same for documents.
fn near_toml() -> impl Strategy<Value = String> {
    let lines = select(vec![
        "version = 1",
        "name = \"x\"",
        "log = true",
        "[limits]",
        "memory = \"64MiB\"",
        "fuel = 0",
        "[[http]]",
        "url = \"https://a.example/\"",
        "url = 3",
        "methods = [\"GET\"]",
        "methods = {}",
        "[http]",
        "inject = {}",
        "[[files]]",
        "guest = \"/a\"",
        "host = \"..\"",
        "access = \"write\"",
        "[env]",
        "A = 1",
        "[needs]",
        "[[tools]]",
        "input = {}",
        "description = \"\\u200b\"",
        "[[case]]",
        "expect = \"deny\"",
        "http = \"GET x\"",
        "= =",
        "\"",
        "[",
        "kind = \"tool\"",
        "x = 1979-05-27",
        "tools = [[[[]]]]",
        "é = \"é\"",
        "a.b.c = nan",
    ]);
    prop_oneof![vec(lines, 0..24).prop_map(|lines| lines.join("\n")), ".*"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_024, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_panics_on_any_text(text in near_miss(), method in prop_oneof![Just("GET".to_owned()), ".*"], a in grants()) {
        if let Ok(target) = Target::parse(&text, &method) {
            let _ = decide_http(&a.http, &target);
            prop_assert!(target.path().starts_with('/'));
            prop_assert!(!target.path().contains("/../") && !target.path().ends_with("/.."));
            prop_assert!(!target.host().is_empty() && target.port() != 0);
            let again = Target::parse(target.url(), &method).expect("a canonical URL is canonical");
            prop_assert_eq!(again, target);
        }
        let _ = Target::from_parts(Some("https"), &text, &text, &method);
        let _ = decide_file(&a.files, &text, Access::Write);
        let _ = decide_tool(&a.tools, &text);
        let _ = decide_model(&a.model, &text);
        let _ = decide_topic(&a.messages, Direction::Publish, &text);
        let _ = decide_state(&a.state, &text);
        let _ = decide_secret(&a.secrets, &text);
        let _ = decide_reveal(&a.secrets, &text);
    }

    #[test]
    fn a_rule_that_is_read_is_canonical_and_a_target_below_it_is_allowed(text in near_miss()) {
        if let Ok(rule) = HttpRule::new(&text, &["GET"]) {
            let again = HttpRule::new(&rule.url, &["GET"]).expect("a canonical rule is a rule");
            prop_assert_eq!(&again.url, &rule.url);
            if !rule.url.contains('*') && !rule.url.contains("/8]") {
                let target = Target::parse(&rule.url, "GET").expect("a plain rule is a place");
                prop_assert!(decide_http(&[rule], &target).is_ok());
            }
        }
    }

    #[test]
    fn no_address_passes_that_the_table_blocks(bits in any::<u128>(), v4 in any::<u32>(), form in 0..4_u8) {
        let embedded = match form {
            0 => bits,
            1 => (0xffff_u128 << 32) | u128::from(v4),
            2 => (0x0064_ff9b_u128 << 96) | u128::from(v4),
            _ => (0x2002_u128 << 112) | (u128::from(v4) << 80),
        };
        let rule = HttpRule::new("https://a.example.com/", &["GET"]).expect("a rule of the test");
        for address in [IpAddr::V4(v4.into()), IpAddr::V6(embedded.into())] {
            let checked = check_addresses(&rule, &[address], &[], true);
            prop_assert_eq!(checked.is_ok(), blocked(address).is_none());
        }
        let inside = blocked(IpAddr::V4(v4.into())).is_some();
        if (1..=2).contains(&form) {
            prop_assert_eq!(blocked(IpAddr::V6(embedded.into())).is_some(), inside);
        }
    }

    #[test]
    fn no_reader_panics_on_any_document(text in near_toml()) {
        if let Ok(profile) = Profile::parse(&text, "x.toml") {
            prop_assert_eq!(profile.hash().len(), 71);
        }
        let _ = Manifest::parse(&text, "plugin.toml");
        let _ = Cases::parse(&text, "cases.toml");
        let _ = Narrowing::from_json("x", &serde_json::Value::String(text), "plan.yaml", Position::START);
    }
}
