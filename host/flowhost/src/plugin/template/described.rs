//! `template.toml`: what a template says of itself, and the words that come of it and of what a person gave.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flowhost_words::{PluginKind, nearest};
use semver::{Version, VersionReq};
use serde::Deserialize;

use super::{Given, own_words};
use crate::config::{document, place};
use crate::finding::Finding;
use crate::plugin::lang::Lang;

/// Bytes of a parameter's value: a name, an address, a sentence.
const VALUE_BYTES_MAX: usize = 1 << 10;

/// A description that holds.
#[derive(Debug, PartialEq)]
pub(super) struct Described {
    pub(super) kind: PluginKind,
    pub(super) lang: Lang,
    parameters: BTreeMap<String, Parameter>,
}

/// The file as it stands there. Everything has a default, so that all that is missing is told at once.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Document {
    version: u32,
    description: String,
    hosts: Option<String>,
    kind: String,
    lang: String,
    parameters: BTreeMap<String, Parameter>,
}

/// Something that a person is to choose.
#[derive(Debug, Default, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Parameter {
    /// What it is, for whoever is to choose.
    description: String,
    /// What it is where nothing was chosen; without it something must be.
    default: Option<String>,
    /// All that it may be; anything where there are none.
    choices: Vec<String>,
}

impl Described {
    /// Reads a description.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Vec<Finding>> {
        if let Some(at) = flowhost_policy::toml_too_deep_at(text) {
            let finding = Finding::at_offset(file, text, Some(at..at), "it is nested too deeply");
            return Err(vec![
                finding.cure("no key of this file needs more than a table"),
            ]);
        }
        let (document, mut findings) = document::<Document>(file, text);
        // What is said of missing keys below would be wrong where a key was only misspelt.
        if !findings.is_empty() {
            return Err(findings);
        }
        let mut say = |key: &str, message: String, cure: String| {
            let finding = Finding::at_offset(file, text, place(text, key), &message);
            findings.push(finding.cure(cure));
        };
        if document.version != 1 {
            let message = "`version` says in which form the file is written".to_owned();
            say("version", message, "write `version = 1`".to_owned());
        }
        if document.description.trim().is_empty() {
            let message = "`description` is missing".to_owned();
            let cure = "write a sentence for whoever chooses between templates".to_owned();
            say("description", message, cure);
        }
        let kind = PluginKind::ALL
            .into_iter()
            // As a manifest and `--kind` have it, with a hyphen; plans write `mcp_adapter`.
            .find(|kind| kind.wit_name() == document.kind);
        if kind.is_none() {
            let words = PluginKind::ALL.map(PluginKind::wit_name);
            say(
                "kind",
                unknown("kind", &document.kind),
                choice(&document.kind, &words),
            );
        }
        let lang = Lang::ALL
            .into_iter()
            .find(|lang| lang.word() == document.lang);
        if lang.is_none() {
            let words = Lang::ALL.map(Lang::word);
            say(
                "lang",
                unknown("lang", &document.lang),
                choice(&document.lang, &words),
            );
        }
        if let Some(hosts) = &document.hosts
            && let Err((message, cure)) = fits(hosts)
        {
            say("hosts", message, cure);
        }
        for (name, parameter) in &document.parameters {
            if let Some((message, cure)) = parameter.wrong(name) {
                say(&format!("parameters.{name}"), message, cure);
            }
        }
        match (kind, lang, findings.is_empty()) {
            (Some(kind), Some(lang), true) => Ok(Self {
                kind,
                lang,
                parameters: document.parameters,
            }),
            _ => Err(findings),
        }
    }

    /// What each word of the template stands for.
    ///
    /// # Errors
    /// All that is wrong with what was given.
    pub(super) fn words(
        &self,
        given: &Given<'_>,
    ) -> Result<BTreeMap<String, String>, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut say = |message: String, cure: String| {
            findings.push(Finding::new("--set", message).cure(cure));
        };
        let own = own_words(given.name);
        let mut words: BTreeMap<String, String> = own
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        for (name, value) in given.parameters {
            let Some(parameter) = self.parameters.get(name) else {
                let near = nearest(name, self.parameters.keys().map(String::as_str));
                let cure = near.map(|near| format!("did you mean `{near}`?"));
                say(
                    format!("the template has no parameter `{name}`"),
                    cure.unwrap_or_default(),
                );
                continue;
            };
            match parameter.takes(value) {
                Ok(()) if words.contains_key(name) => say(
                    format!("the parameter `{name}` was given twice"),
                    "give it once".to_owned(),
                ),
                Ok(()) => {
                    words.insert(name.clone(), value.clone());
                }
                Err((why, cure)) => say(format!("the parameter `{name}` {why}"), cure),
            }
        }
        for (name, parameter) in &self.parameters {
            let was_given = given.parameters.iter().any(|(it, _)| it == name);
            match &parameter.default {
                // Also where what was given was wrong: that it is missing would be a second word for one fault.
                _ if was_given => {}
                Some(value) => {
                    words.insert(name.clone(), value.clone());
                }
                None => say(
                    format!(
                        "the parameter `{name}` is missing: {}",
                        parameter.description
                    ),
                    format!("write `--set {name}=…`"),
                ),
            }
        }
        match findings.is_empty() {
            true => Ok(words),
            false => Err(findings),
        }
    }

    /// What there is to choose, for a person who chose something else.
    pub(super) fn usage(&self) -> String {
        let mut text = match self.parameters.is_empty() {
            true => "the template has no parameters".to_owned(),
            false => "the template's parameters, each given by `--set NAME=VALUE`:".to_owned(),
        };
        for (name, parameter) in &self.parameters {
            let _infallible = write!(text, "\n{name}: {}", parameter.description);
            if !parameter.choices.is_empty() {
                let _infallible = write!(text, " ({})", parameter.choices.join(", "));
            }
            if let Some(default) = &parameter.default {
                let _infallible = write!(text, " [default: {default}]");
            }
        }
        text
    }
}

