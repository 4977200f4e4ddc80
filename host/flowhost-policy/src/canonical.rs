//! One text for one meaning, to be hashed and compared.
//!
//! Lines `path = value`, sorted lists, every default written out. The order of keys, comments and
//! descriptions do not reach it; anything that changes what a plugin may do does. Rules of `http`
//! keep their order, because the first that matches decides what is injected.

use sha2::{Digest, Sha256};

use crate::{
    grant::{ClockMode, EnvValue, Grants, HttpRule, Limits, RandomSource},
    limit::LIMITS,
    read::grants::{ACCESS_WORDS, CLOCK_WORDS, RANDOM_WORDS},
    right::Right,
    text::quoted,
};

/// `sha256:` and the hash of a canonical text in hex.
pub(crate) fn hash(canonical: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(canonical)))
}

/// The canonical text of a profile, or of effective rights under a profile's name.
pub(crate) fn rights(name: &str, limits: &Limits, grants: &Grants) -> String {
    let mut lines = Lines(String::from("flowhost-rights = 1\n"));
    lines.text("name", name);
    for spec in &LIMITS {
        lines.number(&format!("limits.{}", spec.key), spec.get(limits));
    }
    lines.raw("log", grants.log);
    lines.raw("config", grants.config);
    lines.raw("budget", grants.budget);
    for (index, rule) in grants.http.iter().enumerate() {
        lines.http(&format!("http[{index}]"), rule);
    }
    lines.files(grants);
    lines.env(grants);
    lines.list("model.allow", &grants.model.allow);
    lines.number("model.tokens", grants.model.tokens);
    lines.number("model.micro_usd", grants.model.micro_usd);
    lines.list("tools.call", &grants.tools.call);
    lines.list("messages.publish", &grants.messages.publish);
    lines.list("messages.subscribe", &grants.messages.subscribe);
    lines.list("state.namespaces", &grants.state.namespaces);
    lines.number("state.bytes", grants.state.bytes);
    lines.text("clock.wall", clock_word(grants.clock));
    lines.text("random.source", random_word(grants.random));
    lines.list("secrets.names", &grants.secrets.names);
    lines.list("secrets.reveal", &grants.secrets.reveal);
    lines.empty(grants);
    lines.0
}

pub(crate) fn clock_word(mode: ClockMode) -> &'static str {
    CLOCK_WORDS
        .iter()
        .find(|(_, value)| *value == mode)
        .map_or("denied", |(word, _)| word)
}

pub(crate) fn random_word(source: RandomSource) -> &'static str {
    RANDOM_WORDS
        .iter()
        .find(|(_, value)| *value == source)
        .map_or("denied", |(word, _)| word)
}

pub(crate) fn access_word(access: crate::grant::Access) -> &'static str {
    ACCESS_WORDS
        .iter()
        .find(|(_, value)| *value == access)
        .map_or("read", |(word, _)| word)
}

struct Lines(String);

impl Lines {
    fn raw(&mut self, path: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{path} = {value}\n"));
    }

    fn number(&mut self, path: &str, value: u64) {
        self.raw(path, value);
    }

    fn text(&mut self, path: &str, value: &str) {
        self.raw(path, quoted(value));
    }

    fn list(&mut self, path: &str, values: &[String]) {
        let mut sorted: Vec<&String> = values.iter().collect();
        sorted.sort();
        sorted.dedup();
        let items: Vec<String> = sorted.into_iter().map(|text| quoted(text)).collect();
        self.raw(path, format!("[{}]", items.join(", ")));
    }

    /// Rights that are linked and hold nothing. A profile without any has no such line, so that its hash
    /// is what it was before there were some.
    fn empty(&mut self, grants: &Grants) {
        let holds = |key: &&&str| Right::of(key).is_some_and(|right| right.holds(grants));
        let empty = grants.named.iter().filter(|key| !holds(key));
        let empty: Vec<String> = empty.map(|key| (*key).to_owned()).collect();
        if !empty.is_empty() {
            self.list("empty", &empty);
        }
    }

    fn http(&mut self, path: &str, rule: &HttpRule) {
        self.text(&format!("{path}.url"), &rule.url);
        self.list(&format!("{path}.methods"), &rule.methods);
        if let Some(inject) = &rule.inject {
            self.text(&format!("{path}.inject.header"), &inject.header);
            self.text(&format!("{path}.inject.value"), &inject.value);
        }
        self.number(&format!("{path}.response"), rule.response_bytes);
        self.number(&format!("{path}.request"), rule.request_bytes);
        self.raw(&format!("{path}.private_network"), rule.private_network);
    }

    fn files(&mut self, grants: &Grants) {
        let mut sorted: Vec<_> = grants.files.iter().collect();
        sorted.sort_by(|a, b| (&a.guest, &a.host).cmp(&(&b.guest, &b.host)));
        for grant in sorted {
            let path = format!("files.{}", quoted(&grant.guest));
            self.text(&format!("{path}.host"), &grant.host);
            self.text(&format!("{path}.access"), access_word(grant.access));
            self.number(&format!("{path}.quota"), grant.quota_bytes);
            self.number(&format!("{path}.entries"), grant.quota_entries);
        }
    }

    fn env(&mut self, grants: &Grants) {
        for (name, value) in &grants.env {
            match value {
                EnvValue::Literal(value) => self.text(&format!("env.{name}"), value),
                EnvValue::From(from) => self.text(&format!("env.{name}.from"), from),
            }
        }
    }
}
