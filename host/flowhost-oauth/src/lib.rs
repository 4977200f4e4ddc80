//! OAuth 2.1 towards MCP servers: what is read of strangers, what is asked of them, and what is kept of a login.
//!
//! The attacks: a server that sends us, and our token, to an address inside of the operator's network; an authority
//! that answers in the name of another; an answer to somebody else's login; a token that goes to a server for which it
//! was not issued; an address that a shell or a browser would obey. So every address of a document is checked before
//! it is asked ([`Address`]), a document has to name whom it was asked of, an answer has to carry what only we know
//! ([`Attempt`]), and a login says for which server it is ([`Login::covers`]).
//!
//! Pure: it knows no socket, file or clock. Requests leave by a [`Road`], which is somebody else's; time and randomness
//! come as values. The forms of the protocol's requests are the `oauth2` library's.
//!
//! Sources: OAuth 2.1 (draft), RFC 6749, 6750, 7009, 7591, 7636, 8252, 8414, 8707, 9207, 9728, and the page on
//! authorization of MCP's specification, 2025-11-25.

mod address;
mod asked;
mod attempt;
mod authority;
mod client;
mod discover;
mod error;
mod login;
mod resource;
mod road;
mod secret;
mod tokens;

pub use address::{Address, AddressFault};
pub use asked::{Asked, SCOPES_MAX, is_scope, scopes};
pub use attempt::Attempt;
pub use authority::Authority;
pub use client::{Client, ClientKind, Method, register};
pub use discover::{Found, discover};
pub use error::OauthError;
pub use login::{LOGIN_BYTES_MAX, Login, LoginFault, Standing};
pub use resource::Resource;
pub use road::{Reads, Road, RoadError};
pub use secret::Secret;
pub use tokens::{Tokens, redeem, renew, revoke};

/// What a client calls itself where people are asked whether they trust it.
pub const CLIENT_NAME: &str = "flowhost";
