//! The targets, in a file for each crate whose parsers they feed.

pub(crate) mod bus;
pub(crate) mod detect;
#[cfg(feature = "engine")]
pub(crate) mod engine;
pub(crate) mod evidence;
pub(crate) mod flow;
pub(crate) mod ledger;
pub(crate) mod mcp;
pub(crate) mod models;
pub(crate) mod oauth;
pub(crate) mod policy;
pub(crate) mod remote;
pub(crate) mod store;
pub(crate) mod url;

/// Most readers take text; bytes that are none are read with replacement characters, so that no
/// input is wasted.
fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The first line and what follows it.
fn head_and_rest(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    let (head, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
    (head, rest.strip_prefix(b"\n").unwrap_or(rest))
}
