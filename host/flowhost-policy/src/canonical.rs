//! One text for one meaning, to be hashed and compared.
//!
//! Lines `path = value`, sorted lists, every default written out. The order of keys, comments and
//! descriptions do not reach it; anything that changes what a plugin may do does. Rules of `http`
//! keep their order, because the first that matches decides what is injected and shown.

use sha2::{Digest, Sha256};

use crate::{
    grant::Limits,
    limit::LIMITS,
    rights::{Grants, RIGHTS, Right},
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
    for right in &RIGHTS {
        (right.steps.write)(&mut lines, grants);
    }
    lines.empty(grants);
    lines.0
}

/// The lines of a canonical text.
pub(crate) struct Lines(String);

impl Lines {
    pub(crate) fn raw(&mut self, path: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("{path} = {value}\n"));
    }

    pub(crate) fn number(&mut self, path: &str, value: u64) {
        self.raw(path, value);
    }

    pub(crate) fn text(&mut self, path: &str, value: &str) {
        self.raw(path, quoted(value));
    }

    pub(crate) fn list(&mut self, path: &str, values: &[String]) {
        let mut sorted: Vec<&String> = values.iter().collect();
        sorted.sort();
        sorted.dedup();
        let items: Vec<String> = sorted.into_iter().map(|text| quoted(text)).collect();
        self.raw(path, format!("[{}]", items.join(", ")));
    }

    /// Rights that are linked and hold nothing. A profile without any has no such line, so that its hash
    /// is what it was before there were some.
    fn empty(&mut self, grants: &Grants) {
        let holds = |key: &&&str| Right::of(key).is_some_and(|right| (right.steps.holds)(grants));
        let empty: Vec<String> = grants
            .named
            .iter()
            .filter(|key| !holds(key))
            .map(|key| (*key).to_owned())
            .collect();
        if !empty.is_empty() {
            self.list("empty", &empty);
        }
    }
}