impl Parameter {
    /// What is wrong with it, and what to do.
    fn wrong(&self, name: &str) -> Option<(String, String)> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
        if !begins || !name.bytes().all(plain) {
            let cure = "small letters, digits and `_`, a letter first".to_owned();
            return Some((format!("`{name}` cannot be the name of a parameter"), cure));
        }
        if ["name", "type"].contains(&name) {
            let message =
                format!("every template has `{{{{{name}}}}}`: it comes of the plugin's name");
            return Some((message, "take another word".to_owned()));
        }
        if self.description.trim().is_empty() {
            let message = format!("the parameter `{name}` has no `description`");
            return Some((message, "write what there is to choose".to_owned()));
        }
        let default = self.default.as_deref()?;
        let (why, cure) = self.takes(default).err()?;
        Some((format!("the default of `{name}` {why}"), cure))
    }

    /// Whether it may have this value: a line of printable text, so that a value can be put between quotes and
    /// after a `#` and be no more than a value there.
    fn takes(&self, value: &str) -> Result<(), (String, String)> {
        if value.len() > VALUE_BYTES_MAX {
            let why = format!("has {} bytes", value.len());
            return Err((why, format!("{VALUE_BYTES_MAX} are the most")));
        }
        if value.chars().any(char::is_control) {
            let why = "holds a line break or another control character".to_owned();
            return Err((why, "a value is one line".to_owned()));
        }
        if !self.choices.is_empty() && !self.choices.iter().any(|it| it == value) {
            let choices: Vec<&str> = self.choices.iter().map(String::as_str).collect();
            return Err((format!("is `{value}`"), choice(value, &choices)));
        }
        Ok(())
    }
}

fn unknown(key: &str, value: &str) -> String {
    match value {
        "" => format!("`{key}` is missing"),
        value => format!("`{value}` is not a `{key}`"),
    }
}

fn choice(wrong: &str, words: &[&str]) -> String {
    let all = words.join(", ");
    match nearest(wrong, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? one of {all}"),
        None => format!("one of {all}"),
    }
}

