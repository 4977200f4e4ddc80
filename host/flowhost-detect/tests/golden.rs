//! Plants more than two hundred tokens in prose and demands that each is found under its own name and
//! that nothing else is touched. Tokens are put together here, so that no file of this repository
//! holds anything that looks like a key.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails loudly"
)]

use flowhost_detect::{Detector, Kind};

const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HEX: &str = "0123456789abcdef";

/// Letters that look random and are the same in every run.
struct Letters(u64);

impl Letters {
    fn take(&mut self, alphabet: &str, length: usize) -> String {
        let alphabet: Vec<char> = alphabet.chars().collect();
        (0..length)
            .map(|_| alphabet[self.next() % alphabet.len()])
            .collect()
    }

    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits")
    }

    /// A card number of a scheme: its first digits, filler and the check digit.
    fn card(&mut self, first: &str, length: usize) -> String {
        let body = format!(
            "{first}{}",
            self.take("0123456789", length - first.len() - 1)
        );
        (0..10)
            .map(|digit| format!("{body}{digit}"))
            .find(|card| luhn(card))
            .expect("one fits")
    }
}

/// The check of ISO/IEC 7812-1, written apart from the one under test.
fn luhn(card: &str) -> bool {
    let digits = card.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(place, digit)| {
            if place % 2 == 1 {
                digit * 2 / 10 + digit * 2 % 10
            } else {
                digit
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn keys(letters: &mut Letters) -> Vec<(String, &'static str)> {
    let mut keys = Vec::new();
    for _ in 0..6 {
        let mut add = |token: String, label| keys.push((token, label));
        add(format!("AKIA{}", letters.take(UPPER, 16)), "aws-access-key");
        add(format!("ASIA{}", letters.take(UPPER, 16)), "aws-access-key");
        add(format!("ghp_{}", letters.take(LETTERS, 36)), "github-token");
        add(format!("ghs_{}", letters.take(LETTERS, 36)), "github-token");
        add(
            format!("github_pat_{}", letters.take(LETTERS, 82)),
            "github-token",
        );
        add(
            format!("glpat-{}", letters.take(LETTERS, 20)),
            "gitlab-token",
        );
        add(
            format!("sk-ant-api03-{}", letters.take(LETTERS, 80)),
            "anthropic-key",
        );
        add(format!("sk-{}", letters.take(LETTERS, 48)), "openai-key");
        add(
            format!("sk-proj-{}", letters.take(LETTERS, 64)),
            "openai-key",
        );
        add(
            format!("AIza{}", letters.take(LETTERS, 35)),
            "google-api-key",
        );
        add(
            format!("GOCSPX-{}", letters.take(LETTERS, 28)),
            "google-oauth-secret",
        );
        add(
            format!("xoxb-{}", letters.take("0123456789", 24)),
            "slack-token",
        );
        add(
            format!("sk_live_{}", letters.take(LETTERS, 24)),
            "stripe-key",
        );
        add(
            format!("rk_test_{}", letters.take(LETTERS, 24)),
            "stripe-key",
        );
        add(format!("npm_{}", letters.take(LETTERS, 36)), "npm-token");
        add(format!("pypi-{}", letters.take(LETTERS, 80)), "pypi-token");
        add(
            format!("hf_{}", letters.take(LETTERS, 34)),
            "huggingface-token",
        );
        add(
            format!(
                "SG.{}.{}",
                letters.take(LETTERS, 22),
                letters.take(LETTERS, 43)
            ),
            "sendgrid-key",
        );
        add(
            format!("dop_v1_{}", letters.take(HEX, 64)),
            "digitalocean-token",
        );
        add(format!("shpat_{}", letters.take(HEX, 32)), "shopify-token");
        let bot = letters.take("123456789", 9);
        add(
            format!("{bot}:AA{}", letters.take(LETTERS, 33)),
            "telegram-token",
        );
        let (head, body) = (letters.take(LETTERS, 20), letters.take(LETTERS, 40));
        add(
            format!("eyJ{head}.eyJ{body}.{}", letters.take(LETTERS, 43)),
            "json-web-token",
        );
        let marker = ["-----BEGIN ", "RSA PRIVATE", " KEY-----"].concat();
        let end = ["-----END ", "RSA PRIVATE", " KEY-----"].concat();
        add(
            format!("{marker}\n{}\n{end}", letters.take(LETTERS, 64)),
            "private-key",
        );
    }
    keys
}

fn planted() -> Vec<(String, &'static str)> {
    let mut letters = Letters(7);
    let mut all = keys(&mut letters);
    for number in 0..10 {
        for (first, length) in [("4", 16), ("51", 16), ("37", 15), ("6011", 16)] {
            let card = letters.card(first, length);
            let spaced = card
                .as_bytes()
                .chunks(4)
                .map(String::from_utf8_lossy)
                .collect::<Vec<_>>();
            all.push((
                if number % 2 == 0 {
                    card
                } else {
                    spaced.join(" ")
                },
                "card",
            ));
        }
        for host in ["example.org", "mail.example.co.uk", "xn--bcher-kva.example"] {
            let name = letters.take("abcdefghijklmnop", 6);
            all.push((format!("{name}.{number}+tag@{host}"), "email"));
        }
        let tail = letters.take("123456789", 7);
        let (three, four) = tail.split_at(3);
        all.push((format!("+1 212 {three} {four}"), "phone"));
        all.push((format!("+49 30 {tail}"), "phone"));
        all.push((format!("(212) {three}-{four}"), "phone"));
        all.push((format!("212-{three}-{four}"), "phone"));
    }
    all
}

/// Texts that look a little like something and are not.
const DECOYS: &[&str] = &[
    "version 1.2.3-beta.4 of 2026-11-21T09:30:00Z",
    "order 4111111111111112 has a wrong check digit",
    "0000 0000 0000 0000",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "550e8400-e29b-41d4-a716-446655440000",
    "AKIA is a prefix, AKIASHORT is none, and XAKIAABCDEFGHIJKLMNOP is inside a word",
    "sk-learn, sk-short and ghp_short",
    "npm_config_registry and hf_hub",
    "user@localhost and @mention and a@b",
    "10.0.0.1:8080, 192.168.100.200 and ::1",
    "call 112 or 911, room 30-12",
    "1234567890 and 12345",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "3.14159265358979323846",
    "-----BEGIN CERTIFICATE-----",
    "eyJ alone, eyJhbGciOi and eyJhbGciOi.x.y",
];

#[test]
fn decoys_are_left_alone() {
    let detector = Detector::new(&Kind::ALL);
    for decoy in DECOYS {
        assert_eq!(detector.redact(decoy).0, *decoy);
    }
}

#[test]
fn each_of_the_planted_tokens_is_found_under_its_name_and_nothing_else_changes() {
    let planted = planted();
    assert!(planted.len() >= 200, "{}", planted.len());
    let detector = Detector::new(&Kind::ALL);
    let (mut text, mut wanted) = (String::new(), String::new());
    for (number, (token, label)) in planted.iter().enumerate() {
        let decoy = DECOYS[number % DECOYS.len()];
        text.push_str(&format!("{decoy}\nLine {number}: `{token}`, kept.\n"));
        wanted.push_str(&format!(
            "{decoy}\nLine {number}: `[redacted:{label}]`, kept.\n"
        ));
    }
    let (clean, found) = detector.redact(&text);
    for (clean, wanted) in clean.lines().zip(wanted.lines()) {
        assert_eq!(clean, wanted);
    }
    assert_eq!((clean.len(), found.len()), (wanted.len(), planted.len()));
}

#[test]
fn what_was_redacted_holds_nothing_more_to_redact() {
    let detector = Detector::new(&Kind::ALL);
    let text: String = planted()
        .iter()
        .map(|(token, _)| format!("{token}\n"))
        .collect();
    let (clean, _) = detector.redact(&text);
    assert_eq!(detector.find(&clean), []);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_fail_and_places_are_in_order(text in ".{0,400}") {
        let found = Detector::new(&Kind::ALL).find(&text);
        let mut end = 0;
        for place in found {
            proptest::prop_assert!(place.range.start >= end && text.get(place.range.clone()).is_some());
            end = place.range.end;
        }
    }
}
