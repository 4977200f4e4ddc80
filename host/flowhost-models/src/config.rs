//! `[models]` of `flowhost.toml`, as it is written.
//!
//! Numbers with units stay texts here: `settings.rs` reads them, so that everything that is wrong
//! is told at once. Must never hold a key's value, only the name of its secret.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

use crate::compat::Features;

/// The table `[models]`. The default knows the provider `mock` alone.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `residency`: which providers may be used at all.
    pub residency: Residency,
    /// `timeout`: of one call, all its tries and waits together.
    pub timeout: String,
    /// `retry`: when a failed try is made again.
    pub retry: RetryConfig,
    /// `[models.providers.NAME]`. `mock` is there also when it is not written.
    pub providers: BTreeMap<String, ProviderConfig>,
    /// `[models.prices."provider/name"]`, or `"provider/*"` for the rest of a provider.
    pub prices: BTreeMap<String, PriceConfig>,
    /// `[models.failover]`: which models are tried, in order, after the key has failed.
    pub failover: BTreeMap<String, Vec<String>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            residency: Residency::Any,
            timeout: "120s".to_owned(),
            retry: RetryConfig::default(),
            providers: BTreeMap::new(),
            prices: BTreeMap::new(),
            failover: BTreeMap::new(),
        }
    }
}

/// Where prompts may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Residency {
    /// To every provider of the configuration.
    #[default]
    Any,
    /// Only to those with `on_prem = true`; others are refused before a connection.
    Strict,
}

/// `retry`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Tries of one model, the first included.
    pub max_attempts: u32,
    /// Wait before the second try.
    pub initial: String,
    /// Growth of the wait from try to try.
    pub factor: f64,
    /// Longest wait, and longest `retry-after` that is obeyed.
    pub max: String,
    /// Share of the wait that is random: 0.5 waits between half and all of it.
    pub jitter: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_attempts: 3,
            initial: "200ms".to_owned(),
            factor: 2.0,
            max: "10s".to_owned(),
            jitter: 0.5,
        }
    }
}

/// What a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Chat completions, responses and embeddings as OpenAI, vLLM, TGI and Ollama speak them.
    OpenAi,
    /// Google's Gemini through its OpenAI-compatible endpoint.
    Gemini,
    /// Anthropic messages.
    Anthropic,
    /// Scripted or seeded answers inside the host.
    Mock,
}

impl ProviderKind {
    /// All of them, in the order in which a person is told of them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Gemini, Self::Anthropic, Self::Mock];

    /// As a configuration writes it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Gemini => "gemini",
            Self::Anthropic => "anthropic",
            Self::Mock => "mock",
        }
    }
}

/// How an OpenAI-compatible server is told the limit of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputLimit {
    /// `max_tokens`: vLLM, TGI, Ollama and older servers.
    MaxTokens,
    /// `max_completion_tokens`: OpenAI, whose newer models refuse the other.
    MaxCompletionTokens,
}

/// Which of OpenAI's two wires is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Chat completions, which every compatible server speaks.
    #[default]
    Chat,
    /// Responses.
    Responses,
}

/// How an answer's schema is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFormat {
    /// By the schema itself.
    #[default]
    JsonSchema,
    /// As any JSON object; the schema stands in the prompt.
    JsonObject,
}

/// How long the provider keeps what a prompt begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum CacheTtl {
    /// Five minutes from its last use.
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour.
    #[serde(rename = "1h")]
    Hour,
}

/// `thinking`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ThinkingConfig {
    /// At most so many tokens of each answer.
    Tokens(u32),
    /// `"adaptive"`: as much as the model finds right.
    Word(String),
}

