//! What a component was made of, so that an unchanged one is not made again.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::folders::Folders;

/// Part of every stamp: raise it with `wit-component`, which no other part of a stamp tells apart.
const FORMAT: &str = "1/wit-component-0.258";
/// How a core module and a manifest become a component: when that changes, all of them are made again.
const MAKERS: &[&[u8]] = &[
    include_bytes!("../../../flowhost-author/src/component.rs"),
    include_bytes!("../../../flowhost-author/src/manifest.rs"),
];

/// A stamp over the parts that a component is made of, and over how it is made of them.
pub(super) fn of_component(parts: &[&[u8]]) -> String {
    of(&[MAKERS, parts].concat())
}

/// A stamp over the parts, each with its length, in order.
pub(super) fn of(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    hash.update(FORMAT.as_bytes());
    for part in parts {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// Whether `out` is there and was made of the same parts.
pub(super) fn is_fresh(folders: &Folders, out: &Path, stamp: &str) -> bool {
    out.is_file() && std::fs::read_to_string(place(folders, out)).is_ok_and(|old| old == stamp)
}

/// Remembers what `out` was made of.
pub(super) fn write(folders: &Folders, out: &Path, stamp: &str) -> Result<()> {
    super::write(&place(folders, out), stamp.as_bytes()).context("cannot remember a component")
}

fn place(folders: &Folders, out: &Path) -> PathBuf {
    let name = out
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let folder = out
        .parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned());
    folders
        .guests_build()
        .join("stamps")
        .join(folder.unwrap_or_default())
        .join(name + ".sha256")
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn two_parts_are_not_their_concatenation() {
        assert_ne!(of(&[b"ab", b"c"]), of(&[b"a", b"bc"]));
    }
}
