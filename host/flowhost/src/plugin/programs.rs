//! What the command of a `[[process]]` names of the folders that its plugin is granted: the server's or the tool's own files,
//! by their hashes, for a lock. A program of the system is not among them: each machine has its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_policy::FileGrant;
use flowhost_run::Member;

use crate::ambient::Ambient;
use crate::remote::digest;

/// Bytes of a file that is hashed: programs with a runtime inside have some hundred MiB.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// The hash of each such file, by its path as the program sees it; `dir` is where granted folders are relative to. One that
/// cannot be read is left out: a run tells why, and a lock tells that it is missing.
pub(super) fn files(ambient: &Ambient, member: &Member, dir: &Path) -> BTreeMap<String, String> {
    let grants = &member.effective.grants;
    let words = grants.process.iter().flat_map(|grant| &grant.command);
    let found = words.filter_map(|word| {
        let place = place(word, &grants.files, dir)?;
        let bytes = ambient.read(&place, FILE_BYTES_MAX).ok()?;
        Some((word.clone(), digest(&bytes)))
    });
    found.collect()
}

/// Where a path of the program's is on this machine: below the longest grant that holds it.
fn place(word: &str, grants: &[FileGrant], dir: &Path) -> Option<PathBuf> {
    let below = |grant: &FileGrant| {
        let rest = word.strip_prefix(grant.guest.trim_end_matches('/'))?;
        let rest = rest.strip_prefix('/')?;
        // What a command says of its arguments is free text: no part of it leads out of the folder.
        let plain = !rest.split('/').any(|part| part == ".." || part.is_empty());
        plain.then(|| dir.join(&grant.host).join(rest))
    };
    let holding = grants
        .iter()
        .filter_map(|grant| Some((grant.guest.len(), below(grant)?)));
    holding
        // As the sandbox mounts them: a folder within another hides what that has there.
        .max_by_key(|(length, _)| *length)
        .map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use flowhost_policy::Profile;

    use super::*;

    #[test]
    fn a_word_is_looked_for_below_the_folder_that_is_granted_there_and_nowhere_else() {
        let text = "version = 1\nname = \"p\"\n[[files]]\nguest = \"/tool\"\nhost = \"tool\"\naccess = \"read\"\n";
        let grants = Profile::parse(text, "p.toml").unwrap().grants.files;
        let at = |word: &str| place(word, &grants, Path::new("/plan"));
        assert_eq!(at("/tool/a.py"), Some(PathBuf::from("/plan/tool/a.py")));
        for word in [
            "python3",
            "/usr/bin/perl",
            "/tools/a.py",
            "/tool",
            "/tool/../x",
            "/tool//x",
        ] {
            assert_eq!(at(word), None, "{word}");
        }
    }
}
