//! The verifier's `trust.toml`: the keys by which `flowhost verify --trust FILE` believes the records of runs.
//!
//! ```toml
//! # whose runs are believed: for `flowhost verify --trust`
//! keys = ["host.example+0123abcd+AQ…"]
//! ```
//!
//! Another file has the same usual name: the operator's, which says whose *plugins* may run and has more keys
//! (`plugin/trust.rs` of the binary). Both have `keys`, and whoever signs plugins need not be believed for runs, so that
//! the operator's is told as what it is and never read for its `keys`.
//!
//! A key under a host's id is believed for all of that host's ledgers, one under an origin for
//! that ledger only. Unknown keys of the file are errors: a misspelt `keys` must not mean "none".

use crate::checkpoint::VKey;

/// Why a trust file is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// It is the operator's file of the same name.
    #[error(
        "this is the operator's `trust.toml`, which says whose plugins may run (it has `{0}`): it does not say whose \
         runs to believe"
    )]
    Operators(&'static str),
    /// The text is not of the form.
    #[error("the trust file is malformed: {0}")]
    Toml(String),
    /// One of the keys is malformed.
    #[error("key {number} of the trust file: {what}")]
    Key {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        what: String,
    },
    /// It names no key, so nothing could ever be believed.
    #[error("the trust file names no key")]
    Empty,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    keys: Vec<String>,
}

/// What the operator's file has and this one has not.
const OPERATORS: [&str; 3] = ["revoked", "plugins", "tools"];

/// Most opening brackets in a trust file. It needs one, and comments may have some; the TOML parser
/// recurses once for each that broken text leaves open, and its own bound can be undone by such text.
const BRACKETS_MAX: usize = 256;

/// Reads the text of a trust file.
///
/// # Errors
/// [`TrustError`].
///
/// # Examples
///
/// ```
/// let key = flowhost_ledger::HostKey::from_seed("host.example", [1; 32])?;
/// let text = format!("keys = [\"{}\"]", key.vkey());
/// assert_eq!(flowhost_ledger::parse_trust(&text)?, [key.vkey()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn parse_trust(text: &str) -> Result<Vec<VKey>, TrustError> {
    if text.matches(['[', '{']).count() > BRACKETS_MAX {
        let what = format!("it has more than {BRACKETS_MAX} opening brackets");
        return Err(TrustError::Toml(what));
    }
    if let Some(key) = operators_key(text) {
        return Err(TrustError::Operators(key));
    }
    let file: File = toml::from_str(text).map_err(|error| TrustError::Toml(error.to_string()))?;
    if file.keys.is_empty() {
        return Err(TrustError::Empty);
    }
    let parse = |(at, key): (usize, &String)| {
        let number = at + 1;
        VKey::parse(key).map_err(|error| TrustError::Key {
            number,
            what: error.to_string(),
        })
    };
    file.keys.iter().enumerate().map(parse).collect()
}

/// A key that only the operator's file has. A text that is no TOML has none: its reader says why.
fn operators_key(text: &str) -> Option<&'static str> {
    let table: toml::Table = toml::from_str(text).ok()?;
    OPERATORS.into_iter().find(|key| table.contains_key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_misspelt_key_an_empty_list_and_a_key_that_is_none() {
        assert!(matches!(parse_trust("key = []"), Err(TrustError::Toml(_))));
        assert!(matches!(
            parse_trust("keys = []\nmore = 1"),
            Err(TrustError::Toml(_))
        ));
        assert!(matches!(parse_trust("keys = []"), Err(TrustError::Empty)));
        for more in ["revoked = []", "[plugins]\nsigned = true", "[tools]"] {
            let operators = parse_trust(&format!("keys = []\n{more}"));
            assert!(
                matches!(operators, Err(TrustError::Operators(_))),
                "{more}: {operators:?}"
            );
        }
        let deep = parse_trust(&"a = { b = 1 [x]\n".repeat(10_000));
        assert!(matches!(deep, Err(TrustError::Toml(_))));
        let wrong = parse_trust("keys = [\"a+b+c\"]");
        assert!(
            matches!(wrong, Err(TrustError::Key { number: 1, .. })),
            "{wrong:?}"
        );
    }
}
