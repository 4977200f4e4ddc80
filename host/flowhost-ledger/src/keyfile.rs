//! Where the signing key rests: a file that only its owner may read, made on first use.
//!
//! The only file access of the ledger that is not a ledger's own. A key file that others may read
//! is refused, never quietly used; a key that cannot be read is never replaced by a new one,
//! because evidence would then be signed by a key that nobody trusts.
#![expect(
    clippy::disallowed_methods,
    reason = "reads and writes the host's key file"
)]

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::keys::{HostKey, KeyError};

/// A key file is one line of about 100 bytes; more is not a key.
const KEY_FILE_BYTES_MAX: u64 = 4096;

fn file_error(path: &Path, what: impl std::fmt::Display) -> KeyError {
    KeyError::File {
        path: path.display().to_string(),
        what: what.to_string(),
    }
}

impl HostKey {
    /// Reads the key file `path`.
    ///
    /// # Errors
    /// [`KeyError::File`] if it is missing, too long, or readable by others (cure: `chmod 600`).
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let about = fs::metadata(path).map_err(|error| file_error(path, error))?;
        if about.permissions().mode() & 0o077 != 0 {
            return Err(file_error(
                path,
                "others may read or write it; run chmod 600 on it",
            ));
        }
        if !about.is_file() || about.len() > KEY_FILE_BYTES_MAX {
            return Err(file_error(path, "it is not a key file"));
        }
        let text = fs::read_to_string(path).map_err(|error| file_error(path, error))?;
        Self::parse(&Zeroizing::new(text))
    }

    /// Reads the key file, or makes one with mode 0600 if there is none. `host` is the id for a new
    /// key; without it, a random one (`host-` and 16 hexadecimal digits) is taken.
    ///
    /// # Errors
    /// Any [`KeyError`]. Two processes that race agree on one key: the loser reads the winner's.
    pub fn load_or_create(path: &Path, host: Option<&str>) -> Result<Self, KeyError> {
        match fs::symlink_metadata(path) {
            Ok(_) => return Self::load(path),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(file_error(path, error)),
        }
        let key = match host {
            Some(host) => Self::generate(host)?,
            None => Self::generate(&random_host()?)?,
        };
        let fresh = write_beside(path, &key)?;
        // A hard link fails when the name exists, so that nobody's key is ever overwritten.
        let linked = fs::hard_link(&fresh.0, path);
        drop(fresh);
        match linked {
            Ok(()) => sync_parent(path).map(|()| key),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(file_error(path, error)),
        }
    }

    /// Replaces the key file by a new key of the same host and returns the new key. Ledgers that
    /// stay open over the change (`runs.index`) must hear of it first: see
    /// `Ledger::rotate_key`.
    ///
    /// # Errors
    /// Any [`KeyError`]; the old file stays in place then.
    pub fn replace(path: &Path, new: &Self) -> Result<(), KeyError> {
        let fresh = write_beside(path, new)?;
        fs::rename(&fresh.0, path).map_err(|error| file_error(path, error))?;
        sync_parent(path)
    }
}

fn random_host() -> Result<String, KeyError> {
    let mut id = [0_u8; 8];
    getrandom::fill(&mut id).map_err(|error| KeyError::Random(error.to_string()))?;
    Ok(format!("host-{}", hex::encode(id)))
}

fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn sync_parent(path: &Path) -> Result<(), KeyError> {
    fs::File::open(parent(path))
        .and_then(|folder| folder.sync_all())
        .map_err(|error| file_error(path, error))
}

/// A key that was written beside its place. Whatever becomes of it there, no copy of it stays behind.
struct Fresh(PathBuf);

impl Drop for Fresh {
    fn drop(&mut self) {
        // It may have been renamed. One that cannot be removed is for its owner only, as the key is.
        let _gone = fs::remove_file(&self.0);
    }
}

/// Keys that this process wrote: two of its threads must not meet in one file.
static WRITTEN: AtomicU64 = AtomicU64::new(0);

fn write_beside(path: &Path, key: &HostKey) -> Result<Fresh, KeyError> {
    fs::create_dir_all(parent(path)).map_err(|error| file_error(path, error))?;
    let mut name = path.as_os_str().to_owned();
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    name.push(format!(".{}-{number}.tmp", std::process::id()));
    let at = PathBuf::from(name);
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&at);
    let mut file = opened.map_err(|error| file_error(&at, error))?;
    // From here on the file is ours to remove.
    let fresh = Fresh(at);
    let written = file
        .write_all(key.secret_text().as_bytes())
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.sync_all());
    match written {
        Ok(()) => Ok(fresh),
        Err(error) => Err(file_error(&fresh.0, error)),
    }
}
