//! What can go wrong with a login, in words for the person who logs in, and what to do about it.

use crate::address::AddressFault;

/// Why there is no login, or no token of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OauthError {
    /// An address that is not asked.
    #[error("{what} `{shown}`: {fault}")]
    Address {
        /// Whose it is.
        what: &'static str,
        /// The address, as far as it can be shown.
        shown: String,
        /// What is wrong with it.
        fault: AddressFault,
    },
    /// No answer.
    #[error("{what} (`{url}`) was asked and gave no answer: {why}")]
    Unanswered {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// Why not.
        why: String,
    },
    /// The answer sends us elsewhere.
    #[error("{what} (`{url}`) answers with a redirect (HTTP {status}), which is not followed")]
    Redirected {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// Its status.
        status: u16,
    },
    /// The answer says no.
    #[error("{what} (`{url}`) answers with HTTP {status}{said}")]
    Status {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// Its status.
        status: u16,
        /// `: ` and what it says, or nothing.
        said: String,
    },
    /// The answer is another document.
    #[error("{what} (`{url}`) cannot be used: {why}")]
    Document {
        /// What was asked for.
        what: &'static str,
        /// Where.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody says where to log in.
    #[error("`{server}` does not say where to log in{said}")]
    NoMetadata {
        /// The server.
        server: String,
        /// What it answered when it was asked without a token.
        said: String,
    },
    /// The authority that the person named is not one of the server's.
    #[error("`{server}` takes no tokens of `{wanted}`; it names {named}")]
    NotItsAuthority {
        /// The server.
        server: String,
        /// What the person named.
        wanted: String,
        /// What the server names.
        named: String,
    },
    /// No document of the authority.
    #[error("the authority `{issuer}` has no document that says how to log in")]
    NoAuthority {
        /// The authority.
        issuer: String,
    },
    /// No way to say who we are.
    #[error("the authority `{issuer}` registers no clients, and no client was named")]
    NoClient {
        /// The authority.
        issuer: String,
    },
    /// The browser came back with somebody else's answer.
    #[error("the answer that came back is not to this login: its `state` is another")]
    State,
    /// The answer is another authority's.
    #[error("the answer came from {found}, and the login was begun with `{wanted}`")]
    OtherIssuer {
        /// Whom the login was begun with.
        wanted: String,
        /// Who says that it answered.
        found: String,
    },
    /// The answer cannot be read.
    #[error("the answer that came back cannot be read: {0}")]
    Answer(String),
    /// The person or the authority said no.
    #[error("the authority did not agree to the login: {0}")]
    Declined(String),
    /// The authority gives no token.
    #[error("the authority gives no token: {error}{said}")]
    Refused {
        /// Its word: `invalid_grant`, `invalid_client`, …
        error: String,
        /// `: ` and its sentence, or nothing.
        said: String,
    },
}

impl OauthError {
    /// What to do about it; empty where only the server's operator can do something.
    #[must_use]
    pub fn cure(&self) -> &'static str {
        match self {
            Self::NoMetadata { .. } => {
                "give a token that you have by other means with `inject = { header = \"authorization\", value = \
                 \"Bearer ${secret:NAME}\" }` in the rule of the profile"
            }
            Self::NotItsAuthority { .. } => "name one of them with `--issuer`, or none",
            Self::NoClient { .. } => {
                "register a client there with the redirect address `http://127.0.0.1:PORT/callback`, and give \
                 `--client-id ID --port PORT`"
            }
            Self::State | Self::OtherIssuer { .. } => {
                "nothing was kept; log in again, and answer only the page that flowhost opened"
            }
            Self::Declined(_) | Self::Answer(_) => "nothing was kept; log in again",
            Self::Refused { error, .. } if error == "invalid_client" => {
                "the client is not known there: log in again, or name another with `--client-id`"
            }
            Self::Address {
                fault: AddressFault::ClearText,
                ..
            } => "ask the server's operator for an address with `https://`",
            _ => "",
        }
    }

    /// Whether asking again later may help, without anybody doing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::Status { status, .. } => is_busy(*status),
            // Words of the page to log in, which some say where tokens are given.
            Self::Refused { error, .. } => matches!(
                error.as_str(),
                "temporarily_unavailable" | "server_error" | "slow_down"
            ),
            _ => false,
        }
    }
}

/// Whether a status speaks of who answers and not of what was asked.
pub(crate) fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 500..=599)
}

/// Why a document cannot be read: a page for people is the commonest answer of a wrong address.
pub(crate) fn unreadable(bytes: &[u8], error: &serde_json::Error) -> String {
    match bytes.trim_ascii_start().first() {
        Some(b'<') => "it is a page for people (HTML or XML), and no JSON".to_owned(),
        None => "it is empty, and no JSON".to_owned(),
        Some(_) => format!("it is not a JSON document of its kind: {error}"),
    }
}