/// `[models.providers.NAME]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// What it speaks.
    pub kind: ProviderKind,
    /// Base of its addresses: `https`, or `http` to loopback or with `on_prem`.
    pub url: Option<String>,
    /// The name of the secret that holds the key; none for servers without keys.
    pub key: Option<String>,
    /// Whether prompts sent there stay in the house.
    #[serde(default)]
    pub on_prem: bool,
    /// Whether models without a price may be called, at no cost in the books.
    #[serde(default)]
    pub unpriced: bool,
    /// Our own limit; 600 where nothing is written, a million for `mock`.
    pub requests_per_minute: Option<u32>,
    /// Calls at once, more wait; 16 where nothing is written, 1,024 for `mock`.
    pub parallel: Option<u32>,
    /// When the provider is left alone for a while.
    #[serde(default)]
    pub breaker: BreakerConfig,
    /// Longest time for a connection, TLS included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: String,
    /// Longest silence of a provider before and within an answer.
    #[serde(default = "idle_timeout")]
    pub idle_timeout: String,
    /// Which field limits the answer (kind `openai`); by default what the server of `url` needs.
    pub output_limit: Option<OutputLimit>,
    /// Which wire is spoken (kind `openai`).
    #[serde(default)]
    pub api: Api,
    /// How an answer's schema is asked for (kinds `openai` and `gemini`).
    #[serde(default)]
    pub answer_format: AnswerFormat,
    /// Parts of a request that are never sent.
    #[serde(default)]
    pub leave_out: Features,
    /// Whether a request that was refused for one of its parts is sent again without it.
    #[serde(default = "yes")]
    pub fallback: bool,
    /// How the model thinks before it answers (kind `anthropic`).
    pub thinking: Option<ThinkingConfig>,
    /// How long the provider keeps the beginning of a prompt (kind `anthropic`).
    pub cache: Option<CacheTtl>,
    /// A PEM file with the authorities that vouch for the server, instead of the Mozilla roots.
    pub ca: Option<String>,
    /// Whether the authorities that this system trusts vouch for the server, instead of the Mozilla
    /// roots; beside those of `ca`, if there are any.
    #[serde(default)]
    pub system_roots: bool,
    /// The proxy through which the provider is reached, as `http://host:port`.
    pub proxy: Option<String>,
    /// The name of the secret that holds the proxy's `user:password`.
    pub proxy_key: Option<String>,
    /// The folder of scripted answers (kind `mock`).
    pub scripts: Option<String>,
    /// How long every answer takes (kind `mock`).
    pub latency: Option<String>,
}

impl ProviderConfig {
    /// A provider with every default.
    #[must_use]
    pub fn new(kind: ProviderKind) -> Self {
        Self {
            kind,
            url: None,
            key: None,
            on_prem: false,
            unpriced: false,
            requests_per_minute: None,
            parallel: None,
            breaker: BreakerConfig::default(),
            connect_timeout: connect_timeout(),
            idle_timeout: idle_timeout(),
            output_limit: None,
            api: Api::default(),
            answer_format: AnswerFormat::default(),
            leave_out: Features::NONE,
            fallback: true,
            thinking: None,
            cache: None,
            ca: None,
            system_roots: false,
            proxy: None,
            proxy_key: None,
            scripts: None,
            latency: None,
        }
    }
}

fn yes() -> bool {
    true
}

fn connect_timeout() -> String {
    "10s".to_owned()
}

fn idle_timeout() -> String {
    "60s".to_owned()
}

/// `breaker`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// How long it stays open before one call may try again.
    pub open: String,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            open: "30s".to_owned(),
        }
    }
}

/// `[models.prices."provider/name"]`: US dollars for a million tokens, up to six decimals.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriceConfig {
    /// Tokens in.
    pub input: f64,
    /// Tokens in that the provider had cached; as `input` when not written.
    pub cached_input: Option<f64>,
    /// Tokens in that the provider wrote into its cache; as `input` when not written, or dearer where
    /// the provider's `cache` makes it so.
    pub cache_write: Option<f64>,
    /// Tokens out.
    pub output: f64,
    /// Tokens out that the model thought in silence; as `output` when not written.
    pub reasoning: Option<f64>,
    /// Hours with another price; the rest of the day has factor 1.
    pub hours: Vec<HoursConfig>,
}

/// `hours`: a window of the day in UTC.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursConfig {
    /// First minute, `HH:MM`.
    pub from: String,
    /// The minute after the last, `HH:MM`; before `from` when the window goes over midnight.
    pub to: String,
    /// What prices are multiplied with, up to three decimals.
    pub factor: f64,
}

/// Something that is wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, from the root of the file.
    pub key: String,
    /// What is written there, to find its line; empty when something is missing.
    pub value: String,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub cure: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.key, self.message)
    }
}

impl std::error::Error for ConfigProblem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_kind_is_the_one_that_a_configuration_is_read_by() {
        for kind in ProviderKind::ALL {
            let word = serde_json::Value::from(kind.word());
            assert_eq!(serde_json::from_value::<ProviderKind>(word).unwrap(), kind);
        }
    }
}
