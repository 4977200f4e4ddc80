//! One namespace on disk: a file for each key, written beside and renamed, so that a crash leaves
//! the old value or the new one.
//!
//! A file is named after its key in hexadecimal and holds eight bytes of revision and the value. The
//! file `revision` holds the end of a block of revisions that are reserved, so that none is used
//! twice, not even after a crash.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use cap_std::fs::{Dir, OpenOptions};
use rustix::fs::{Mode, OFlags};

use crate::state::store::{Entry, Expected, KEYS_LISTED_MAX, StateError};

/// Revisions reserved by one write of the file `revision`. One sync in so many writes; a crash skips the rest of
/// its block, and no revision is given twice.
const BLOCK: u64 = 1_024;

/// Where the end of the reserved block stands.
const REVISION: &str = "revision";

/// A write that is not finished.
const PENDING: &str = "pending";

/// What is known of a key without reading its file.
#[derive(Debug, Clone, Copy)]
struct Known {
    revision: u64,
    bytes: u64,
}

pub(super) struct Namespace {
    dir: Dir,
    keys: BTreeMap<String, Known>,
    /// Bytes of keys and values.
    bytes: u64,
    next: u64,
    reserved: u64,
}

impl Namespace {
    /// Reads what is there. Files that are none of ours are refused, not ignored.
    pub(super) fn open(dir: Dir) -> io::Result<Self> {
        let mut keys = BTreeMap::new();
        let mut reserved = 0;
        for entry in dir.entries()? {
            let name = entry?.file_name();
            let name = name.to_str().ok_or_else(|| foreign("?"))?;
            match name {
                // A write that a crash cut short. It was never acknowledged.
                PENDING => dir.remove_file(PENDING)?,
                REVISION => reserved = revision_of(&read(&dir, REVISION)?)?,
                name => {
                    let bytes = read(&dir, name)?;
                    let key = key_of(name)?;
                    let size = (key.len() + bytes.len().saturating_sub(8)) as u64;
                    let revision = revision_of(&bytes)?;
                    keys.insert(
                        key,
                        Known {
                            revision,
                            bytes: size,
                        },
                    );
                }
            }
        }
        let bytes = keys.values().map(|known| known.bytes).sum();
        Ok(Self {
            dir,
            keys,
            bytes,
            // From the end of the block: which of its numbers were given before a crash is not
            // known.
            next: reserved,
            reserved,
        })
    }

    pub(super) fn get(&self, key: &str) -> io::Result<Option<Entry>> {
        if !self.keys.contains_key(key) {
            return Ok(None);
        }
        let bytes = read(&self.dir, &name_of(key))?;
        let revision = revision_of(&bytes)?;
        let value = bytes.get(8..).unwrap_or_default().to_vec();
        Ok(Some(Entry { value, revision }))
    }

    pub(super) fn put(
        &mut self,
        key: &str,
        value: &[u8],
        expected: Expected,
        bytes_max: u64,
    ) -> Result<Option<u64>, StateError> {
        let old = self.keys.get(key).copied();
        let fits = match expected {
            Expected::Any => true,
            Expected::Absent => old.is_none(),
            Expected::Revision(wanted) => old.is_some_and(|old| old.revision == wanted),
        };
        if !fits {
            return Ok(None);
        }
        let size = (key.len() + value.len()) as u64;
        let used = self.bytes - old.map_or(0, |old| old.bytes) + size;
        if used > bytes_max {
            return Err(StateError::Quota {
                used,
                allowed: bytes_max,
            });
        }
        // Behind the checks: a write that is refused uses no number up.
        let revision = self.revision().map_err(storage)?;
        let contents = [revision.to_be_bytes().as_slice(), value].concat();
        write(&self.dir, &name_of(key), &contents).map_err(storage)?;
        let known = Known {
            revision,
            bytes: size,
        };
        // After the write: a failed one leaves what is known as it is on disk.
        self.keys.insert(key.to_owned(), known);
        self.bytes = used;
        Ok(Some(revision))
    }

    pub(super) fn delete(&mut self, key: &str) -> io::Result<bool> {
        if !self.keys.contains_key(key) {
            return Ok(false);
        }
        self.dir.remove_file(name_of(key))?;
        sync(&self.dir)?;
        if let Some(old) = self.keys.remove(key) {
            self.bytes -= old.bytes;
        }
        Ok(true)
    }

    pub(super) fn list(&self, prefix: &str) -> Vec<String> {
        self.keys
            .range(prefix.to_owned()..)
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix))
            .take(KEYS_LISTED_MAX)
            .cloned()
            .collect()
    }

    fn revision(&mut self) -> io::Result<u64> {
        self.next += 1;
        if self.next > self.reserved {
            let end = self.next + BLOCK - 1;
            write(&self.dir, REVISION, &end.to_be_bytes())?;
            self.reserved = end;
        }
        Ok(self.next)
    }
}

fn read(dir: &Dir, name: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    dir.open(name)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Replaces a file: written beside, synced, renamed, and the folder synced.
fn write(dir: &Dir, name: &str, contents: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    let mut file = dir.open_with(PENDING, &options)?;
    file.write_all(contents)?;
    // The data before the name: a rename that is on disk first would show an empty value after a
    // crash.
    file.sync_data()?;
    dir.rename(PENDING, dir, name)?;
    sync(dir)
}

/// Makes what was created, renamed or removed in a folder durable. The handle itself is only a place
/// (`O_PATH`), which cannot be synced, so the folder is opened once more through it.
pub(super) fn sync(dir: &Dir) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(dir, ".", flags, Mode::empty())?;
    Ok(rustix::fs::fsync(folder)?)
}

fn revision_of(bytes: &[u8]) -> io::Result<u64> {
    bytes
        .first_chunk::<8>()
        .map(|head| u64::from_be_bytes(*head))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a value without its revision"))
}

fn name_of(key: &str) -> String {
    use std::fmt::Write as _;
    // So that no key's file is named `revision` or `pending`, and none begins with a dot.
    let mut name = String::from("k");
    for byte in key.bytes() {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

fn key_of(name: &str) -> io::Result<String> {
    let digits = name.strip_prefix('k').ok_or_else(|| foreign(name))?;
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok()?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    // Digits in capitals would be a second name for one key.
    key.filter(|key| name_of(key) == name)
        .ok_or_else(|| foreign(name))
}

fn foreign(name: &str) -> io::Error {
    let text = format!(
        "`{}` is not a value of a plugin's state",
        name.escape_debug()
    );
    io::Error::new(io::ErrorKind::InvalidData, text)
}

pub(super) fn storage(error: io::Error) -> StateError {
    StateError::Storage(error.to_string())
}
