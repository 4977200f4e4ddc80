//! What a plugin holds once manifest, profile, plan and caller have been intersected.
//!
//! The default of every type here grants nothing. A limit is a number and never an `Option`:
//! "unlimited" cannot be written down.

use std::collections::{BTreeMap, BTreeSet};

/// The limits of one call of one plugin. [`Limits::default`] is what an empty `[limits]` gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all linear memories and tables of the instance together. At it: `memory.grow` fails.
    pub memory_bytes: u64,
    /// Fuel units per call. At it: the call is killed.
    pub fuel: u64,
    /// Wall clock per call in milliseconds, host calls included. At it: the call is killed.
    pub deadline_ms: u64,
    /// Bytes the guest may hand back per call. Over it: the call fails before anything is copied.
    pub output_bytes: u64,
    /// Bytes of log lines per call; the rest is dropped with one record that says how much.
    pub log_bytes: u64,
    /// Bytes of records and payloads per call, those of what it calls included. At it: the call is killed.
    pub evidence_bytes: u64,
    /// Calls from guest to host per call. At it: the call is killed.
    pub host_calls: u64,
    /// Live handles (resources) per instance. At it: the call is killed.
    pub handles: u64,
    /// Undelivered messages in the plugin's mailbox. At it: the sender is told it is full.
    pub queue: u64,
    /// Instances of the plugin alive at once. At it: the next call waits.
    pub instances: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: 64 << 20,
            fuel: 2_000_000_000,
            deadline_ms: 30_000,
            output_bytes: 1 << 20,
            log_bytes: 256 << 10,
            evidence_bytes: 64 << 20,
            host_calls: 100_000,
            handles: 1_024,
            queue: 256,
            instances: 8,
        }
    }
}

/// Read, or read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Access {
    /// Look and read; every verb that changes anything is refused.
    Read,
    /// Also create, write, rename and remove, up to the quota.
    Write,
}

/// One `[[http]]` table: a URL prefix and the methods that may be sent below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Canonical `scheme://host:port/prefix`; the host may be `*.two.labels`, an IP or a CIDR.
    pub url: String,
    /// Upper-case methods; empty allows none.
    pub methods: Vec<String>,
    /// A header that the host adds after the decision; the guest never sees its value.
    pub inject: Option<Inject>,
    /// Largest response body in bytes.
    pub response_bytes: u64,
    /// Largest request body in bytes.
    pub request_bytes: u64,
    /// Whether a private address may answer. Needs `--allow-private-network` too.
    pub private_network: bool,
}

impl HttpRule {
    /// Largest response body where a profile says nothing, in bytes.
    pub const RESPONSE_BYTES: u64 = 4 << 20;
    /// Largest request body where a profile says nothing, in bytes.
    pub const REQUEST_BYTES: u64 = 1 << 20;

    /// A rule with the default body caps, nothing injected and the public internet only.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with the URL or a method.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::HttpRule;
    ///
    /// let rule = HttpRule::new("https://api.example.com", &["GET"]).unwrap();
    /// assert_eq!(rule.url, "https://api.example.com:443/");
    /// assert!(HttpRule::new("https://*.com", &["GET"]).is_err());
    /// ```
    pub fn new(url: &str, methods: &[&str]) -> Result<Self, String> {
        if let Some(bad) = methods
            .iter()
            .find(|method| !crate::egress::is_method(method))
        {
            return Err(format!("`{bad}` is not a method that is sent"));
        }
        Ok(Self {
            url: crate::egress::rule::canonical(url)?,
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            inject: None,
            response_bytes: Self::RESPONSE_BYTES,
            request_bytes: Self::REQUEST_BYTES,
            private_network: false,
        })
    }
}

/// A header whose value holds `${secret:NAME}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inject {
    /// Header name, lower case.
    pub header: String,
    /// Template with `${secret:NAME}` placeholders.
    pub value: String,
}

impl Inject {
    /// The names of the secrets in the template.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::Inject;
    ///
    /// let inject = Inject { header: "x-key".into(), value: "${secret:A} ${secret:B}".into() };
    /// assert_eq!(inject.secrets().collect::<Vec<_>>(), ["A", "B"]);
    /// ```
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let parts = self.value.split("${secret:").skip(1);
        parts.filter_map(|part| part.split_once('}').map(|(name, _)| name))
    }
}

