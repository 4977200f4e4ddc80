//! `[models]` as the gateway uses it: numbers instead of texts, and every problem told at once.

use std::{collections::BTreeMap, time::Duration};

use flowhost_detect::{Detector, Kind};
use flowhost_words::meant;
use url::{Host, Url};

use crate::{
    compat::Features,
    config::{
        AnswerFormat, Api, BreakerConfig, CacheTtl, Config, ConfigProblem, HoursConfig,
        OutputLimit, PriceConfig, ProviderConfig, ProviderKind, Residency, RetryConfig,
        ThinkingConfig,
    },
    name::{self, ModelName},
    price::{self, Hours, Price},
    retry::{Backoff, RetryPolicy},
    units,
};

/// Fail-over models of one model. Each is tried with all of its tries before the call fails.
const FAILOVER_MAX: usize = 8;
/// Largest limit that can be written; what runs inside the host is not held back by ours.
const LIMIT_MAX: u32 = 1_000_000;
/// Tokens of thinking at least, by Anthropic's reference: a request for fewer is refused.
pub(crate) const THINKING_MIN: u32 = 1_024;
/// Gemini's OpenAI-compatible endpoint, by Google's reference.
pub(crate) const GEMINI_URL: &str = "https://generativelanguage.googleapis.com/v1beta/openai";
/// The provider that is always there.
pub(crate) const MOCK: &str = "mock";

/// What holds for all calls.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) residency: Residency,
    pub(crate) timeout: Duration,
    pub(crate) retry: RetryPolicy,
    pub(crate) providers: BTreeMap<String, ProviderSettings>,
    pub(crate) prices: Prices,
    pub(crate) failover: BTreeMap<ModelName, Vec<ModelName>>,
}

/// What holds for one provider.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSettings {
    pub(crate) name: String,
    pub(crate) kind: ProviderKind,
    /// None for `mock` alone.
    pub(crate) url: Option<Url>,
    pub(crate) key: Option<String>,
    pub(crate) on_prem: bool,
    pub(crate) unpriced: bool,
    pub(crate) requests_per_minute: u32,
    pub(crate) parallel: usize,
    pub(crate) breaker: BreakerSettings,
    pub(crate) connect_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) output_limit: OutputLimit,
    pub(crate) api: Api,
    pub(crate) answer_format: AnswerFormat,
    pub(crate) leave_out: Features,
    pub(crate) fallback: bool,
    pub(crate) thinking: Option<Thinking>,
    pub(crate) cache: Option<CacheTtl>,
    pub(crate) ca: Option<String>,
    pub(crate) system_roots: bool,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) scripts: Option<String>,
    pub(crate) latency: Duration,
}

/// How a model thinks before it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thinking {
    Adaptive,
    /// At most so many tokens.
    Tokens(u32),
}

/// A server that connections go through.
#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) address: http::Uri,
    /// The name of the secret that holds `user:password`.
    pub(crate) key: Option<String>,
}

/// When a provider is left alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BreakerSettings {
    pub(crate) failures: u32,
    pub(crate) open: Duration,
}

/// Prices by model, then by provider.
#[derive(Debug, Default)]
pub(crate) struct Prices {
    models: BTreeMap<ModelName, Price>,
    providers: BTreeMap<String, Price>,
}

impl Prices {
    pub(crate) fn of(&self, model: &ModelName) -> Option<&Price> {
        self.models
            .get(model)
            .or_else(|| self.providers.get(&model.provider))
    }
}

/// Whether a text can be the name of a secret, as profiles write one, and is not some provider's key itself.
fn is_secret_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    (1..=64).contains(&text.len())
        && text.chars().all(plain)
        && !text.starts_with(|letter: char| letter.is_ascii_digit())
        && Detector::new(&[Kind::Key]).find(text).is_empty()
}

/// The paths that the codecs add to a provider's address.
// What to look for where somebody has copied a whole address out of a provider's example.
const ENDPOINTS: [&str; 4] = [
    "/chat/completions",
    "/responses",
    "/embeddings",
    "/messages",
];

