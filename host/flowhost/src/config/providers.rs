//! What a provider of models lacks, told at once.
//!
//! A typed reader stops at a table without its `kind`, and everything else that is wrong with a provider is found by
//! whoever reads the whole of `[models]`: an operator would be told one key in each round, up to the price that a first
//! call fails for.

use std::ops::Range;

use flowhost_models::{Config, ConfigProblem, ProviderKind};
use toml::de::{DeTable, DeValue};

use super::place;
use super::read::{Problem, Stop};
use crate::finding::Finding;

/// What is told of a file whose reader found this in `text`: that, and what else is wrong with its providers.
pub(super) fn complete(
    read: Vec<Problem>,
    models: &Config,
    text: &str,
    file: &str,
) -> Vec<Finding> {
    let lacking = lacking(text, file);
    // One that is misspelt is not missing too.
    let misspelt = read.iter().any(
        |it| matches!(&it.stop, Stop::Unknown { meant: Some(meant) } if meant.as_str() == "url"),
    );
    // The reader says the same of the first key alone.
    let is_said = |it: &Problem| {
        let no_kind = matches!(&it.stop, Stop::Missing(key) if key == "kind");
        no_kind && lacking.iter().any(|other| other.line == it.finding.line)
    };
    let read = read.into_iter().filter(|it| !is_said(it));
    let mut found: Vec<Finding> = read.map(|it| it.finding).collect();
    found.extend(lacking);
    let is_written = |name: &str| {
        models
            .providers
            .get(name)
            .is_some_and(|it| it.url.is_some())
    };
    let of_providers = models.problems().into_iter().filter(|problem| {
        let Some(key) = problem.key.strip_prefix("models.providers.") else {
            return false;
        };
        let url = key.strip_suffix(".url");
        !misspelt || url.is_none_or(is_written)
    });
    found.extend(of_providers.map(|problem| at(problem, text, file)));
    found
}

/// A problem of `[models]` where it stands in the file, or its table does.
fn at(problem: ConfigProblem, text: &str, file: &str) -> Finding {
    let message = format!("{}: {}", problem.key, problem.message);
    let span = place(text, &problem.key);
    Finding::at_offset(file, text, span, &message).cure(problem.cure)
}

/// Providers that do not say what they speak, with all the keys that they lack.
fn lacking(text: &str, file: &str) -> Vec<Finding> {
    let Ok(root) = DeTable::parse(text) else {
        return Vec::new(); // whoever reads it says why
    };
    let models = root.get_ref().get("models").map(|it| it.get_ref());
    let Some(DeValue::Table(models)) = models else {
        return Vec::new();
    };
    let table = |key: &str| match models.get(key).map(|it| it.get_ref()) {
        Some(DeValue::Table(table)) => Some(table),
        _ => None,
    };
    let prices = table("prices");
    let is_priced = |name: &str| {
        let mut models = prices.into_iter().flat_map(|table| table.keys());
        // `name/*` as well as one model: either says what it costs.
        models.any(|model| model.get_ref().split('/').next() == Some(name))
    };
    let mut found = Vec::new();
    let providers = table("providers").into_iter();
    for (name, provider) in providers.flat_map(|table| table.iter()) {
        if let DeValue::Table(provider) = provider.get_ref() {
            let own = Own {
                name: name.get_ref(),
                is_priced: is_priced(name.get_ref()),
            };
            found.extend(own.lacks(provider, name.span(), text, file));
        }
    }
    found
}

/// A provider of one's own.
struct Own<'a> {
    name: &'a str,
    is_priced: bool,
}

impl Own<'_> {
    fn lacks(
        &self,
        table: &DeTable<'_>,
        at: Range<usize>,
        text: &str,
        file: &str,
    ) -> Option<Finding> {
        let kind = table.get("kind").map(|it| it.get_ref());
        let known = |word: &str| ProviderKind::ALL.iter().any(|kind| kind.word() == word);
        if matches!(kind, Some(DeValue::String(word)) if known(word)) {
            return None;
        }
        let has = |key: &str| table.get(key).is_some();
        // The order in which they are written.
        let keys = ["kind", "url"].into_iter().filter(|key| !has(key));
        let keys: Vec<&str> = keys.collect();
        if keys.is_empty() {
            return None;
        }
        let mut lines = vec![format!("write under [models.providers.{}]:", self.name)];
        if !has("kind") {
            lines.push(format!(
                "kind = \"openai\"   # what it speaks: {}",
                ProviderKind::ALL.map(ProviderKind::word).join(", ")
            ));
        }
        if !has("url") {
            lines.push("url = \"https://api.example.com/v1\"   # none for mock".to_owned());
        }
        if !self.is_priced && !has("unpriced") {
            lines.push(format!(
                "unpriced = true   # or what it costs, in [models.prices.\"{}/*\"]",
                self.name
            ));
        }
        let finding = Finding::at_offset(file, text, Some(at), &missing(&keys));
        Some(finding.cure(lines.join("\n")))
    }
}

fn missing(keys: &[&str]) -> String {
    let shown: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    match shown.as_slice() {
        [key] => format!("the key {key} is missing"),
        keys => format!("the keys {} are missing", keys.join(" and ")),
    }
}