/// One `[[files]]` table: a host folder at a guest path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileGrant {
    /// Absolute guest path, normalised, no trailing slash: `/docs`.
    pub guest: String,
    /// Host folder, relative to the plan file.
    pub host: String,
    /// Read, or read and write.
    pub access: Access,
    /// Most bytes that may stand below the folder after a write; 0 for read grants.
    pub quota_bytes: u64,
    /// Most entries (files and folders) that may stand below it; 0 for read grants.
    pub quota_entries: u64,
}

/// A value for the guest's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvValue {
    /// The value itself.
    Literal(String),
    /// The name of a host variable, read when the run starts.
    From(String),
}

/// `[model]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelGrant {
    /// Patterns `provider/name`, `*` at the end of a segment only.
    pub allow: Vec<String>,
    /// Tokens per run of this plugin.
    pub tokens: u64,
    /// Micro-USD per run of this plugin.
    pub micro_usd: u64,
}

/// `[tools]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolsGrant {
    /// Patterns `plugin` (all its tools), `plugin/tool`, `plugin/*`.
    pub call: Vec<String>,
}

/// `[messages]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessagesGrant {
    /// Topic patterns the plugin may publish to; `*` is one token, `>` the rest.
    pub publish: Vec<String>,
    /// Topic patterns that reach its mailbox. The token `self` stands for the plugin's own name.
    pub subscribe: Vec<String>,
}

/// `[state]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateGrant {
    /// Namespaces the plugin may open.
    pub namespaces: Vec<String>,
    /// Bytes of keys and values in one namespace.
    pub bytes: u64,
}

/// `[clock] wall`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClockMode {
    /// The interface is not linked.
    #[default]
    Denied,
    /// A clock that starts at the run's start and moves only when the host says so.
    Virtual,
    /// The host's clock, each reading recorded.
    Real,
}

/// `[random] source`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum RandomSource {
    /// The interface is not linked.
    #[default]
    Denied,
    /// A stream derived from the run's seed and the step's id.
    Seeded,
    /// The operating system, each draw recorded.
    Os,
}

/// `[secrets]`. Injection needs only `names`; handing a value to the guest is `reveal`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretsGrant {
    /// Names the plugin may know of and have injected.
    pub names: Vec<String>,
    /// Names whose value the guest may read. A right of its own.
    pub reveal: Vec<String>,
}

/// The rights of one plugin. `Grants::default()` is deny-all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// `log = true`: may write log lines, up to `limits.log`.
    pub log: bool,
    /// `config = true`: may read its own configuration from the plan.
    pub config: bool,
    /// `budget = true`: may ask what is left.
    pub budget: bool,
    /// `[[http]]`.
    pub http: Vec<HttpRule>,
    /// `[[files]]`.
    pub files: Vec<FileGrant>,
    /// `[env]`.
    pub env: BTreeMap<String, EnvValue>,
    /// `[model]`.
    pub model: ModelGrant,
    /// `[tools]`.
    pub tools: ToolsGrant,
    /// `[messages]`.
    pub messages: MessagesGrant,
    /// `[state]`.
    pub state: StateGrant,
    /// `[clock]`.
    pub clock: ClockMode,
    /// `[random]`.
    pub random: RandomSource,
    /// `[secrets]`.
    pub secrets: SecretsGrant,
    /// The rights that were written down, by key, whatever is left of them. One that holds nothing
    /// (`[tools] call = []`) is linked all the same and answers no to everything, so that a component
    /// that imports it without needing it can run.
    pub named: BTreeSet<&'static str>,
}

/// The effective right of a plugin in a plan: manifest ∩ profile ∩ plan ∩ caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// The plugin's name in the plan.
    pub plugin: String,
    /// The profile's name.
    pub profile: String,
    /// `sha256:` of the canonical effective profile.
    pub hash: String,
    /// Limits, each the smallest of all that were named.
    pub limits: Limits,
    /// Rights.
    pub grants: Grants,
}

impl Effective {
    /// Whether the interfaces of the right with this profile key are linked.
    #[must_use]
    pub fn links(&self, key: &str) -> bool {
        crate::Right::of(key).is_some_and(|right| right.is_linked(self))
    }
}
