//! Puts a secret into a request after the decision, and takes it out of the answer.
//!
//! The template is the rule's, never the guest's: a `${secret:…}` that a guest writes travels as
//! those characters. So a secret goes to the rule's host and nowhere else.

use std::sync::Arc;

use flowhost_engine::{CallScope, Fault};
use flowhost_ledger::records::{DecisionPart, SecretUse};
use flowhost_policy::{HttpRule, Inject, decide_secret, egress::Target};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use super::error::SendError;
use crate::shared::login::LoginStore;
use crate::shared::redact::Redactor;
use crate::shared::secret::SecretStore;

/// What a rule adds to a request, as far as it takes time to have it.
pub(super) enum Wanted<'a> {
    /// A header that is filled in when the connection stands.
    Header { header: &'a str, value: &'a str },
    /// A login's token, which may have had to be renewed.
    Login {
        name: &'a str,
        token: Zeroizing<String>,
    },
}

/// Has what the rule adds. Nothing is recorded yet: it is not sent yet.
pub(super) async fn wanted<'a>(
    logins: &dyn LoginStore,
    rule: &'a HttpRule,
    target: &Target,
) -> Result<Option<Wanted<'a>>, SendError> {
    Ok(match &rule.inject {
        None => None,
        Some(Inject::Header { header, value }) => Some(Wanted::Header { header, value }),
        Some(Inject::Login(name)) => Some(Wanted::Login {
            name,
            token: logins.token(name, target.url()).await?,
        }),
    })
}

/// Fills in the rule's header. `None` when the rule injects nothing.
pub(super) fn inject(
    store: &dyn SecretStore,
    scope: &CallScope,
    interface: &str,
    rule: &HttpRule,
    wanted: Option<Wanted<'_>>,
    headers: &mut HeaderMap,
) -> Result<Option<Injected>, SendError> {
    let Some(wanted) = wanted else {
        return Ok(None);
    };
    if headers.contains_key(header::RANGE) {
        // An echo cut into ranges would be a secret cut into pieces that no redactor knows.
        return Err(SendError::Invalid(
            "a rule that injects a secret allows no `range`".to_owned(),
        ));
    }
    let mut login = None;
    let (header, filled) = match wanted {
        Wanted::Header { header, value } => (header, fill(store, scope, interface, value)?),
        Wanted::Login { name, token } => {
            login = Some((name.to_owned(), token.clone()));
            (
                header::AUTHORIZATION.as_str(),
                Filled::of_login(name, token),
            )
        }
    };
    let (name, value) = header_of(header, &filled.value)?;
    // In the place of whatever the guest gave under this name, all of its values.
    headers.insert(name, value);
    // Redaction works on plain bytes: ask for them.
    headers.insert(
        header::ACCEPT_ENCODING,
        HeaderValue::from_static("identity"),
    );
    for name in &filled.names {
        let fact = scope.said(SecretUse {
            decided: DecisionPart {
                interface: Some(interface.to_owned()),
                rule: Some(rule.url.as_str().to_owned()),
                ..DecisionPart::default()
            },
            r#use: Some("inject".to_owned()),
            secret: Some(name.clone()),
            ..SecretUse::default()
        });
        scope.run.recorder.append(fact).map_err(Fault::from)?;
    }
    let redactor = Redactor::new(filled.secrets.iter().map(|secret| secret.as_str()));
    Ok(Some(Injected {
        names: filled.names,
        redactor: Arc::new(redactor),
        login,
    }))
}

fn header_of(header: &str, value: &str) -> Result<(HeaderName, HeaderValue), SendError> {
    let name = HeaderName::from_bytes(header.as_bytes()).map_err(|_| {
        SendError::Invalid("the rule's `inject.header` is not the name of a header".to_owned())
    })?;
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| SendError::Invalid("a secret does not fit into a header".to_owned()))?;
    // Whoever prints the request, hyper's own traces too, prints `Sensitive` in its place.
    value.set_sensitive(true);
    Ok((name, value))
}

struct Filled {
    value: Zeroizing<String>,
    /// As records name them.
    names: Vec<String>,
    secrets: Vec<Zeroizing<String>>,
}

