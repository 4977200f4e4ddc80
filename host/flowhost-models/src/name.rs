//! The name of a model as plans, profiles and records write it: `provider/name`.
//!
//! Must never know which providers exist; the gateway does. One type, so that a name is checked
//! once and never split again.

use std::{fmt, str::FromStr};

/// Characters of a provider's name: it is a key of the configuration and a part of records.
pub(crate) const PROVIDER_CHARS_MAX: usize = 64;
/// Characters of a model's name: repositories of open models stay below 100.
pub(crate) const MODEL_CHARS_MAX: usize = 200;

/// `openai/gpt-5.1`: the provider up to the first `/`, then the name as the provider knows it.
///
/// # Examples
/// ```
/// let name: flowhost_models::ModelName = "vllm/meta-llama/Llama-3.1-8B".parse()?;
/// assert_eq!(name.provider, "vllm");
/// assert_eq!(name.name, "meta-llama/Llama-3.1-8B");
/// # Ok::<(), flowhost_models::ModelNameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelName {
    /// A key of `[models.providers]`.
    pub provider: String,
    /// What the provider is asked for.
    pub name: String,
}

/// A text that names no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} is not a model: write `provider/name` in printable ASCII without spaces")]
pub struct ModelNameError {
    shown: String,
}

impl FromStr for ModelName {
    type Err = ModelNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split_once('/')
            .filter(|(provider, name)| is_provider(provider) && is_model(name))
            .map(|(provider, name)| Self {
                provider: provider.to_owned(),
                name: name.to_owned(),
            })
            .ok_or_else(|| ModelNameError {
                // Enough to know it by; a plan may hold a text of any length here.
                shown: text.chars().take(100).collect(),
            })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.name)
    }
}

/// Whether `text` can name a provider.
pub(crate) fn is_provider(text: &str) -> bool {
    let ok = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
    };
    !text.is_empty() && text.len() <= PROVIDER_CHARS_MAX && text.bytes().all(ok)
}

fn is_model(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= MODEL_CHARS_MAX
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_names_no_model() {
        let long = format!("a/{}", "x".repeat(MODEL_CHARS_MAX + 1));
        for text in [
            "",
            "gpt",
            "/gpt",
            "openai/",
            "Open/x",
            "a/b c",
            "a/\u{200b}",
            &long,
        ] {
            assert!(text.parse::<ModelName>().is_err(), "{text}");
        }
    }

    #[test]
    fn writes_what_it_read() {
        for text in [
            "openai/gpt-5.1",
            "ollama/llama3:8b",
            "vllm/meta-llama/Llama-3.1",
        ] {
            assert_eq!(text.parse::<ModelName>().unwrap().to_string(), text);
        }
    }
}
