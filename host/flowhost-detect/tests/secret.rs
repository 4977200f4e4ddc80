//! Known secrets in every form that is promised, anywhere in any text, and nothing else.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use data_encoding::{BASE32, BASE32_NOPAD, BASE32HEX};
use flowhost_detect::Secrets;
use proptest::prelude::*;

fn hex(text: &str, before: &str, after: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        let _ = write!(all, "{before}{byte:02x}{after}");
        all
    })
}

/// A way to write a secret down.
type Form = fn(&str) -> String;

const FORMS: &[(&str, Form)] = &[
    ("plain", |s| s.to_owned()),
    ("capitals", |s| s.to_ascii_uppercase()),
    ("reversed", |s| s.chars().rev().collect()),
    ("base64", |s| STANDARD.encode(s)),
    ("base64 behind one", |s| STANDARD.encode(format!("u{s}"))),
    ("base64 behind two", |s| STANDARD.encode(format!("u:{s}"))),
    ("base64url", |s| URL_SAFE_NO_PAD.encode(format!("{s}?"))),
    ("base64 reversed", |s| {
        STANDARD.encode(s).chars().rev().collect()
    }),
    ("base64 in lines", |s| {
        let coded = STANDARD.encode(s);
        coded
            .as_bytes()
            .chunks(5)
            .map(|it| String::from_utf8_lossy(it) + "\r\n")
            .collect()
    }),
    ("base64 of what Windows writes", |s| {
        let wide: Vec<u8> = s.encode_utf16().flat_map(u16::to_le_bytes).collect();
        STANDARD.encode(wide)
    }),
    ("base32", |s| BASE32.encode(s.as_bytes())),
    ("base32 in small letters", |s| {
        BASE32_NOPAD.encode(s.as_bytes()).to_ascii_lowercase()
    }),
    ("base32 behind one", |s| {
        BASE32.encode(format!("u{s}").as_bytes())
    }),
    ("base32 behind two", |s| {
        BASE32.encode(format!("u:{s}!").as_bytes())
    }),
    ("base32 behind three", |s| {
        BASE32_NOPAD.encode(format!("us:{s}").as_bytes())
    }),
    ("base32 behind four", |s| {
        BASE32_NOPAD.encode(format!("use:{s}@host").as_bytes())
    }),
    ("base32 with digits first", |s| {
        BASE32HEX.encode(format!("u:{s}").as_bytes())
    }),
    ("base32 in groups", |s| {
        let coded = BASE32_NOPAD.encode(s.as_bytes());
        let groups = coded.as_bytes().chunks(4);
        groups.map(|it| String::from_utf8_lossy(it) + "-").collect()
    }),
    ("base32 reversed", |s| {
        BASE32.encode(s.as_bytes()).chars().rev().collect()
    }),
    ("hexadecimal", |s| hex(s, "", "")),
    ("hexadecimal capitals", |s| hex(s, "", "").to_uppercase()),
    ("hexadecimal with colons", |s| hex(s, "", ":")),
    ("escaped bytes", |s| hex(s, "\\x", "")),
    ("an array of bytes", |s| hex(s, "0x", ", ")),
    ("a list of bytes", |s| format!("{:?}", s.as_bytes())),
    ("a list of bytes that is JSON", |s| {
        serde_json::Value::from(s.as_bytes()).to_string()
    }),
    ("percent", |s| hex(s, "%", "")),
    ("JSON", |s| serde_json::Value::from(s).to_string()),
    ("JSON in JSON", |s| {
        serde_json::Value::from(serde_json::Value::from(s).to_string()).to_string()
    }),
    ("unicode escapes", |s| {
        s.chars()
            .map(|it| format!("\\u{:04x}", u32::from(it)))
            .collect()
    }),
    ("entities", |s| {
        s.chars()
            .map(|it| format!("&#{};", u32::from(it)))
            .collect()
    }),
    ("spaced", |s| s.chars().map(|it| format!("{it} ")).collect()),
    ("split by nothing seen", |s| {
        s.chars().map(|it| format!("{it}\u{200b}")).collect()
    }),
    ("split in two strings", |s| {
        format!("\"{}\", \"{}\"", &s[..7], &s[7..])
    }),
    ("split in two lines", |s| {
        format!("{}\n> {}", &s[..5], &s[5..])
    }),
    ("put together", |s| format!("'{}' + '{}'", &s[..9], &s[9..])),
];