/// An address that ends in such a path: what stands before it, and the path.
fn endpoint(url: &Url) -> Option<(&str, &'static str)> {
    let text = url.as_str().trim_end_matches('/');
    let mut ends = ENDPOINTS.into_iter();
    ends.find_map(|end| Some((text.strip_suffix(end)?, end)))
}

impl Settings {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(crate) fn read(config: &Config) -> Result<Self, Vec<ConfigProblem>> {
        let mut reader = Reader::default();
        let settings = reader.settings(config);
        if reader.problems.is_empty() {
            Ok(settings)
        } else {
            Err(reader.problems)
        }
    }
}

impl Config {
    /// Everything that is wrong with it.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        Settings::read(self).err().unwrap_or_default()
    }

    /// Whether calls of this provider can be paid or need not be: without it none is made.
    fn has_price(&self, provider: &str) -> bool {
        let is_free = |it: &ProviderConfig| it.unpriced || it.kind == ProviderKind::Mock;
        let mut prices = self.prices.keys();
        self.providers.get(provider).is_some_and(is_free)
            || prices.any(|model| model.split('/').next() == Some(provider))
    }
}

/// Collects problems; a value that cannot be read is replaced, because then nothing is returned.
#[derive(Default)]
struct Reader {
    problems: Vec<ConfigProblem>,
}

impl Reader {
    fn settings(&mut self, config: &Config) -> Settings {
        let mut providers: BTreeMap<String, ProviderSettings> = config
            .providers
            .iter()
            .map(|(name, provider)| (name.clone(), self.provider(name, provider)))
            .collect();
        self.unpaid(config);
        if !providers.contains_key(MOCK) {
            let mock = self.provider(MOCK, &ProviderConfig::new(ProviderKind::Mock));
            providers.insert(MOCK.to_owned(), mock);
        }
        Settings {
            residency: config.residency,
            timeout: self.duration("models.timeout", &config.timeout),
            retry: self.retry(&config.retry),
            prices: self.prices(&config.prices, &providers),
            failover: self.failover(&config.failover, &providers),
            providers,
        }
    }

    /// Adds to the cure of an address what the first call would be refused for after it.
    fn unpaid(&mut self, config: &Config) {
        for problem in &mut self.problems {
            let key = problem.key.strip_prefix("models.providers.");
            let name = key.and_then(|key| key.strip_suffix(".url"));
            if let Some(name) = name.filter(|name| !config.has_price(name)) {
                // One round instead of two: the operator is at that table anyway.
                problem.cure = format!(
                    "{}\nand `unpriced = true`, or what it costs, in [models.prices.\"{name}/*\"]",
                    problem.cure
                );
            }
        }
    }

    fn problem(&mut self, key: &str, value: &str, message: String, cure: &str) {
        self.problems.push(ConfigProblem {
            key: key.to_owned(),
            value: value.to_owned(),
            message,
            cure: cure.to_owned(),
        });
    }

    /// A duration above zero.
    fn duration(&mut self, key: &str, text: &str) -> Duration {
        let read = self.latency(key, text);
        // What could not be read is zero as well, and has been told of.
        if read.is_zero() && self.problems.last().is_none_or(|last| last.key != key) {
            self.problem(key, text, "must not be zero".to_owned(), "\"10s\"");
        }
        read
    }

    fn latency(&mut self, key: &str, text: &str) -> Duration {
        units::duration(text).unwrap_or_else(|| {
            let message = format!("\"{text}\" is not a duration of up to 24h");
            let meant = meant::durations(text)
                .into_iter()
                .filter(|it| units::duration(it).is_some());
            let cure = meant::asked(meant.map(|it| format!("\"{it}\"")));
            let cure = cure.unwrap_or_else(|| "a whole number and ms, s, m or h".to_owned());
            self.problem(key, text, message, &cure);
            Duration::ZERO
        })
    }

