//! What one document says about each right, when it is not the one that grants.
//!
//! A manifest asks, a plan narrows, a caller passes on: all three only ever take away from what the
//! profile grants, so all three have this shape. The two starting points differ: a manifest that
//! names nothing asks for nothing, a plan that names nothing narrows nothing.

use crate::grant::{
    Access, ClockMode, EnvValue, Grants, HttpRule, Inject, MessagesGrant, ModelGrant, RandomSource,
    SecretsGrant, StateGrant, ToolsGrant,
};

/// What a document says about one right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ask<T> {
    /// Not this right.
    #[default]
    None,
    /// `"granted"`: as much of it as the profile grants.
    Granted,
    /// No more of it than this.
    Only(T),
}

/// What happens to a header that the profile injects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectAsk {
    /// It stays: only the operator decides about it (manifest, plan).
    Keep,
    /// It stays if the caller has the same (caller).
    Same(Option<Inject>),
}

/// A URL prefix and methods, with caps that only lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAsk {
    /// Canonical URL, as in [`HttpRule::url`].
    pub url: String,
    /// Methods; empty is none.
    pub methods: Vec<String>,
    /// Most bytes of a response body.
    pub response_bytes: u64,
    /// Most bytes of a request body.
    pub request_bytes: u64,
    /// `false` takes the private network away.
    pub private_network: bool,
    /// What becomes of an injected header.
    pub inject: InjectAsk,
}

/// A guest folder, with what the host folder may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileAsk {
    /// Guest path.
    pub guest: String,
    /// At or below this host folder; `None` leaves it to the operator.
    pub host: Option<String>,
    /// No more access than this.
    pub access: Access,
    /// No more bytes than this.
    pub quota_bytes: u64,
    /// No more entries than this.
    pub quota_entries: u64,
}

/// A variable of the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvAsk {
    /// Its name.
    pub name: String,
    /// Only with this value; `None` leaves it to the operator.
    pub value: Option<EnvValue>,
}

/// What a document says about every right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asks {
    /// `log`.
    pub log: bool,
    /// `config`.
    pub config: bool,
    /// `budget`.
    pub budget: bool,
    /// `http`.
    pub http: Ask<Vec<HttpAsk>>,
    /// `files`.
    pub files: Ask<Vec<FileAsk>>,
    /// `env`.
    pub env: Ask<Vec<EnvAsk>>,
    /// `model`; missing amounts are the ceilings.
    pub model: Ask<ModelGrant>,
    /// `tools`.
    pub tools: Ask<ToolsGrant>,
    /// `messages`.
    pub messages: Ask<MessagesGrant>,
    /// `state`; missing bytes are the ceiling.
    pub state: Ask<StateGrant>,
    /// `clock`: no more than this mode.
    pub clock: Ask<ClockMode>,
    /// `random`: no more than this source.
    pub random: Ask<RandomSource>,
    /// `secrets`.
    pub secrets: Ask<SecretsGrant>,
}

impl Asks {
    /// What a manifest starts from.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            log: false,
            config: false,
            budget: false,
            http: Ask::None,
            files: Ask::None,
            env: Ask::None,
            model: Ask::None,
            tools: Ask::None,
            messages: Ask::None,
            state: Ask::None,
            clock: Ask::None,
            random: Ask::None,
            secrets: Ask::None,
        }
    }

    /// What a plan starts from.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            log: true,
            config: true,
            budget: true,
            http: Ask::Granted,
            files: Ask::Granted,
            env: Ask::Granted,
            model: Ask::Granted,
            tools: Ask::Granted,
            messages: Ask::Granted,
            state: Ask::Granted,
            clock: Ask::Granted,
            random: Ask::Granted,
            secrets: Ask::Granted,
        }
    }
}

/// What a caller passes on: its own rights and not one more.
impl From<&Grants> for Asks {
    fn from(grants: &Grants) -> Self {
        Self {
            log: grants.log,
            config: grants.config,
            budget: grants.budget,
            http: Ask::Only(grants.http.iter().map(HttpAsk::from).collect()),
            files: Ask::Only(
                grants
                    .files
                    .iter()
                    .map(|grant| FileAsk {
                        guest: grant.guest.clone(),
                        host: Some(grant.host.clone()),
                        access: grant.access,
                        quota_bytes: grant.quota_bytes,
                        quota_entries: grant.quota_entries,
                    })
                    .collect(),
            ),
            env: Ask::Only(
                grants
                    .env
                    .iter()
                    .map(|(name, value)| EnvAsk {
                        name: name.clone(),
                        value: Some(value.clone()),
                    })
                    .collect(),
            ),
            model: Ask::Only(grants.model.clone()),
            tools: Ask::Only(grants.tools.clone()),
            messages: Ask::Only(grants.messages.clone()),
            state: Ask::Only(grants.state.clone()),
            clock: Ask::Only(grants.clock),
            random: Ask::Only(grants.random),
            secrets: Ask::Only(grants.secrets.clone()),
        }
    }
}

impl From<&HttpRule> for HttpAsk {
    fn from(rule: &HttpRule) -> Self {
        Self {
            url: rule.url.clone(),
            methods: rule.methods.clone(),
            response_bytes: rule.response_bytes,
            request_bytes: rule.request_bytes,
            private_network: rule.private_network,
            inject: InjectAsk::Same(rule.inject.clone()),
        }
    }
}
