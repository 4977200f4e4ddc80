//! Plants a token of every kind in every surrounding that text comes in, and demands that no letter of
//! it is left and no letter of the surrounding is lost; and holds a list of what only looks alike and
//! must stay. Tokens are put together here, so that no file of this repository holds anything that
//! looks like a key.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use std::borrow::Cow;

use flowhost_detect::{Detector, Kind, count, redact, redact_json};

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";
const DIGITS: &str = "0123456789";

/// Letters that look random and are the same in every run.
struct Letters(u64);

impl Letters {
    fn take(&mut self, alphabet: &str, length: usize) -> String {
        let alphabet = alphabet.as_bytes();
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 >> 33).expect("31 bits")
        };
        (0..length)
            .map(|_| char::from(alphabet[next() % alphabet.len()]))
            .collect()
    }
}

/// One token of each kind: what it is, under which name, and which kind counts it.
fn tokens(letters: &mut Letters) -> Vec<(String, &'static str, Kind)> {
    let prefixed: &[(&str, &str, usize, &'static str)] = &[
        ("AKIA", BASE32, 16, "aws-access-key"),
        ("ASIA", BASE32, 16, "aws-access-key"),
        ("ghp_", LETTERS, 36, "github-token"),
        ("github_pat_", LETTERS, 82, "github-token"),
        ("glpat-", LETTERS, 20, "gitlab-token"),
        ("sk-ant-api03-", LETTERS, 93, "anthropic-key"),
        ("sk-proj-", LETTERS, 120, "openai-key"),
        ("sk-", HEX, 32, "openai-key"),
        ("AIza", LETTERS, 35, "google-api-key"),
        ("ya29.", LETTERS, 60, "google-oauth-token"),
        ("GOCSPX-", LETTERS, 28, "google-oauth-secret"),
        ("xoxb-", DIGITS, 24, "slack-token"),
        ("xapp-1-", LETTERS, 40, "slack-token"),
        ("sk_live_", LETTERS, 24, "stripe-key"),
        ("whsec_", LETTERS, 32, "stripe-webhook-secret"),
        ("npm_", LETTERS, 36, "npm-token"),
        ("pypi-", LETTERS, 120, "pypi-token"),
        ("hf_", LETTERS, 34, "huggingface-token"),
        ("dop_v1_", HEX, 64, "digitalocean-token"),
        ("shpat_", HEX, 32, "shopify-token"),
        ("712345678:AA", LETTERS, 33, "telegram-token"),
    ];
    let mut all: Vec<(String, &str, Kind)> = prefixed
        .iter()
        .map(|(head, alphabet, length, label)| {
            (
                format!("{head}{}", letters.take(alphabet, *length)),
                *label,
                Kind::Key,
            )
        })
        .collect();
    let (id, secret) = (letters.take(LETTERS, 22), letters.take(LETTERS, 43));
    all.push((format!("SG.{id}.{secret}"), "sendgrid-key", Kind::Key));
    let (claims, sign) = (letters.take(LETTERS, 90), letters.take(LETTERS, 43));
    let web = format!("eyJhbGciOiJIUzI1NiJ9.eyJ{claims}.{sign}");
    all.push((web, "json-web-token", Kind::Key));
    all.extend([
        ("4111 1111 1111 1111".to_owned(), "card", Kind::Card),
        ("5555555555554444".to_owned(), "card", Kind::Card),
        ("3782-822463-10005".to_owned(), "card", Kind::Card),
        (
            "ann.lee+news@mail.example.org".to_owned(),
            "email",
            Kind::Email,
        ),
        ("b_9@xn--bcher-kva.example".to_owned(), "email", Kind::Email),
        ("+49 30 9018 2044".to_owned(), "phone", Kind::Phone),
        ("+12125550187".to_owned(), "phone", Kind::Phone),
        ("(212) 555-0187".to_owned(), "phone", Kind::Phone),
    ]);
    all
}

/// Where a token stands: before it and after it.
const SURROUNDINGS: &[(&str, &str)] = &[
    ("", ""),
    ("the value is ", ", as agreed."),
    ("{\"key\":\"", "\",\"n\":1}"),
    ("{\"text\":\"first line\\n", "\\nlast line\"}"),
    ("{\"text\":\"a\\t", "\\r\\n\"}"),
    ("\"{\\\"inner\\\":\\\"x\\\\n", "\\\\n\\\"}\""),
    ("\"caf\\u00e9\\u0020", "\\u0020x\""),
    ("- **", "** in bold"),
    ("`", "`"),
    ("| cell | ", " | cell |"),
    ("[a link](https://host.example/?q=", "&x=1)"),
    ("https://host.example/p?a=1&token=", "#part"),
    ("redirect?to=%2Fhome%3Fk%3D", "%26x"),
    ("let key = \"", "\";"),
    ("export SECRET='", "'"),
    ("key: ", "\nnext: line"),
    ("one\n", "\ntwo"),
    ("\u{8bf7}\u{7528}\u{ff1a}", "\u{ff0c}\u{8c22}\u{8c22}"),
    ("\u{1f600}", "\u{1f600}"),
    ("\u{201c}", "\u{201d}"),
    ("<td>", "</td>"),
    ("<p title=\"", "\">"),
];

#[test]
fn every_token_is_found_in_every_surrounding_and_nothing_else_is_touched() {
    let mut letters = Letters(0x9e37_79b9_7f4a_7c15);
    let mut planted = 0;
    for (before, after) in SURROUNDINGS {
        for (token, label, kind) in tokens(&mut letters) {
            let text = format!("{before}{token}{after}");
            let wanted = format!("{before}[redacted:{label}]{after}");
            assert_eq!(redact(&text), wanted, "{text}");
            assert_eq!(count(&text).of(kind), 1, "{text}");
            planted += 1;
        }
    }
    assert!(planted >= 600, "{planted}");
}

#[test]
fn all_of_them_in_one_text_are_found_and_a_second_pass_finds_nothing() {
    let mut letters = Letters(42);
    let (mut text, mut wanted) = (String::new(), String::new());
    for (before, after) in SURROUNDINGS {
        for (token, label, _) in tokens(&mut letters) {
            text.push_str(&format!("{before}{token}{after}\n\n"));
            wanted.push_str(&format!("{before}[redacted:{label}]{after}\n\n"));
        }
    }
    let clean = redact(&text);
    for (clean, wanted) in clean.lines().zip(wanted.lines()) {
        assert_eq!(clean, wanted);
    }
    assert_eq!(clean.len(), wanted.len());
    assert!(matches!(redact(&clean), Cow::Borrowed(_)));
}

#[test]
fn what_is_json_stays_json_when_it_is_redacted_as_a_text() {
    let mut letters = Letters(3);
    for (token, label, _) in tokens(&mut letters) {
        let value = serde_json::json!({ "a": format!("x\n{token}\ty\"{token}\""), "b": [token] });
        let clean: serde_json::Value =
            serde_json::from_str(&redact(&value.to_string())).expect("still JSON");
        let mark = format!("[redacted:{label}]");
        let wanted = serde_json::json!({ "a": format!("x\n{mark}\ty\"{mark}\""), "b": [mark] });
        assert_eq!(clean, wanted);
    }
}

#[test]
fn tokens_in_texts_keys_and_depths_of_a_value_are_all_gone() {
    let mut letters = Letters(5);
    let tokens = tokens(&mut letters);
    for (token, label, kind) in &tokens {
        let mut value = serde_json::json!({ "deep": [[{ "x": format!("is {token}.") }]] });
        value[format!("k {token}")] = serde_json::json!(null);
        let counts = redact_json(&mut value);
        assert_eq!((counts.of(*kind), counts.total()), (2, 2), "{token}");
        let mark = format!("[redacted:{label}]");
        let mut wanted = serde_json::json!({ "deep": [[{ "x": format!("is {mark}.") }]] });
        wanted[format!("k {mark}")] = serde_json::json!(null);
        assert_eq!(value, wanted);
    }
}

#[test]
fn a_token_written_with_escapes_is_found_whole() {
    for (text, wanted) in [
        (r"ann\u0040example.org", "[redacted:email]"),
        (r"ann%40example.org", "[redacted:email]"),
        (r"ann\\u0040example\u002eorg", "[redacted:email]"),
        (r"first\_last@example.org", "[redacted:email]"),
        (r"\u002b49 30 90182044", "[redacted:phone]"),
        (r"4111\u00201111\u00201111\u00201111", "[redacted:card]"),
    ] {
        assert_eq!(redact(text), wanted, "{text}");
    }
    let key = format!("sk\\_live\\_{}", Letters(1).take(LETTERS, 24));
    assert_eq!(redact(&key), "[redacted:stripe-key]");
    let split = format!("gh\\u0070_{}", Letters(2).take(LETTERS, 36));
    assert_eq!(redact(&split), "[redacted:github-token]");
}

fn block(kind: &str, body: &str) -> String {
    let kind = format!("{kind}PRIVATE KEY");
    [
        "-----BEGIN ",
        &kind,
        "-----\n",
        body,
        "\n-----END ",
        &kind,
        "-----",
    ]
    .concat()
}

#[test]
fn blocks_of_private_keys_go_whole_in_lines_and_escaped_and_without_their_end() {
    let mut letters = Letters(11);
    for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
        let lines: Vec<String> = (0..5).map(|_| letters.take(LETTERS, 64)).collect();
        let block = block(kind, &lines.join("\n"));
        let mark = "[redacted:private-key]";
        assert_eq!(redact(&format!("a {block} b")), format!("a {mark} b"));
        let escaped = format!("{{\"k\":\"{}\\n\"}}", block.replace('\n', "\\n"));
        assert_eq!(redact(&escaped), format!("{{\"k\":\"{mark}\\n\"}}"));
        let cut = &block[..block.len() - 60];
        let clean = redact(cut);
        assert!(
            clean.starts_with(mark) && clean.len() < mark.len() + 16,
            "{clean}"
        );
    }
}