impl Filled {
    /// The header of RFC 6750. A record names the login with a word before it, because a secret may have the same name.
    fn of_login(name: &str, token: Zeroizing<String>) -> Self {
        Self {
            value: Zeroizing::new(format!("Bearer {}", token.as_str())),
            names: vec![format!("login:{name}")],
            secrets: vec![token],
        }
    }
}

/// Replaces each `${secret:NAME}`; every name must be in the plugin's `secrets.names`.
fn fill(
    store: &dyn SecretStore,
    scope: &CallScope,
    interface: &str,
    template: &str,
) -> Result<Filled, SendError> {
    let mut filled = Filled {
        value: Zeroizing::new(String::new()),
        names: Vec::new(),
        secrets: Vec::new(),
    };
    let mut rest = template;
    while let Some((before, tail)) = rest.split_once("${secret:") {
        let (name, after) = tail
            .split_once('}')
            .ok_or_else(|| SendError::Invalid("`inject.value` lacks a `}`".to_owned()))?;
        // Each by the plugin's own rights: the rule says where a secret goes, and not whose it is.
        let secret = named(store, scope, interface, name)?;
        filled.value.push_str(before);
        filled.value.push_str(&secret);
        filled.names.push(name.to_owned());
        filled.secrets.push(secret);
        rest = after;
    }
    filled.value.push_str(rest);
    Ok(filled)
}

fn named(
    store: &dyn SecretStore,
    scope: &CallScope,
    interface: &str,
    name: &str,
) -> Result<Zeroizing<String>, SendError> {
    if let Err(denied) = decide_secret(&scope.effective.grants.secrets, name) {
        scope.record_deny::<SecretUse>(interface, &denied)?;
        return Err(SendError::Denied(denied));
    }
    store.get(name).ok_or_else(|| {
        SendError::Fault(Fault::Host(format!(
            "no value for the secret `{name}`: export FLOWHOST_SECRET_{name}, or name its source under \
             [secrets] of your flowhost.toml"
        )))
    })
}

/// What was put in, and so must not come back.
pub(super) struct Injected {
    names: Vec<String>,
    redactor: Arc<Redactor>,
    /// Name and token, where it was a login's.
    login: Option<(String, Zeroizing<String>)>,
}

impl Injected {
    /// The login whose token was put in, and the token.
    pub(super) fn login(&self) -> Option<(&str, &str)> {
        self.login
            .as_ref()
            .map(|(name, token)| (name.as_str(), token.as_str()))
    }

    /// The response's headers without echoes; the number of places.
    pub(super) fn clean_headers(&self, headers: &mut HeaderMap) -> Result<usize, SendError> {
        let mut hits = 0;
        for value in headers.values_mut() {
            let clean = self.redactor.redact(value.as_bytes());
            if clean.hits > 0 {
                hits += clean.hits;
                *value = HeaderValue::from_bytes(&clean.bytes).map_err(|_| {
                    SendError::Protocol("a header could not be redacted".to_owned())
                })?;
            }
        }
        let named = headers
            .keys()
            // A name cannot be redacted: what stands in a secret's place is no token. So the field
            // goes.
            .filter(|name| self.redactor.redact(name.as_str().as_bytes()).hits > 0);
        let named: Vec<HeaderName> = named.cloned().collect();
        for name in named {
            hits += 1;
            headers.remove(name);
        }
        Ok(hits)
    }

    /// The response's body without echoes.
    pub(super) fn clean_body(&self, body: &[u8]) -> (Vec<u8>, usize) {
        let clean = self.redactor.redact(body);
        (clean.bytes, clean.hits)
    }

    /// Flags an echo in the ledger.
    pub(super) fn record(
        &self,
        scope: &CallScope,
        interface: &str,
        place: &str,
        hits: usize,
    ) -> Result<(), SendError> {
        if hits == 0 {
            return Ok(());
        }
        let fact = scope.said(SecretUse {
            decided: DecisionPart {
                interface: Some(interface.to_owned()),
                ..DecisionPart::default()
            },
            r#use: Some("redact".to_owned()),
            secrets: Some(self.names.clone()),
            place: Some(place.to_owned()),
            hits: Some(hits as u64),
            ..SecretUse::default()
        });
        scope.run.recorder.append(fact).map_err(Fault::from)?;
        Ok(())
    }
}
