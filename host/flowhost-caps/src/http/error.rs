//! What a request can end with, and what each of the two interfaces tells the guest about it.

use std::io;

use flowhost_engine::{Fault, bindings::types};
use flowhost_policy::Denied;
use wasmtime_wasi_http::Error as WasiError;

use crate::shared::login::LoginError;
use crate::shared::support::Refusal;

/// Why there is no response, or no more of it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SendError {
    /// A rule said no; already recorded.
    #[error("denied by {}", .0.rule)]
    Denied(Denied),
    /// A cap was reached; bytes or counts.
    #[error("the limit `{name}` was reached: used {used}, allowed {allowed}")]
    Limit {
        /// `http.request`, `http.response`, `http.headers`, `http.run`.
        name: &'static str,
        /// Used, or asked for.
        used: u64,
        /// Allowed.
        allowed: u64,
    },
    /// The request is not one.
    #[error("{0}")]
    Invalid(String),
    /// The name has no address.
    #[error("{0}")]
    Resolve(#[from] super::resolve::ResolveError),
    /// No connection.
    #[error("could not connect: {0}")]
    Connect(String),
    /// Too slow: which part.
    #[error("timed out: {0}")]
    Timeout(&'static str),
    /// The server could not prove who it is, or speaks another TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// The server does not speak HTTP/1.1 as it should.
    #[error("protocol: {0}")]
    Protocol(String),
    /// The connection broke before the response was whole: the server or what is between may be well
    /// again in a moment.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// A login's token is not taken.
    #[error("{0}")]
    Login(String),
    /// Whoever renews a login's token did not answer.
    #[error("{0}")]
    LoginAway(String),
    /// A host fault; the call must end.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Whether a connection ended, and not what was said on it is at fault.
pub(super) fn is_broken(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// A rule that wants a login that nobody has is the operator's to mend, as one that wants a secret without a value.
impl From<LoginError> for SendError {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Absent(why) => Self::Fault(Fault::Host(why)),
            LoginError::Refused(why) => Self::Login(why),
            LoginError::Away(why) => Self::LoginAway(why),
        }
    }
}

/// For `flowhost:http`: a typed error, or a fault that kills the call.
impl SendError {
    /// Whether the request was on its way: the server may have it, and has not said what became of it.
    pub(super) fn is_unanswered(&self) -> bool {
        match self {
            Self::Timeout(what) => !["connect", "slot"].contains(what),
            Self::Broken(_) => true,
            _ => false,
        }
    }

    pub(super) fn into_refusal(self) -> Refusal {
        match self.into_guest() {
            Ok(error) => Refusal::Guest(error),
            Err(fault) => Refusal::Fault(fault),
        }
    }

    pub(super) fn into_guest(self) -> Result<types::Error, Fault> {
        use types::Error as Guest;
        let text = self.to_string();
        Ok(match self {
            Self::Denied(denied) => Guest::from(&denied),
            Self::Limit {
                name,
                used,
                allowed,
            } => Guest::Limit(types::Limit {
                name: name.to_owned(),
                used: used.to_string(),
                allowed: allowed.to_string(),
            }),
            Self::Invalid(message) => Guest::Invalid(message),
            // A name that does not exist is misspelt, as a rule, and another try finds it no more.
            Self::Resolve(super::resolve::ResolveError::NotFound) => Guest::Failed(text),
            Self::Resolve(_) | Self::Connect(_) | Self::Timeout(_) | Self::Broken(_) => {
                Guest::Transient(text)
            }
            Self::LoginAway(_) => Guest::Transient(text),
            Self::Tls(_) | Self::Protocol(_) | Self::Login(_) => Guest::Failed(text),
            Self::Fault(fault) => return Err(fault),
        })
    }

    /// For `wasi:http`: the nearest of its codes. A fault has none: whoever hands this to a guest dooms
    /// the call by it.
    pub(super) fn into_wasi(self) -> WasiError {
        use super::resolve::ResolveError;
        match self {
            // Of the address and not of the rule: WASI has a code for that.
            Self::Denied(denied) if denied.rule.starts_with("egress.") => {
                WasiError::DestinationIpProhibited
            }
            Self::Denied(_) => WasiError::HttpRequestDenied,
            Self::Limit {
                name: "http.request",
                used,
                ..
            } => WasiError::HttpRequestBodySize(Some(used)),
            Self::Limit {
                name: "http.response",
                used,
                ..
            } => WasiError::HttpResponseBodySize(Some(used)),
            Self::Limit {
                name: "http.headers",
                ..
            } => WasiError::HttpResponseHeaderSectionSize(None),
            Self::Limit { .. } => WasiError::ConnectionLimitReached,
            Self::Invalid(_) => WasiError::HttpRequestUriInvalid,
            Self::Resolve(ResolveError::Timeout) => WasiError::DnsTimeout,
            Self::Resolve(ResolveError::NotFound) => WasiError::DnsError {
                rcode: Some("NXDOMAIN".to_owned()),
                info_code: None,
            },
            Self::Resolve(ResolveError::Failed(_)) => WasiError::DnsError {
                rcode: Some("SERVFAIL".to_owned()),
                info_code: None,
            },
            Self::Connect(_) => WasiError::ConnectionRefused,
            Self::Timeout("connect") => WasiError::ConnectionTimeout,
            Self::Timeout(_) => WasiError::HttpResponseTimeout,
            Self::Tls(_) => WasiError::TlsProtocolError,
            Self::Protocol(_) => WasiError::HttpProtocolError,
            Self::Broken(_) => WasiError::ConnectionTerminated,
            Self::Login(_) => WasiError::HttpRequestDenied,
            // WASI has no code for whoever renews a token; this one says that another try may do.
            Self::LoginAway(_) => WasiError::ConnectionTimeout,
            Self::Fault(_) => WasiError::InternalError(None),
        }
    }
}