    fn fixed(&mut self, key: &str, value: f64, decimals: u32, max: f64) -> u64 {
        units::fixed(value, decimals, max).unwrap_or_else(|| {
            let message =
                format!("{value} is outside 0 to {max} or has more than {decimals} decimals");
            self.problem(
                key,
                &value.to_string(),
                message,
                "a smaller or rounder number",
            );
            0
        })
    }

    fn retry(&mut self, config: &RetryConfig) -> RetryPolicy {
        let key = "models.retry";
        // Twenty tries with the longest wait are minutes; more is a loop that a person should see.
        if !(1..=20).contains(&config.max_attempts) {
            let value = config.max_attempts.to_string();
            let message = format!("max_attempts = {value} is outside 1 to 20");
            self.problem(key, &value, message, "max_attempts = 3");
        }
        if config.factor < 1.0 {
            let value = config.factor.to_string();
            let message = format!("factor = {value} would make waits shorter");
            self.problem(key, &value, message, "factor = 2.0");
        }
        RetryPolicy {
            max_attempts: config.max_attempts,
            backoff: Backoff {
                initial: self.latency("models.retry.initial", &config.initial),
                factor_milli: self.fixed("models.retry.factor", config.factor, 3, 100.0),
                max: self.latency("models.retry.max", &config.max),
                jitter_milli: self.fixed("models.retry.jitter", config.jitter, 3, 1.0),
            },
        }
    }

    fn provider(&mut self, name: &str, config: &ProviderConfig) -> ProviderSettings {
        let key = format!("models.providers.{name}");
        if !name::is_provider(name) {
            let message = format!("\"{name}\" is not a name");
            self.problem(&key, name, message, "up to 64 of a-z, 0-9, `-` and `_`");
        }
        self.foreign_keys(&key, config);
        let (requests_per_minute, parallel) = self.limits(&key, config);
        self.secret_names(&key, config);
        let mock = config.kind == ProviderKind::Mock;
        let url = self.url(&key, config);
        // By the host and not by the kind: compatible servers have that kind, too, and mostly know
        // the older field alone.
        let openai = url.as_ref().and_then(Url::host_str) == Some("api.openai.com");
        let by_server = match openai {
            true => OutputLimit::MaxCompletionTokens,
            false => OutputLimit::MaxTokens,
        };
        ProviderSettings {
            name: name.to_owned(),
            kind: config.kind,
            url,
            key: config.key.clone(),
            // It answers within this process.
            on_prem: config.on_prem || mock,
            unpriced: config.unpriced || mock,
            requests_per_minute,
            // A `usize` has 32 bits at least.
            parallel: usize::try_from(parallel).unwrap_or(1),
            breaker: self.breaker(&key, &config.breaker),
            connect_timeout: self
                .duration(&format!("{key}.connect_timeout"), &config.connect_timeout),
            idle_timeout: self.duration(&format!("{key}.idle_timeout"), &config.idle_timeout),
            output_limit: config.output_limit.unwrap_or(by_server),
            api: config.api,
            answer_format: config.answer_format,
            leave_out: config.leave_out,
            fallback: config.fallback,
            thinking: self.thinking(&key, config),
            cache: config.cache,
            ca: config.ca.clone(),
            system_roots: config.system_roots,
            proxy: self.proxy(&key, config),
            scripts: self.scripts(&key, config),
            latency: config.latency.as_deref().map_or(Duration::ZERO, |text| {
                self.latency(&format!("{key}.latency"), text)
            }),
        }
    }

