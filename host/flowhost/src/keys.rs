//! The public keys that this host signed with: the one in use, and those that were rotated away.
//!
//! A run that is named by its id is checked against these, so that a ledger which somebody signed with
//! a key of their own does not pass for one of ours (LED-007). Must never hold a secret.

use std::path::PathBuf;

use flowhost_flow::Exit;
use flowhost_ledger::{HostKey, KeyError, VKey};

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::state::State;

/// A line of about 100 bytes for each rotation.
const RETIRED_BYTES_MAX: u64 = 1 << 20;

fn retired_file(state: &State) -> PathBuf {
    state.signing_key().with_file_name("retired.keys")
}

/// Every key of this host, the one in use first; none if the host never signed anything.
///
/// # Errors
/// When a key file is there and cannot be used.
pub fn own_keys(ambient: &Ambient, state: &State) -> Result<Vec<VKey>, Failure> {
    if !ambient.is_file(&state.signing_key()) {
        return Ok(Vec::new());
    }
    let key = HostKey::load(&state.signing_key()).map_err(|error| unusable(&error))?;
    let mut keys = vec![key.vkey()];
    for line in retired(ambient, state)?.lines() {
        keys.push(VKey::parse(line).map_err(|error| {
            let file = retired_file(state);
            Failure::new(Exit::Internal, format!("cannot use {}", file.display())).caused_by(&error)
        })?);
    }
    Ok(keys)
}

/// Keeps the public half of a key that is about to be replaced.
///
/// # Errors
/// When the list cannot be read or written; the key must stay in use then.
pub fn retire(ambient: &Ambient, state: &State, key: &HostKey) -> Result<(), Failure> {
    let mut lines = retired(ambient, state)?;
    let line = key.vkey().to_string();
    if !lines.lines().any(|known| known == line) {
        lines.push_str(&line);
        lines.push('\n');
        ambient.write(&retired_file(state), lines.as_bytes())?;
    }
    Ok(())
}

/// Says that the signing key cannot be used, and why.
#[must_use]
pub fn unusable(error: &KeyError) -> Failure {
    Failure::new(Exit::Internal, "the host's signing key cannot be used").caused_by(error)
}

fn retired(ambient: &Ambient, state: &State) -> Result<String, Failure> {
    match ambient.read_text(&retired_file(state), RETIRED_BYTES_MAX) {
        Ok(text) => Ok(text),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_retired_key_stays_known_and_is_listed_once() {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
        let state = State::new(dir.path().join("state"), "default");
        assert!(own_keys(&ambient, &state).unwrap().is_empty());
        let old = HostKey::load_or_create(&state.signing_key(), Some("host.example")).unwrap();
        retire(&ambient, &state, &old).unwrap();
        retire(&ambient, &state, &old).unwrap();
        let new = HostKey::generate("host.example").unwrap();
        HostKey::replace(&state.signing_key(), &new).unwrap();
        assert_eq!(
            own_keys(&ambient, &state).unwrap(),
            [new.vkey(), old.vkey()]
        );
    }
}