/// Whether this host is one of those that the template is for.
fn fits(hosts: &str) -> Result<(), (String, String)> {
    let here = env!("CARGO_PKG_VERSION");
    let range = VersionReq::parse(hosts).map_err(|error| {
        let message = format!("`hosts` is not a range of versions: {error}");
        (message, "hosts = \">=0.1, <0.2\"".to_owned())
    })?;
    match Version::parse(here).is_ok_and(|version| range.matches(&version)) {
        true => Ok(()),
        false => Err((
            format!("it is for hosts `{range}`, and this is {here}"),
            "take a release of the template for this host, or a host that it is for".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "version = 1\ndescription = \"A tool.\"\nhosts = \">=0.1\"\nkind = \"tool\"\nlang = \"rust\"\n\
        [parameters.service]\ndescription = \"Where it asks.\"\n\
        [parameters.style]\ndescription = \"How it answers.\"\ndefault = \"short\"\nchoices = [\"short\", \"long\"]\n";

    /// A finding with its cure.
    fn shown(finding: &Finding) -> String {
        format!("{finding} ({})", finding.hint)
    }

    fn told(text: &str) -> Vec<String> {
        let findings = Described::parse("t.toml", text).unwrap_err();
        findings.iter().map(shown).collect()
    }

    fn words(given: &[(&str, &str)]) -> Result<BTreeMap<String, String>, Vec<String>> {
        let parameters: Vec<(String, String)> = given
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let given = Given {
            name: "word-count",
            parameters: &parameters,
        };
        let described = Described::parse("t.toml", GOOD).unwrap();
        let words = described.words(&given);
        words.map_err(|findings| findings.iter().map(shown).collect())
    }

    #[test]
    fn all_that_is_wrong_with_a_description_is_told_at_once_with_its_place() {
        let text = "version = 2\nkind = \"tol\"\nhosts = \"^9\"\n[parameters.Name]\ndescription = \"x\"\n\
                    [parameters.style]\ndescription = \"x\"\ndefault = \"b\"\nchoices = [\"a\"]\n[parameters.bare]\n";
        let told = told(text);
        for wanted in [
            "t.toml:1:1: `version`",
            "`description` is missing",
            "t.toml:2:1: `tol` is not a `kind`",
            "`lang` is missing",
            "t.toml:3:1: it is for hosts `^9`",
            "t.toml:4:13: `Name` cannot be the name",
            "t.toml:6:13: the default of `style` is `b`",
            "t.toml:10:13: the parameter `bare` has no `description`",
        ] {
            assert!(
                told.iter().any(|it| it.contains(wanted)),
                "{wanted}: {told:#?}"
            );
        }
        assert_eq!(told.len(), 8, "{told:#?}");
    }

    #[test]
    fn an_unknown_key_is_told_and_a_name_that_is_taken() {
        let text = GOOD.replace("[parameters.service]", "[parameters.type]");
        assert!(told(&text)[0].contains("comes of the plugin's name"));
        let text = GOOD.replace("default =", "defualt =");
        assert!(told(&text)[0].contains("unknown key `defualt`"));
    }

    #[test]
    fn what_was_given_is_held_against_the_parameters() {
        let told = words(&[("servise", "x"), ("style", "loud"), ("style", "long")]).unwrap_err();
        assert!(
            told.iter().any(|it| it.contains("did you mean `service`?")),
            "{told:#?}"
        );
        assert!(
            told.iter().any(|it| it.contains("`style` is `loud`")),
            "{told:#?}"
        );
        assert!(
            told.iter()
                .any(|it| it.contains("`service` is missing: Where it asks.")),
            "{told:#?}"
        );
        let line = words(&[("service", "a\nb")]).unwrap_err();
        assert!(line[0].contains("line break"), "{line:#?}");
    }

    #[test]
    fn what_was_not_given_is_the_default_and_the_name_makes_two_words() {
        let words = words(&[("service", "https://a.example/")]).unwrap();
        let all: Vec<(&str, &str)> = words
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let wanted = [
            ("name", "word-count"),
            ("service", "https://a.example/"),
            ("style", "short"),
            ("type", "WordCount"),
        ];
        assert_eq!(all, wanted);
    }
}
