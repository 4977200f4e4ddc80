//! What a profile grants of `http`, and what other documents say of it.

use super::egress::{is_method, rule};

/// One `[[http]]` table: a URL prefix and the methods that may be sent below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Canonical `scheme://host:port/prefix`; the host may be `*.two.labels`, an IP or a CIDR.
    pub url: String,
    /// Upper-case methods; empty allows none.
    pub methods: Vec<String>,
    /// A header that the host adds after the decision; the guest never sees its value.
    pub inject: Option<Inject>,
    /// The operator's identity, by its name, that the host shows a server which asks for a client certificate.
    pub identity: Option<String>,
    /// Largest response body in bytes.
    pub response_bytes: u64,
    /// Largest request body in bytes.
    pub request_bytes: u64,
    /// Whether a private address may answer. Needs `--allow-private-network` too.
    pub private_network: bool,
}

impl HttpRule {
    /// Largest response body where a profile says nothing, in bytes. A page or a document, not a download: who
    /// wants one says so in the profile.
    pub const RESPONSE_BYTES: u64 = 4 << 20;
    /// Largest request body where a profile says nothing, in bytes. Less than what may be read: what leaves is
    /// what can do harm.
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
        if let Some(bad) = methods.iter().find(|method| !is_method(method)) {
            return Err(format!("`{bad}` is not a method that is sent"));
        }
        Ok(Self {
            url: rule::canonical(url)?,
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            inject: None,
            identity: None,
            response_bytes: Self::RESPONSE_BYTES,
            request_bytes: Self::REQUEST_BYTES,
            private_network: false,
        })
    }
}

/// What the host adds to a request after the decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inject {
    /// A header with secrets of the operator's in its value.
    Header {
        /// Header name, lower case.
        header: String,
        /// Template with `${secret:NAME}` placeholders.
        value: String,
    },
    /// `authorization` with the token of the login of this name. It goes to the server of that login alone, whatever the
    /// rule names beside it.
    Login(String),
}

impl Inject {
    /// The names of the secrets in the template.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_policy::Inject;
    ///
    /// let inject = Inject::Header { header: "x-key".into(), value: "${secret:A} ${secret:B}".into() };
    /// assert_eq!(inject.secrets().collect::<Vec<_>>(), ["A", "B"]);
    /// assert_eq!(Inject::Login("notes".into()).secrets().next(), None);
    /// ```
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let template = match self {
            Self::Header { value, .. } => value.as_str(),
            Self::Login(_) => "",
        };
        // What stands before the first placeholder names none.
        let parts = template.split("${secret:").skip(1);
        parts.filter_map(|part| part.split_once('}').map(|(name, _)| name))
    }

    /// The login whose token is added.
    #[must_use]
    pub fn login(&self) -> Option<&str> {
        match self {
            Self::Header { .. } => None,
            Self::Login(name) => Some(name),
        }
    }
}

/// Whether a text can be the name of a login: it is a part of a file's name, and typed by people.
#[must_use]
pub fn is_login_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=32).contains(&text.len()) && text.bytes().all(plain)
}

/// What becomes of something that the operator lends to a rule: a header that is injected, an identity that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LentAsk<T> {
    /// It stays: only the operator decides about it (manifest, plan).
    Keep,
    /// It stays if the caller has the same (caller).
    Same(Option<T>),
}

impl<T: Clone + PartialEq> LentAsk<T> {
    /// What stays of what is granted.
    pub(super) fn of(&self, granted: &Option<T>) -> Option<T> {
        match self {
            Self::Keep => granted.clone(),
            Self::Same(theirs) if theirs == granted => granted.clone(),
            Self::Same(_) => None,
        }
    }
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
    pub inject: LentAsk<Inject>,
    /// What becomes of an identity that is shown.
    pub identity: LentAsk<String>,
}

impl From<&HttpRule> for HttpAsk {
    fn from(rule: &HttpRule) -> Self {
        Self {
            url: rule.url.clone(),
            methods: rule.methods.clone(),
            response_bytes: rule.response_bytes,
            request_bytes: rule.request_bytes,
            private_network: rule.private_network,
            inject: LentAsk::Same(rule.inject.clone()),
            identity: LentAsk::Same(rule.identity.clone()),
        }
    }
}
