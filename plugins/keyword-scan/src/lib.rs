//! The guardrail `keyword-scan`: stops a value that holds a banned word, in any of its texts or keys.
//!
//! `with: { banned: [...], whole_words: true, ignore_case: true }`. It reports where, and the word as
//! the configuration spells it, never the text around it. The form of Unicode never matters, and a word
//! of a script without spaces stands alone wherever it stands.

mod form;
mod scan;

use flowhost_sdk::{Context, Error, Finding, Guardrail, Severity, Subject, Verdict, parse};
use jsonptr::Token;
use serde::Deserialize;
use serde_json::Value;

use crate::scan::Scanner;

/// Most findings of one verdict.
const FINDINGS_MAX: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    banned: Vec<String>,
    #[serde(default = "yes")]
    whole_words: bool,
    #[serde(default = "yes")]
    ignore_case: bool,
}

const fn yes() -> bool {
    true
}

fn judge(value: &str, config: &str) -> Result<Verdict, Error> {
    let config: Config = parse(config)?;
    let scanner = Scanner::new(&config.banned, config.whole_words, config.ignore_case)?;
    let value: Value = parse(value)?;
    let mut findings = Vec::new();
    walk(&value, &mut String::new(), &mut |text, pointer| {
        // The flood of a long value is cut here and not at the end: each finding holds a pointer.
        let room = FINDINGS_MAX - findings.len();
        let words = scanner.words(text).into_iter().take(room);
        findings.extend(words.map(|word| finding(word, pointer)));
    });
    Ok(if findings.is_empty() {
        Verdict::pass()
    } else {
        Verdict::deny(findings)
    })
}

fn finding(word: &str, pointer: &str) -> Finding {
    Finding {
        severity: Severity::Error,
        code: "banned-word".to_owned(),
        message: format!("holds the banned word `{word}`"),
        pointer: pointer.to_owned(),
    }
}

/// Shows every text of a value, keys included, with its RFC 6901 pointer. Depth is bounded by the
/// JSON parser, which refuses more than 128 levels.
fn walk(value: &Value, pointer: &mut String, see: &mut impl FnMut(&str, &str)) {
    let length = pointer.len();
    match value {
        Value::String(text) => see(text, pointer),
        Value::Array(items) => {
            for (place, item) in items.iter().enumerate() {
                pointer.push('/');
                pointer.push_str(&place.to_string());
                walk(item, pointer, see);
                pointer.truncate(length);
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                pointer.push('/');
                pointer.push_str(Token::new(key).encoded());
                see(key, pointer);
                walk(item, pointer, see);
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

struct KeywordScan;

impl Guardrail for KeywordScan {
    fn check(_: &Context, subject: &Subject, config: &str) -> Result<Verdict, Error> {
        judge(&subject.value, config)
    }
}

flowhost_sdk::export_guardrail!(KeywordScan);

#[cfg(test)]
mod tests {
    use flowhost_sdk::Action;

    use super::*;

    fn places(value: &str, config: &str) -> Vec<String> {
        judge(value, config)
            .expect("a verdict")
            .findings
            .into_iter()
            .map(|it| it.pointer)
            .collect()
    }

    #[test]
    fn finds_words_in_texts_keys_and_lists_and_points_at_them() {
        let value = r#"{"a":["fine","our Codename-X"],"codename-x/y":1,"b":"ok"}"#;
        assert_eq!(
            places(value, r#"{"banned":["codename-x"]}"#),
            ["/a/1", "/codename-x~1y"]
        );
    }

    #[test]
    fn refuses_an_empty_word_because_it_is_everywhere() {
        assert!(matches!(
            judge("1", r#"{"banned":[" "]}"#),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn refuses_a_key_that_it_does_not_know() {
        assert!(matches!(
            judge("1", r#"{"banned":[],"baned":[]}"#),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn without_banned_words_everything_passes() {
        let verdict = judge(r#""codename-x""#, r#"{"banned":[]}"#).expect("a verdict");
        assert_eq!(verdict.action, Action::Pass);
    }

    #[test]
    fn a_flood_of_hits_is_reported_up_to_a_bound() {
        let value = format!("\"{}\"", "bad ".repeat(10_000));
        assert_eq!(places(&value, r#"{"banned":["bad"]}"#).len(), FINDINGS_MAX);
    }
}
