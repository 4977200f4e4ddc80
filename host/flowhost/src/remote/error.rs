//! Why a component cannot be had from elsewhere, each with what to do about it.

use flowhost_author::remote::{ArtifactError, PlaceError};
use flowhost_models::TransportError;

use crate::finding::Finding;

/// Why nothing was fetched or published.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The text is not a place.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// Nobody said which component is meant.
    #[error(
        "`{0}` is remote, and neither `sha256` in the plan nor a lock beside it says which component is meant"
    )]
    Unpinned(String),
    /// The operator does not list it.
    #[error("`{place}` is not fetched: the operator's `[[sources]]` do not list it")]
    NotListed {
        /// The place.
        place: String,
        /// What would list it.
        line: String,
        /// The operator's file.
        file: String,
    },
    /// There is no folder to keep it in.
    #[error(
        "a fetched component is kept in the state folder, and this command has none: give `--state`"
    )]
    NoFolder,
    /// A thread's runtime could not be made.
    #[error("the system gives no runtime for a fetch: {0}")]
    Runtime(String),
    /// The file of authorities is wrong.
    #[error("the authorities `{file}` of `[[sources]]`: {why}")]
    Authorities {
        /// The file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The operator's login cannot be used.
    #[error("the secret `{name}`, which is the `login` of a source, cannot be used: {why}")]
    Login {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// No answer.
    #[error("`{url}`: {why}")]
    Transport {
        /// Whom we asked.
        url: String,
        /// Why there is none.
        why: TransportError,
    },
    /// An answer that took too long.
    #[error("the server took longer than {1} seconds for {0}")]
    Slow(String, u64),
    /// An address that cannot be asked.
    #[error("`{url}` cannot be asked: {why}")]
    Address {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// An answer that says no.
    #[error("`{url}` was answered with {status}{said}")]
    Status {
        /// Whom we asked.
        url: String,
        /// The status.
        status: u16,
        /// What the server says of it, with its colon.
        said: String,
    },
    /// More than is taken.
    #[error("{what} at `{url}` is larger than {most} bytes")]
    Large {
        /// What it is.
        what: String,
        /// Where it is.
        url: String,
        /// Bytes.
        most: usize,
    },
    /// It sends us somewhere that is not listed.
    #[error("`{from}` sends us to `{to}`, which the operator's `[[sources]]` do not list")]
    Elsewhere {
        /// Who.
        from: String,
        /// Where.
        to: String,
    },
    /// It sends us on and on.
    #[error("`{0}` sends us on more than {1} times")]
    Redirects(String, usize),
    /// It wants to know who asks.
    #[error("`{url}` wants to know who asks{why}")]
    Unauthorized {
        /// Who.
        url: String,
        /// More of it, with its colon.
        why: String,
    },
    /// It hands out tokens somewhere that the operator does not name.
    #[error(
        "`{url}` wants a token of `{realm}`, which is not its own and not the `realm` of its source"
    )]
    Realm {
        /// Who.
        url: String,
        /// Where.
        realm: String,
    },
    /// What is there is no component.
    #[error("`{place}` is neither a component nor a pack: {why}")]
    NoComponent {
        /// The place.
        place: String,
        /// Why.
        why: String,
    },
    /// What is there is another component.
    #[error("`{place}` is another component: {found}, and {wanted} is wanted")]
    Another {
        /// The place.
        place: String,
        /// What was wanted.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// What came is not what it was announced as.
    #[error(
        "{what} at `{url}` is not what its digest says: it is {found}, and {wanted} was announced"
    )]
    Digest {
        /// What it is.
        what: String,
        /// Where it is.
        url: String,
        /// As it was announced.
        wanted: String,
        /// As it is.
        found: String,
    },
    /// A registry's artifact is no component.
    #[error("`{place}` is not a component: {why}")]
    Artifact {
        /// The place.
        place: String,
        /// Why.
        why: ArtifactError,
    },
    /// It cannot be published there.
    #[error("`{0}` is not a registry, and a plugin is published to one")]
    NoRegistry(String),
    /// It needs a tag.
    #[error("`{0}` does not name a tag alone, and a plugin is published under one")]
    NoTag(String),
    /// The tag names something else.
    #[error("`{place}` is there already, with another artifact: {found}")]
    Taken {
        /// The place.
        place: String,
        /// What is there.
        found: String,
    },
    /// The registry's answer lacks what the protocol demands.
    #[error("`{url}` did not say where to send the bytes")]
    NoLocation {
        /// Who.
        url: String,
    },
    /// It cannot be kept.
    #[error("what was fetched cannot be kept: {0}")]
    Kept(String),
}

impl RemoteError {
    /// What to do about it; empty where the message says all.
    #[must_use]
    pub fn cure(&self) -> String {
        match self {
            Self::Place(_) => {
                "`https://HOST/PATH.wasm`, or `oci://HOST/NAME:TAG` of a registry".to_owned()
            }
            Self::Unpinned(_) => "add `sha256:` with the component's hash (`flowhost plugin add` writes it), or \
                                  run `flowhost plugin lock PLAN` and look at what it locks"
                .to_owned(),
            Self::NotListed { line, file, .. } => format!(
                "if you want to fetch from there, write into `{file}`:\n[[sources]]\nfrom = \"{line}\""
            ),
            Self::Transport { .. } | Self::Slow(..) => {
                "what was fetched once is used without a network; check the address and try again".to_owned()
            }
            Self::Elsewhere { to, .. } => {
                let host = url::Url::parse(to).map(|it| it.origin().ascii_serialization());
                format!(
                    "if it may, list it too:\n[[sources]]\nfrom = \"{}/\"",
                    host.unwrap_or_default()
                )
            }
            Self::Realm { realm, .. } => format!("if that is its authority: realm = \"{realm}\" in the source"),
            Self::Unauthorized { .. } => {
                "name a secret with the value `NAME:PASSWORD`: login = \"NAME_OF_SECRET\" in the source".to_owned()
            }
            Self::Another { .. } => "what is there has changed, or the hash is another's; look at it with \
                                     `flowhost plugin inspect` before you change the hash"
                .to_owned(),
            Self::Digest { .. } => "the server, or somebody on the way, changed it: do not use it".to_owned(),
            Self::Login { .. } => {
                "see `[secrets]` of the operator's flowhost.toml; the value is `NAME:PASSWORD`".to_owned()
            }
            Self::NoRegistry(_) | Self::NoTag(_) => "`oci://HOST/NAME:TAG`".to_owned(),
            Self::Taken { .. } => "publish a new release under a new tag; `--replace` moves this one".to_owned(),
            Self::Status { status: 404, .. } => "check name and tag".to_owned(),
            _ => String::new(),
        }
    }
}

impl From<RemoteError> for Finding {
    fn from(error: RemoteError) -> Self {
        Self::new("", error.to_string()).cure(error.cure())
    }
}
