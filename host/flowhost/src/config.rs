//! `flowhost.toml`: what an operator sets for a folder of plans, found by walking up from the working
//! directory.
//!
//! Owns the keys and their reading. Must never hold a right: profiles do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::ambient::{Ambient, FileError};
use crate::finding::Finding;

mod read;

/// The file's name.
pub const CONFIG_FILE: &str = "flowhost.toml";
/// Bytes of a configuration file: thousands of keys fit.
const CONFIG_BYTES_MAX: u64 = 256 << 10;

/// How soon a record must be on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Intents before effects, results before reports: fsynced.
    #[default]
    Durable,
    /// Written in order, fsynced at checkpoints; a power cut may lose the last second.
    Relaxed,
}

/// Where a secret's value comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSource {
    /// A variable of the host's environment.
    pub env: Option<String>,
    /// A file, relative to the configuration; one line feed at its end is cut.
    pub file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    policies: Option<PathBuf>,
    #[serde(default)]
    plugins: Vec<PathBuf>,
    durability: Option<Durability>,
    tenant: Option<String>,
    host: Option<String>,
    #[serde(default)]
    secrets: BTreeMap<String, SecretSource>,
    #[serde(default)]
    models: flowhost_models::Config,
}

/// The configuration with paths made absolute; the default is that of a missing file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from, if there is one.
    pub file: Option<PathBuf>,
    /// `policies`: a folder of profiles, searched before the plan's own.
    pub policies: Option<PathBuf>,
    /// `plugins`: folders of components, searched first for `builtin:` sources.
    pub plugins: Vec<PathBuf>,
    /// `durability`.
    pub durability: Durability,
    /// `tenant`: first token of subjects and of paths below the state root.
    pub tenant: String,
    /// `host`: the name in checkpoints' origin, taken when the key is made; random by default.
    pub host: Option<String>,
    /// `[secrets]`.
    pub secrets: BTreeMap<String, SecretSource>,
    /// `[models]`.
    pub models: flowhost_models::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: None,
            policies: None,
            plugins: Vec::new(),
            durability: Durability::default(),
            tenant: "default".to_owned(),
            host: None,
            secrets: BTreeMap::new(),
            models: flowhost_models::Config::default(),
        }
    }
}

impl Config {
    /// The nearest configuration at or above the working directory.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn find(ambient: &Ambient) -> Result<Self, Vec<Finding>> {
        for folder in ambient.cwd().ancestors() {
            let file = folder.join(CONFIG_FILE);
            match ambient.read_text(&file, CONFIG_BYTES_MAX) {
                Ok(text) => return Self::parse(&text, &file),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(vec![Finding::from(&error as &FileError)]),
            }
        }
        Ok(Self::default())
    }

    /// Reads a configuration; its paths are relative to its folder.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Vec<Finding>> {
        let name = file.display().to_string();
        if let Some(at) = flowhost_policy::toml_too_deep_at(text) {
            let finding = Finding::at_offset(&name, text, Some(at..at), "it is nested too deeply");
            return Err(vec![
                finding.cure("no key of this file needs more than a table in a table"),
            ]);
        }
        let (document, mut problems) = read::document::<Document>(&name, text);
        for (key, value) in [("tenant", &document.tenant), ("host", &document.host)] {
            if let Some(value) = value.as_deref().filter(|value| !is_name(value)) {
                problems.push(
                    Finding::at_text(
                        &name,
                        text,
                        value,
                        format!(
                            "`{key} = \"{value}\"` is not a name: it stands in paths and subjects"
                        ),
                    )
                    .cure("use up to 64 of a-z, 0-9, `-`, `_`, and for `host` also `.`"),
                );
            }
        }
        for (secret, source) in &document.secrets {
            if source.env.is_some() == source.file.is_some() {
                problems.push(
                    Finding::at_text(
                        &name,
                        text,
                        secret,
                        format!("the secret `{secret}` needs one source"),
                    )
                    .cure(format!(
                        "{secret} = {{ env = \"NAME\" }} or {{ file = \"path\" }}"
                    )),
                );
            }
        }
        problems.sort_by_key(|problem| (problem.line, problem.column));
        if problems.is_empty() {
            Ok(Self::from_document(document, file))
        } else {
            Err(problems)
        }
    }

    fn from_document(document: Document, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        let defaults = Self::default();
        let mut secrets = document.secrets;
        for source in secrets.values_mut() {
            source.file = source.file.take().map(|path| folder.join(path));
        }
        Self {
            file: Some(file.to_owned()),
            policies: document.policies.map(|path| folder.join(path)),
            plugins: document
                .plugins
                .into_iter()
                .map(|path| folder.join(path))
                .collect(),
            durability: document.durability.unwrap_or_default(),
            tenant: document.tenant.unwrap_or(defaults.tenant),
            host: document.host,
            secrets,
            models: document.models,
        }
    }

    /// The root of all state: `--state`, else `FLOWHOST_STATE`, else `.flowhost/` beside the
    /// configuration, else in the working directory.
    #[must_use]
    pub fn state_root(&self, ambient: &Ambient, option: Option<&Path>) -> PathBuf {
        let beside = self
            .file
            .as_deref()
            .and_then(Path::parent)
            .unwrap_or(ambient.cwd());
        option
            .or_else(|| ambient.var("FLOWHOST_STATE").map(Path::new))
            .map_or_else(|| beside.join(".flowhost"), |path| ambient.resolve(path))
    }
}