    /// Requests in a minute, and at once. A mock answers by itself, and nobody has to be spared.
    fn limits(&mut self, key: &str, config: &ProviderConfig) -> (u32, u32) {
        // Ten a second and sixteen at once are enough for the agents of one step. A provider that
        // allows less answers 429, which is waited out; one that allows more is told so here.
        let (per_minute, at_once) = match config.kind {
            ProviderKind::Mock => (LIMIT_MAX, 1_024),
            _ => (600, 16),
        };
        let requests_per_minute = config.requests_per_minute.unwrap_or(per_minute);
        let parallel = config.parallel.unwrap_or(at_once);
        for (limit, value) in [
            ("requests_per_minute", requests_per_minute),
            ("parallel", parallel),
            ("breaker.failures", config.breaker.failures),
        ] {
            if !(1..=LIMIT_MAX).contains(&value) {
                let message = format!("{value} is outside 1 to {LIMIT_MAX}");
                self.problem(&format!("{key}.{limit}"), &value.to_string(), message, "16");
            }
        }
        (requests_per_minute, parallel)
    }

    fn secret_names(&mut self, key: &str, config: &ProviderConfig) {
        for (name, secret) in [("key", &config.key), ("proxy_key", &config.proxy_key)] {
            if secret.as_deref().is_none_or(is_secret_name) {
                continue;
            }
            // What stands there may be the key itself: it is not repeated.
            let message =
                "is the name of a secret, of letters, digits and `_`, and not the key itself";
            let cure = format!(
                "{name} = \"NAME_OF_A_SECRET\", and its value in the variable FLOWHOST_SECRET_NAME_OF_A_SECRET"
            );
            self.problem(&format!("{key}.{name}"), "", message.to_owned(), &cure);
        }
    }

    fn thinking(&mut self, key: &str, config: &ProviderConfig) -> Option<Thinking> {
        let told = match config.thinking.as_ref()? {
            ThinkingConfig::Tokens(tokens) if *tokens >= THINKING_MIN => {
                return Some(Thinking::Tokens(*tokens));
            }
            ThinkingConfig::Word(word) if word == "adaptive" => return Some(Thinking::Adaptive),
            ThinkingConfig::Tokens(tokens) => tokens.to_string(),
            ThinkingConfig::Word(word) => word.clone(),
        };
        let message = format!("{told} is not \"adaptive\" or {THINKING_MIN} tokens and more");
        self.problem(
            &format!("{key}.thinking"),
            &told,
            message,
            "thinking = 4096",
        );
        None
    }