#[test]
fn a_bearer_token_goes_and_its_header_stays() {
    let mut letters = Letters(13);
    for head in [
        "Authorization: Bearer ",
        "authorization: bearer ",
        "{\"Authorization\":\"Bearer ",
        "-H 'Authorization: BEARER ",
    ] {
        let token = format!(
            "{}.{}~+/=",
            letters.take(LETTERS, 20),
            letters.take(LETTERS, 20)
        );
        assert_eq!(
            redact(&format!("{head}{token}\"")),
            format!("{head}[redacted:bearer-token]\"")
        );
    }
    let known = format!("Bearer ghp_{}", letters.take(LETTERS, 36));
    assert_eq!(redact(&known), "Bearer [redacted:github-token]");
}

/// What looks a little like something and is not.
const NEAR_MISSES: &[&str] = &[
    // hashes and ids
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "b6651e6..36c5d28",
    "index 4111111..5555555 100644",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "md5 d41d8cd98f00b204e9800998ecf8427e",
    "550e8400-e29b-41d4-a716-446655440000",
    "00000000-0000-0000-0000-000000000000",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV 01JD0000000000000000000001",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "sha512-oeBTVCSzbd8kMm5UQhn4cNnhEbJ7MU1UsdwIl0kPEEiVIuKf2vuF7RtUMQhDcFRCaqJuVcU7oWjgYIPOdk2EUA==",
    // versions, dates, times, numbers
    "1.2.3, v10.20.30-rc.4+20261121, =48.0.8, 2.0.0-beta.11",
    "2026-11-21T09:30:00.123456789Z, 2026-11-21 09:30:00 +01:00, 21.11.2026, 11/21/2026",
    "1700000000000 and 1700000000123456789",
    "1,234,567.89 USD, 1.234.567,89 EUR, 12 345 678, $4,111.11",
    "3.14159265358979323846, 6.02214076e23, 0x4111111111111111",
    "0000 0000 0000 0000, 4111 1111 1111 1112, 1234567890123456",
    "ISBN 978-3-16-148410-0, 9783161484100",
    "100% of 50%25, 5 of 10 (50 %)",
    // addresses that are none
    "10.0.0.1:8080, 192.168.100.200, fe80::1, 127.0.0.1/8",
    "user@localhost, @mention, a@b, left@1.2.3, logo@2x.png, icon@3x.webp",
    "npm install left-pad@1.3.0 @scope/name@2.0.0",
    "call 112 or 911, room 30-12, lines 120-145, 1234567890",
    "diff -120,7 +120,9 @@ fn main()",
    // prefixes without a key
    "AKIA is a prefix, AKIASHORT is none, XAKIAABCDEFGHIJKLMNOP is inside a word",
    "sk-learn, sk-short, ghp_short, npm_config_registry, hf_hub, pypi-server",
    "sk-this-is-a-name-of-words-with-hyphens-in-it-and-nothing-else",
    "task-sk_live, risk-analysis-of-everything-that-can-go-wrong-here",
    "xoxo-love, xapp-to-app-communication-in-detail, whsec_short",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "eyJ alone, eyJhbGciOi and eyJhbGciOi.x.y",
    "the bearer of this letter, Bearer authentication, bearer token, bearer internationalisation",
    "hooks.slack.com/services is where they are",
    // escapes that are none
    "C:\\new\\table\\users, \\begin{table}, a\\b",
    "\\u12 \\uzzzz %zz %4 \\",
];

#[test]
fn near_misses_stay_as_they_are() {
    for text in NEAR_MISSES {
        assert_eq!(redact(text), *text);
        let quoted = serde_json::json!({ "k": text }).to_string();
        assert_eq!(redact(&quoted), quoted);
    }
}

#[test]
fn only_the_kinds_that_are_asked_for_are_found() {
    let mut letters = Letters(17);
    for (token, _, kind) in tokens(&mut letters) {
        let others: Vec<Kind> = Kind::ALL.into_iter().filter(|it| *it != kind).collect();
        let found = Detector::new(&[kind]).find(&token);
        assert!(
            found.iter().all(|it| it.kind == kind) && found.len() == 1,
            "{token}"
        );
        assert!(
            Detector::new(&others)
                .find(&token)
                .iter()
                .all(|it| it.kind != kind)
        );
    }
}