proptest! {
    #[test]
    fn every_form_is_found_wherever_it_stands(
        secret in "[a-zA-Z0-9]{4}[a-zA-Z0-9/+=_.-]{4,24}[a-zA-Z0-9]{8}",
        before in "[ -~]{0,40}[ ,:]",
        after in "[ ,;][ -~]{0,40}",
    ) {
        let secrets = Secrets::new([secret.as_str()]);
        for (name, form) in FORMS {
            let text = format!("{before}{}{after}", form(&secret));
            prop_assert!(!secrets.is_clean(text.as_bytes()), "{name}: {text}");
        }
    }

    #[test]
    fn what_is_left_holds_no_half_of_it(
        secret in "[a-z]{4}[A-Z]{4}-[0-9]{8}",
        before in "[ -~]{0,20} ",
    ) {
        let secrets = Secrets::new([secret.as_str()]);
        let text = format!("{before}{secret} end");
        let mut left = text.clone();
        for place in secrets.find(text.as_bytes()).into_iter().rev() {
            left.replace_range(place, "");
        }
        prop_assert!(!left.contains(&secret[..8]) && left.ends_with(" end"), "{left}");
    }

    #[test]
    fn no_bytes_make_it_fail_and_places_are_in_order(
        text in proptest::collection::vec(any::<u8>(), 0..400),
        secret in "\\PC{1,12}",
    ) {
        let mut end = 0;
        for place in Secrets::new([secret.as_str()]).find(&text) {
            prop_assert!(place.start >= end && place.end > place.start && place.end <= text.len());
            end = place.end;
        }
    }

    #[test]
    fn finds_what_a_naive_search_finds(
        text in "[ab]{0,60}",
        words in proptest::collection::vec("[ab]{1,7}", 1..5),
    ) {
        // Too short for any other form, so that only the words themselves are looked for.
        let secrets = Secrets::new(words.iter().map(String::as_str));
        let mut covered = vec![false; text.len()];
        for word in words.iter().flat_map(|it| [it.clone(), it.chars().rev().collect()]) {
            for at in 0..text.len() {
                if text[at..].starts_with(&word) && words.contains(&word) {
                    covered[at..at + word.len()].fill(true);
                }
            }
        }
        for place in secrets.find(text.as_bytes()) {
            covered[place].fill(false);
        }
        prop_assert!(covered.iter().all(|it| !it), "{text} {words:?}");
    }
}

#[test]
fn innocent_text_has_no_secret() {
    let secrets = Secrets::new(["s3cr3t-canary-value", "hunter2", ""]);
    for text in [
        "nothing to see: s3cr3t, a canary, value of hunters",
        "hunter 2 and HUNTER2",
        "aHVudGVy and 68756e746572",
        "NB2W45DF and MFRGGZDF",
        "",
    ] {
        assert!(secrets.is_clean(text.as_bytes()), "{text}");
    }
    assert!(Secrets::new([""]).is_clean(b"anything"));
}

#[test]
fn a_short_secret_is_found_as_it_is_and_encoded() {
    let secrets = Secrets::new(["hunter2"]);
    assert_eq!(secrets.find(b"is hunter2.").first(), Some(&(3..10)));
    assert_eq!(secrets.find(b"is aHVudGVyMg==").first(), Some(&(3..12)));
    assert_eq!(secrets.find(b"is NB2W45DFOIZA====").first(), Some(&(3..14)));
}

#[test]
fn twice_the_text_takes_about_twice_as_long_whatever_it_is_made_of() {
    let secret = "ab".repeat(200) + "c";
    let secrets = Secrets::new([secret.as_str()]);
    for piece in [
        "ab", "a", "a b ", "61", "%61", "\\u0061", "YWJh", "&#97;", " ",
    ] {
        let time = |bytes: usize| {
            let text = piece.repeat(bytes / piece.len());
            let times = (0..5).map(|_| {
                let start = std::time::Instant::now();
                std::hint::black_box(secrets.find(text.as_bytes()));
                start.elapsed()
            });
            times.min().unwrap_or_default()
        };
        let (once, eight) = (time(20_000), time(160_000));
        // Quadratic would be sixty-four times; a busy machine may double what is linear.
        assert!(
            eight < once * 24 + std::time::Duration::from_millis(20),
            "{piece}: {once:?}, {eight:?}"
        );
    }
}

#[test]
fn a_line_of_a_secret_of_several_lines_is_found_alone() {
    let lines = ["MIGTAgEAMBMGByqGSM49", "AgEGCCqGSM49AwEHBHkw"];
    let key = format!(
        "-----BEGIN KEY-----\n{}\r\n{}\n-----END KEY-----\n",
        lines[0], lines[1]
    );
    for key in [key.replace('\n', "\\n"), key] {
        let secrets = Secrets::new([key.as_str()]);
        for line in lines {
            let text = format!("a line: {line}");
            assert_eq!(
                secrets.find(text.as_bytes()).first(),
                Some(&(8..28)),
                "{key}"
            );
        }
        assert!(secrets.is_clean(b"-----BEGIN KEY-----"));
    }
}