    fn proxy(&mut self, key: &str, config: &ProviderConfig) -> Option<Proxy> {
        let text = config.proxy.as_deref()?;
        let key = format!("{key}.proxy");
        let cure = "proxy = \"http://proxy.example.com:3128\"";
        let read = Url::parse(text).ok();
        // A tunnel needs a host and a port: whatever else is written there would be silently
        // ignored.
        let plain = read.as_ref().is_some_and(|url| {
            url.scheme() == "http"
                && url.has_host()
                && matches!(url.path(), "" | "/")
                && url.query().is_none()
                && url.fragment().is_none()
        });
        let names = read.as_ref();
        if names.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
            let message = "holds a user or password".to_owned();
            self.problem(&key, "", message, "proxy_key = \"NAME_OF_A_SECRET\"");
            return None;
        }
        let address = text.trim_end_matches('/').parse::<http::Uri>().ok();
        let Some(address) = address.filter(|_| plain) else {
            let message = format!("\"{text}\" is not the address of an HTTP proxy");
            self.problem(&key, text, message, cure);
            return None;
        };
        let key = config.proxy_key.clone();
        Some(Proxy { address, key })
    }

    fn breaker(&mut self, key: &str, config: &BreakerConfig) -> BreakerSettings {
        BreakerSettings {
            failures: config.failures,
            open: self.duration(&format!("{key}.breaker.open"), &config.open),
        }
    }

    /// Keys that are known but mean nothing for this kind.
    fn foreign_keys(&mut self, key: &str, config: &ProviderConfig) {
        let mock = config.kind == ProviderKind::Mock;
        let (openai, anthropic) = (
            config.kind == ProviderKind::OpenAi,
            config.kind == ProviderKind::Anthropic,
        );
        let written = [
            ("api", config.api != Api::default(), !openai),
            (
                "answer_format",
                config.answer_format != AnswerFormat::default(),
                mock || anthropic,
            ),
            ("leave_out", !config.leave_out.is_empty(), mock),
            ("fallback", !config.fallback, mock),
            ("thinking", config.thinking.is_some(), !anthropic),
            ("cache", config.cache.is_some(), !anthropic),
            ("ca", config.ca.is_some(), mock),
            ("system_roots", config.system_roots, mock),
            ("proxy", config.proxy.is_some(), mock),
            (
                "proxy_key",
                config.proxy_key.is_some(),
                config.proxy.is_none(),
            ),
            ("url", config.url.is_some(), mock),
            ("key", config.key.is_some(), mock),
            (
                "output_limit",
                config.output_limit.is_some(),
                !openai || config.api == Api::Responses,
            ),
            ("scripts", config.scripts.is_some(), !mock),
            ("latency", config.latency.is_some(), !mock),
        ];
        for (name, _, _) in written.iter().filter(|(_, is, wrong)| *is && *wrong) {
            let message = match *name {
                "proxy_key" => "`proxy_key` means nothing without `proxy`".to_owned(),
                name => format!("`{name}` means nothing for a provider of this kind"),
            };
            self.problem(&format!("{key}.{name}"), name, message, "leave it out");
        }
    }

    fn scripts(&mut self, key: &str, config: &ProviderConfig) -> Option<String> {
        let folder = config.scripts.as_deref()?.trim_end_matches('/');
        let inside = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !folder.split('/').all(inside) {
            let message = format!("\"{folder}\" leaves its folder");
            self.problem(
                &format!("{key}.scripts"),
                folder,
                message,
                "scripts = \"scripts\"",
            );
        }
        Some(folder.to_owned())
    }

    fn url(&mut self, key: &str, config: &ProviderConfig) -> Option<Url> {
        if config.kind == ProviderKind::Mock {
            return None;
        }
        let key = format!("{key}.url");
        let usual = match config.kind {
            ProviderKind::Gemini => GEMINI_URL,
            _ => "",
        };
        let text = config.url.as_deref().unwrap_or(usual);
        let cure = "url = \"https://api.example.com/v1\"";
        if text.is_empty() {
            let message = "the server's address is missing".to_owned();
            self.problem(&key, text, message, cure);
            return None;
        }
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                self.problem(
                    &key,
                    text,
                    format!("\"{text}\" is not an address ({error}): it begins with `https://` or `http://`"),
                    cure,
                );
                return None;
            }
        };
        let plain = url.scheme() == "http";
        if !plain && url.scheme() != "https" {
            let message = format!("the scheme `{}` is not spoken", url.scheme());
            self.problem(&key, text, message, cure);
        } else if plain && !config.on_prem && !is_loopback(&url) {
            let message = "plain http would show prompts and keys on the way".to_owned();
            self.problem(
                &key,
                text,
                message,
                "use https, or on_prem = true in a trusted network",
            );
        }
        // Shown to nobody, since it may be a password.
        if !url.username().is_empty() || url.password().is_some() {
            let message = "holds a user or password".to_owned();
            self.problem(&key, "", message, "key = \"NAME_OF_A_SECRET\"");
        }
        if url.query().is_some() || url.fragment().is_some() {
            let message = "holds a query or a fragment".to_owned();
            self.problem(&key, text, message, cure);
        }
        if let Some((base, end)) = endpoint(&url) {
            // Providers print this address in their examples, and the server would answer 404 to the doubled path.
            let message = format!("goes up to the version, and `{end}` is added by the host");
            self.problem(&key, text, message, &format!("url = \"{base}\""));
        }
        Some(url)
    }

    fn model(&mut self, key: &str, text: &str, known: &Providers) -> Option<ModelName> {
        match text.parse::<ModelName>() {
            Err(error) => {
                self.problem(key, text, error.to_string(), "provider/name");
                None
            }
            Ok(model) if !known.contains_key(&model.provider) => {
                let message = format!("the configuration has no provider `{}`", model.provider);
                let cure = format!("[models.providers.{}]", model.provider);
                self.problem(key, text, message, &cure);
                None
            }
            Ok(model) => Some(model),
        }
    }

    fn prices(&mut self, config: &BTreeMap<String, PriceConfig>, known: &Providers) -> Prices {
        let mut prices = Prices::default();
        for (name, price) in config {
            let key = format!("models.prices.\"{name}\"");
            let Some(model) = self.model(&key, name, known) else {
                continue;
            };
            let provider = known.get(&model.provider);
            let price = self.price(&key, price, provider.and_then(|it| it.cache));
            if model.name == "*" {
                prices.providers.insert(model.provider, price);
            } else {
                prices.models.insert(model, price);
            }
        }
        prices
    }

    fn price(&mut self, key: &str, config: &PriceConfig, cache: Option<CacheTtl>) -> Price {
        let mut read =
            |part: &str, value| self.fixed(&format!("{key}.{part}"), value, 6, price::PRICE_MAX);
        let input = read("input", config.input);
        let output = read("output", config.output);
        let cached_input = config
            .cached_input
            .map_or(input, |value| read("cached_input", value));
        let reasoning = config
            .reasoning
            .map_or(output, |value| read("reasoning", value));
        // By Anthropic's price list: a quarter more for five minutes, twice as much for an hour.
        let written = match cache {
            None => input,
            Some(CacheTtl::FiveMinutes) => (input.saturating_mul(5)).div_ceil(4),
            Some(CacheTtl::Hour) => input.saturating_mul(2),
        };
        let cache_write = config
            .cache_write
            .map_or(written, |value| read("cache_write", value));
        Price {
            input,
            cached_input,
            cache_write,
            output,
            reasoning,
            hours: self.hours(&format!("{key}.hours"), &config.hours),
        }
    }

    fn hours(&mut self, key: &str, config: &[HoursConfig]) -> Vec<Hours> {
        let mut read: Vec<Hours> = Vec::new();
        for window in config {
            let (from, to) = (self.hour(key, &window.from), self.hour(key, &window.to));
            let factor = self.fixed(key, window.factor, 3, price::FACTOR_MAX);
            let hours = Hours { from, to, factor };
            if from == to {
                let message = format!("{} to {} is not a span of time", window.from, window.to);
                self.problem(
                    key,
                    &window.from,
                    message,
                    "from = \"00:00\", to = \"24:00\"",
                );
            } else if read.iter().any(|other| other.overlaps(&hours)) {
                let message = format!("{} to {} overlaps another", window.from, window.to);
                self.problem(key, &window.from, message, "windows that share no minute");
            }
            read.push(hours);
        }
        read
    }

    fn hour(&mut self, key: &str, text: &str) -> u32 {
        units::minute_of_day(text).unwrap_or_else(|| {
            self.problem(
                key,
                text,
                format!("\"{text}\" is not a time of day"),
                "\"22:00\"",
            );
            0
        })
    }

    fn failover(
        &mut self,
        config: &BTreeMap<String, Vec<String>>,
        known: &Providers,
    ) -> BTreeMap<ModelName, Vec<ModelName>> {
        let mut read = BTreeMap::new();
        for (from, to) in config {
            let key = format!("models.failover.\"{from}\"");
            let models: Vec<_> = to
                .iter()
                .filter_map(|name| self.model(&key, name, known))
                .collect();
            if models.len() > FAILOVER_MAX {
                let message = format!("names more than {FAILOVER_MAX} models");
                self.problem(&key, from, message, "a shorter list");
            }
            if let Some(from) = self.model(&key, from, known) {
                if models.contains(&from) {
                    let message = "a model cannot stand in for itself".to_owned();
                    self.problem(&key, &from.to_string(), message, "name others");
                }
                // Also a wrong one: nothing is returned once there is a problem.
                read.insert(from, models);
            }
        }
        read
    }
}

type Providers = BTreeMap<String, ProviderSettings>;

/// Whether the address is this machine by its text; a name other than `localhost` may be anything.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests;
