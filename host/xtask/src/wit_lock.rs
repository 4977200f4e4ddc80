//! `wit/LOCK`: the SHA-256 of every released WIT folder, because a released folder never changes. A folder that stands in
//! it is closed: this task adds what is new beside it, and has no way to write another hash for it.
//!
//! The format is that of `sha256sum` over folders: `<hash>  <package>/<version>`, sorted, one a line.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use clap::Args;
use sha2::{Digest, Sha256};

use crate::folders::{Folders, names};
use crate::say;

/// Add what is new, or check.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Fail when a folder differs from the lock or is not in it, and write nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

type Locks = BTreeMap<String, String>;

/// Adds new folders to the lock, or checks it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let wit = folders.root.join("wit");
    let lock = wit.join("LOCK");
    let now = hashes(&wit)?;
    let text = std::fs::read_to_string(&lock)
        .context("cannot read wit/LOCK; it is never made anew: take it from the repository")?;
    let locked = parse(&text)?;
    let mut faults = broken(&locked, &now);
    let new = unlocked(&locked, &now);
    if options.check {
        faults.extend(new.iter().map(|name| {
            format!("wit/{name} is not locked: run `cargo xtask wit-lock` when it is released")
        }));
        refuse(&faults)?;
        say::step(format_args!("wit/LOCK holds for {} folders", now.len()));
        return Ok(());
    }
    refuse(&faults)?;
    let text: String = now
        .iter()
        .map(|(name, hash)| format!("{hash}  {name}\n"))
        .collect();
    std::fs::write(&lock, text).context("cannot write wit/LOCK")?;
    say::step(format_args!("added to wit/LOCK: {} folders", new.len()));
    Ok(())
}

/// Locked folders that are not what they were.
fn broken(locked: &Locks, now: &Locks) -> Vec<String> {
    let fault = |(name, hash): (&String, &String)| match now.get(name) {
        None => Some(format!("wit/{name} is locked and gone")),
        Some(other) if other != hash => Some(format!("wit/{name} changed")),
        Some(_) => None,
    };
    locked.iter().filter_map(fault).collect()
}

/// Folders that are not locked yet.
fn unlocked<'a>(locked: &Locks, now: &'a Locks) -> Vec<&'a String> {
    let names = now.keys();
    names.filter(|name| !locked.contains_key(*name)).collect()
}

fn refuse(faults: &[String]) -> Result<()> {
    if faults.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\na released folder never changes: add what is new beside it, and wishes to wit/PENDING.md",
        faults.join("\n")
    )
}

fn hashes(wit: &Path) -> Result<Locks> {
    let mut locks = Locks::new();
    for package in folders_in(wit)? {
        for version in folders_in(&wit.join(&package))? {
            let name = format!("{package}/{version}");
            let hash = folder_hash(&wit.join(&name))?;
            locks.insert(name, hash);
        }
    }
    Ok(locks)
}

/// The names of the folders in a folder, sorted.
pub(crate) fn folders_in(folder: &Path) -> Result<Vec<String>> {
    names(folder, |path| path.is_dir().then(|| name_of(path)))
}

/// A path's last part.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Over every file of the folder, sorted: name, length and bytes with line ends as in the repository.
fn folder_hash(folder: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for name in names(folder, |path| path.is_file().then(|| name_of(path)))? {
        let path = folder.join(&name);
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .replace("\r\n", "\n");
        hash.update(format!("{name}\n{}\n", text.len()));
        hash.update(text);
    }
    Ok(hex::encode(hash.finalize()))
}

fn parse(text: &str) -> Result<Locks> {
    text.lines()
        .map(|line| {
            let (hash, name) = line.split_once("  ").with_context(|| {
                format!("wit/LOCK holds `{line}`, which is not a hash and a folder")
            })?;
            Ok((name.to_owned(), hash.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(pairs: &[(&str, &str)]) -> Locks {
        pairs
            .iter()
            .map(|(name, hash)| ((*name).to_owned(), (*hash).to_owned()))
            .collect()
    }

    #[test]
    fn refuses_a_folder_that_changed_and_one_that_is_gone_and_finds_one_that_is_new() {
        let locked = locks(&[("a/0.1.0", "1"), ("b/0.1.0", "2")]);
        let now = locks(&[("a/0.1.0", "9"), ("c/0.1.0", "3")]);
        let faults = broken(&locked, &now);
        assert_eq!(
            faults,
            ["wit/a/0.1.0 changed", "wit/b/0.1.0 is locked and gone"]
        );
        assert_eq!(unlocked(&locked, &now), ["c/0.1.0"]);
        let said = refuse(&faults).expect_err("two faults").to_string();
        assert!(said.contains("never changes"), "{said}");
        assert!(refuse(&broken(&now, &now)).is_ok());
    }

    #[test]
    fn a_moved_byte_between_files_changes_the_hash() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        write("a.wit", "ab");
        write("b.wit", "c");
        let before = folder_hash(folder.path()).expect("a hash");
        write("a.wit", "a");
        write("b.wit", "bc");
        assert_ne!(before, folder_hash(folder.path()).expect("a hash"));
    }

    #[test]
    fn reads_what_it_writes() {
        assert_eq!(
            parse("1  a/0.1.0\n").expect("a lock"),
            locks(&[("a/0.1.0", "1")])
        );
        assert!(parse("nonsense\n").is_err());
    }
}
