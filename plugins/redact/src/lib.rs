//! The guardrail `redact`: rewrites a value without the e-mail addresses, phone numbers, payment cards
//! and provider keys in it, or stops it.
//!
//! `with: { kinds: [key, card, email, phone], mode: rewrite | deny }`; without `kinds` all of them. A
//! finding names the kind and the place and never what was found.

mod value;

use flowhost_detect::{Detector, Kind};
use flowhost_sdk::{Context, Error, Guardrail, Subject, Verdict, parse};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    kinds: Option<Vec<String>>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Rewrite,
    Deny,
}

impl Config {
    fn kinds(&self) -> Result<Vec<Kind>, Error> {
        let Some(words) = &self.kinds else {
            return Ok(Kind::ALL.to_vec());
        };
        let read = |word: &String| {
            Kind::parse(word).ok_or_else(|| {
                let known: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
                Error::invalid(format_args!("`kinds` knows {known:?} and not `{word}`"))
            })
        };
        words.iter().map(read).collect()
    }
}

fn judge(subject: &str, config: &str) -> Result<Verdict, Error> {
    let config: Config = parse(config)?;
    let detector = Detector::new(&config.kinds()?);
    let value: Value = parse(subject)?;
    let (clean, findings) = value::redact(&detector, value);
    Ok(match (findings.is_empty(), config.mode) {
        (true, _) => Verdict::pass(),
        (false, Mode::Deny) => Verdict::deny(findings),
        (false, Mode::Rewrite) => Verdict::rewrite(clean.to_string(), findings),
    })
}

struct Redact;

impl Guardrail for Redact {
    fn check(_: &Context, subject: &Subject, config: &str) -> Result<Verdict, Error> {
        judge(&subject.value, config)
    }
}

flowhost_sdk::export_guardrail!(Redact);

#[cfg(test)]
mod tests {
    use flowhost_sdk::Action;

    use super::*;

    #[test]
    fn refuses_a_kind_that_it_does_not_know() {
        assert!(matches!(
            judge("1", r#"{"kinds":["emial"]}"#),
            Err(Error::Invalid(_))
        ));
    }

    #[test]
    fn stops_instead_of_rewriting_where_the_configuration_says_so() {
        let verdict = judge(r#""ann@example.org""#, r#"{"mode":"deny"}"#).expect("a verdict");
        assert_eq!((verdict.action, verdict.value.as_str()), (Action::Deny, ""));
    }

    #[test]
    fn rewrites_texts_and_keys_and_leaves_the_rest() {
        let value = r#"{"to":["ann@example.org"],"bob@example.org":"hello","n":4111111111111111}"#;
        let verdict = judge(value, "{}").expect("a verdict");
        assert_eq!(verdict.action, Action::Rewrite);
        let clean: Value = parse(&verdict.value).expect("JSON");
        let wanted = serde_json::json!({
            "to": ["[redacted:email]"], "[redacted:email]": "hello", "n": "[redacted:card]",
        });
        assert_eq!(clean, wanted);
    }

    #[test]
    fn no_finding_repeats_what_it_found() {
        let verdict = judge(r#"{"a":"ann@example.org"}"#, "{}").expect("a verdict");
        let finding = verdict.findings.first().expect("a finding");
        assert_eq!(
            (finding.code.as_str(), finding.pointer.as_str()),
            ("email", "/a")
        );
        assert!(!finding.message.contains("ann"));
    }

    #[test]
    fn only_the_kinds_that_are_asked_for_are_removed() {
        let verdict = judge(r#""ann@example.org""#, r#"{"kinds":["card"]}"#).expect("a verdict");
        assert_eq!(verdict.action, Action::Pass);
    }
}
