//! The key that this host signs with, from its file or the environment, and the public halves of those that it signed
//! with before.
//!
//! A run that is named by its id is checked against these, so that a ledger which somebody signed with
//! a key of their own does not pass for one of ours (LED-007). The secret half is handed on, and kept nowhere here.

use std::path::PathBuf;

use flowhost_flow::Exit;
use flowhost_ledger::{HostKey, KeyError, VKey};

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::state::State;

/// The variable that holds the signing key itself, for machines that keep no files.
pub const KEY_VARIABLE: &str = "FLOWHOST_SIGNING_KEY";

/// A line of about 100 bytes for each rotation: ten thousand of them.
const RETIRED_BYTES_MAX: u64 = 1 << 20;

fn retired_file(state: &State) -> PathBuf {
    state.signing_key().with_file_name("retired.keys")
}

/// Every key of this host, the one in use first; none if the host never signed anything.
///
/// # Errors
/// When a key file is there and cannot be used.
pub fn own_keys(ambient: &Ambient, state: &State) -> Result<Vec<VKey>, Failure> {
    // What the environment gives signs instead of the file; a file beside it signed what came before.
    let given = given(ambient)?.map(|key| key.vkey());
    let mut keys: Vec<VKey> = given.into_iter().collect();
    if !ambient.is_file(&state.signing_key()) {
        return Ok(keys);
    }
    let key = HostKey::load(&state.signing_key()).map_err(|error| unusable(&error))?;
    if !keys.contains(&key.vkey()) {
        keys.push(key.vkey());
    }
    for line in retired(ambient, state)?.lines() {
        keys.push(VKey::parse(line).map_err(|error| {
            let file = retired_file(state);
            Failure::new(Exit::Internal, format!("cannot use {}", file.display())).caused_by(&error)
        })?);
    }
    Ok(keys)
}

/// The key that the environment gives, which signs instead of the one in the state folder.
///
/// # Errors
/// When what it gives is no key: to sign with another one would be worse than to stop.
pub fn given(ambient: &Ambient) -> Result<Option<HostKey>, Failure> {
    let given = ambient.var(KEY_VARIABLE).map(HostKey::parse);
    given.transpose().map_err(|error| unusable(&error))
}

/// The key that signs now. None is made: what is signed besides stands in a ledger that one of ours began.
///
/// # Errors
/// When there is none, or it cannot be used.
pub fn in_use(ambient: &Ambient, state: &State) -> Result<HostKey, KeyError> {
    match ambient.var(KEY_VARIABLE) {
        Some(text) => HostKey::parse(text),
        None => HostKey::load(&state.signing_key()),
    }
}

/// Keeps the public half of a key that is about to be replaced.
///
/// # Errors
/// When the list cannot be read or written; the key must stay in use then.
pub fn retire(ambient: &Ambient, state: &State, key: &HostKey) -> Result<(), Failure> {
    // Read and written without a lock: a person rotates keys, and the index refuses it while a run writes.
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
        // One that the environment gives signs first, and takes no place of the others.
        let given = HostKey::generate("ci.example").unwrap();
        let env = [(KEY_VARIABLE.to_owned(), given.secret_text().to_string())];
        let ambient = Ambient::with(env.into(), dir.path().to_owned(), None);
        assert_eq!(
            own_keys(&ambient, &state).unwrap(),
            [given.vkey(), new.vkey(), old.vkey()]
        );
    }
}
