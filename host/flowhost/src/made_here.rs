//! Whether a state folder that was merely found was made here.
//!
//! The attack: a folder that came in an archive brings a `.flowhost` along. Its author has the keys in it as well,
//! so he could sign evidence as this host, and put native code beside them that the compile cache believes. A mark
//! that cannot come along tells such a folder from one's own: the time at which the file system last changed what
//! it keeps about a file, which no archive restores and nobody sets. A folder that the operator names is believed
//! and marked: naming it is the operator's word. Must never look at who owns a file: whoever unpacks, owns.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use flowhost_flow::Exit;

use crate::ambient::{Ambient, FileError};
use crate::failure::Failure;
use crate::state::State;

/// A time with nine decimals, and some.
const MARK_BYTES_MAX: u64 = 64;

/// An empty file, which nothing touches after it was made.
fn made(state: &State) -> PathBuf {
    state.signing_key().with_file_name("made")
}

/// When the empty file was made, as the file system says.
fn mark_file(state: &State) -> PathBuf {
    state.signing_key().with_file_name("made.at")
}

/// Refuses a state folder whose keys came with it, unless the operator named the folder.
///
/// # Errors
/// When it has keys, was not named, and was not made here.
pub fn settle(ambient: &Ambient, state: &State, named: bool) -> Result<(), Failure> {
    // Any of them: each alone would let its maker do one of these things.
    let keys = [state.signing_key(), state.cache_key(), state.seal_key()];
    let has_keys = keys
        .iter()
        // A link that leads nowhere yet may lead somewhere when the key is used.
        .any(|key| ambient.is_file(key) || ambient.is_link(key));
    if !has_keys || is_marked(ambient, state) {
        return Ok(());
    }
    if named {
        // A folder that cannot be written, such as one on a medium for reading, is named each time.
        let _unmarked = mark(ambient, state);
        return Ok(());
    }
    let root = state.root().display();
    Err(Failure::new(
        Exit::Internal,
        format!("the state folder `{root}` was not made here: its keys came with it"),
    )
    .because(
        "whoever has these keys too could sign evidence as this host, and have compiled code run that no sandbox \
         holds",
    )
    .hint(format!(
        "if it is yours, and was moved, copied, restored or made by an earlier flowhost, name it once: `--state {root}`; if it is not, remove \
         it, or work in another folder"
    )))
}

/// Marks a state folder as made here. Called before a key is made in it; what is marked stays as it is.
///
/// # Errors
/// When the folder cannot be written.
pub fn mark(ambient: &Ambient, state: &State) -> Result<(), FileError> {
    if is_marked(ambient, state) {
        return Ok(());
    }
    let made = made(state);
    ambient.create_dir(made.parent().unwrap_or(state.root()))?;
    match ambient.create_secret(&made, b"") {
        Ok(()) => {}
        // Another process is at the same point: both write the same mark.
        Err(error) if error.source.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let at = ambient.changed_at(&made)?;
    ambient.write(&mark_file(state), format!("{at}\n").as_bytes())
}

/// The state folder that a path is or lies in, if it was made here: its keys are as good as those of the state folder at
/// work. One that came along fits no mark, and vouches for nothing.
#[must_use]
pub fn around(ambient: &Ambient, path: &Path, tenant: &str) -> Option<State> {
    let states = path.ancestors().map(|it| State::new(it.to_owned(), tenant));
    let mut kept = states.filter(|state| ambient.is_file(&state.signing_key()));
    kept.find(|state| is_marked(ambient, state))
}

fn is_marked(ambient: &Ambient, state: &State) -> bool {
    let marked = ambient.read_text(&mark_file(state), MARK_BYTES_MAX);
    let changed = ambient.changed_at(&made(state));
    matches!((marked, changed), (Ok(marked), Ok(changed)) if marked.trim_end() == changed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn here(dir: &Path) -> (Ambient, State) {
        let ambient = Ambient::with(BTreeMap::new(), dir.to_owned(), None);
        (ambient, State::new(dir.join(".flowhost"), "default"))
    }

    /// What an archive does: the files with their contents and modes.
    fn copied(ambient: &Ambient, from: &State, to: &State) {
        for key in [from.cache_key(), made(from), mark_file(from)] {
            let copy = to.root().join("host").join(key.file_name().unwrap());
            ambient.create_dir(copy.parent().unwrap()).unwrap();
            let bytes = ambient.read(&key, MARK_BYTES_MAX).unwrap();
            ambient.create_secret(&copy, &bytes).unwrap();
        }
    }

    #[test]
    fn a_folder_that_came_with_its_keys_is_refused_until_it_is_named() {
        let (theirs, ours) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (ambient, their) = here(theirs.path());
        mark(&ambient, &their).unwrap();
        ambient.create_secret(&their.cache_key(), &[7; 32]).unwrap();
        settle(&ambient, &their, false).unwrap();
        ambient.create_secret(&their.signing_key(), b"x").unwrap();
        let within = their.root().join("default/runs");
        let found = around(&ambient, &within, "default").unwrap();
        assert_eq!(found.root(), their.root());

        let (ambient, state) = here(ours.path());
        copied(&ambient, &their, &state);
        let refused = settle(&ambient, &state, false).unwrap_err();
        assert!(refused.message.contains("was not made here"), "{refused:?}");
        ambient.create_secret(&state.signing_key(), b"x").unwrap();
        assert!(around(&ambient, state.root(), "default").is_none());
        settle(&ambient, &state, true).unwrap();
        settle(&ambient, &state, false).unwrap();
    }

    #[test]
    fn keys_without_a_mark_are_refused_and_a_folder_without_keys_is_nobodys() {
        let dir = tempfile::tempdir().unwrap();
        let (ambient, state) = here(dir.path());
        settle(&ambient, &state, false).unwrap();
        ambient.create_dir(&state.root().join("host")).unwrap();
        settle(&ambient, &state, false).unwrap();
        ambient.create_secret(&state.signing_key(), b"x").unwrap();
        assert!(settle(&ambient, &state, false).is_err());
        ambient.write(&mark_file(&state), b"0.000000000\n").unwrap();
        assert!(settle(&ambient, &state, false).is_err());
    }
}