fn is_name(text: &str) -> bool {
    let ok = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
    };
    !text.is_empty() && text.len() <= 64 && !text.starts_with('.') && text.bytes().all(ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let found = Config::parse(text, Path::new("/w/flowhost.toml")).unwrap_err();
        found.iter().map(|finding| finding.to_string()).collect()
    }

    #[test]
    fn refuses_an_unknown_key_with_its_place() {
        let found = problems("durability = \"durable\"\npolicy = \"x\"\n");
        assert!(
            found[0].starts_with("/w/flowhost.toml:2:1: unknown field `policy`"),
            "{found:?}"
        );
    }

    #[test]
    fn refuses_nesting_that_would_overflow_the_parsers_stack() {
        for deep in [
            "tenant = { a = 1 [x]\n".repeat(10_000),
            format!("a = {}", "[".repeat(99_000)),
        ] {
            let found = problems(&deep);
            assert!(found[0].contains("nested too deeply"), "{found:?}");
        }
    }

    #[test]
    fn refuses_a_tenant_that_would_leave_its_folder() {
        assert_eq!(problems("tenant = \"../x\"\nhost = \"a b\"\n").len(), 2);
        assert_eq!(problems("tenant = \"..\"\n").len(), 1);
    }

    #[test]
    fn refuses_a_secret_without_exactly_one_source() {
        assert_eq!(
            problems("[secrets]\nA = {}\nB = { env = \"B\", file = \"b\" }\n").len(),
            2
        );
    }

    #[test]
    fn finds_state_by_option_then_variable_then_configuration_then_folder() {
        let cwd = PathBuf::from("/work/deep");
        let bare = Ambient::with(BTreeMap::new(), cwd.clone(), None);
        let env = BTreeMap::from([("FLOWHOST_STATE".to_owned(), "s".to_owned())]);
        let with_var = Ambient::with(env, cwd, None);
        let config = Config::parse("", Path::new("/work/flowhost.toml")).unwrap();
        let root = |config: &Config, ambient, option: Option<&str>| {
            config
                .state_root(ambient, option.map(Path::new))
                .display()
                .to_string()
        };
        assert_eq!(root(&config, &with_var, Some("/x")), "/x");
        assert_eq!(root(&config, &with_var, None), "/work/deep/s");
        assert_eq!(root(&config, &bare, None), "/work/.flowhost");
        assert_eq!(
            root(&Config::default(), &bare, None),
            "/work/deep/.flowhost"
        );
    }
}
