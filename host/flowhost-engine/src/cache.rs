//! Compiled code on disk, so that a component is compiled once per machine.
//!
//! Loading an entry runs native code from a file, so an entry counts only with a MAC under the
//! host's key over the code and everything it depends on. A wrong MAC, an unreadable file or a
//! directory that others can write to never stops a run: the component is compiled again (SUP-011).
//! Nothing here ever loads a file that this host did not write.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hmac::{Hmac, KeyInit, Mac};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, mkdirat, openat, renameat, unlinkat};
use sha2::{Digest, Sha256};

use crate::code::{Code, Sink};

/// Tells apart the partial files of one process.
static TURN: AtomicU64 = AtomicU64::new(0);

const MAC_BYTES: usize = 32;

/// Read at once: small enough to stay in the processor's cache between the MAC and the copy.
const PIECE_BYTES: usize = 128 << 10;

/// Largest entry that is read back; compiled CPython is about 60 MiB.
const ENTRY_BYTES_MAX: u64 = 1 << 30;

/// First bytes of what is hashed and authenticated; changes when the format of an entry does.
const DOMAIN: &[u8] = b"flowhost compiled component 1\n";

/// Where compiled code is kept, and the key that vouches for it.
#[derive(Clone)]
pub struct CacheConfig {
    /// A directory of our own; created when missing, with what is missing above it. It is not used when others may write to it.
    pub dir: PathBuf,
    /// The host's key for this purpose. Whoever has it can make the host run native code.
    pub key: [u8; 32],
}

impl std::fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheConfig")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// Why the cache is not used. The engine runs without it and `doctor` says so.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The directory cannot be opened or made.
    #[error(
        "the compile cache `{dir}` cannot be opened\n\nhint: give a directory that flowhost may write to"
    )]
    Open {
        /// Which.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Someone else could put native code into it.
    #[error(
        "the compile cache `{dir}` can be written by others\n\nhint: chmod 700 it, as its owner"
    )]
    Writable {
        /// Which.
        dir: PathBuf,
    },
}

/// An opened cache directory.
pub(crate) struct Cache {
    dir: OwnedFd,
    name: PathBuf,
    key: [u8; 32],
    /// Everything but the component that the code depends on.
    environment: [u8; 32],
}

/// One component's place in the cache.
pub(crate) struct Entry([u8; 32]);

impl Cache {
    pub(crate) fn open(
        config: &CacheConfig,
        engine: &wasmtime::Engine,
    ) -> Result<Self, CacheError> {
        let dir = open_dir(&config.dir).map_err(|source| CacheError::Open {
            dir: config.dir.clone(),
            source,
        })?;
        let stat = fstat(&dir).map_err(|errno| CacheError::Open {
            dir: config.dir.clone(),
            source: errno.into(),
        })?;
        let ours = stat.st_uid == rustix::process::geteuid().as_raw();
        if !ours || stat.st_mode & 0o022 != 0 {
            return Err(CacheError::Writable {
                dir: config.dir.clone(),
            });
        }
        Ok(Self {
            dir,
            name: config.dir.clone(),
            key: config.key,
            environment: environment(engine),
        })
    }

    /// The place of a component with this digest, under this engine on this machine.
    pub(crate) fn entry(&self, digest: &str) -> Entry {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(self.environment);
        hash.update(digest.as_bytes());
        Entry(hash.finalize().into())
    }

    /// The place of the reason why there is no code of it. Whatever stands there is never loaded.
    pub(crate) fn refusal(&self, digest: &str) -> Entry {
        self.entry(&format!("refused {digest}"))
    }

    /// The file of an entry, for a message.
    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        self.name.join(entry.name())
    }

    /// The code in `entry`, if it is there and this host wrote it.
    pub(crate) fn get(&self, entry: &Entry) -> Option<Code> {
        match self.read(entry) {
            Ok(Some(code)) => Some(code),
            Ok(None) => {
                tracing::warn!(
                    entry = entry.name(),
                    "a compile cache entry is not ours; compiling again"
                );
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "a compile cache entry cannot be read; compiling again");
                None
            }
        }
    }

    /// Keeps `code`. Failing is not worth more than a warning: the next run compiles again.
    pub(crate) fn put(&self, entry: &Entry, code: &[u8]) {
        if let Err(error) = self.write(entry, code) {
            tracing::warn!(%error, "compiled code was not cached");
        }
    }

    /// Reads an entry once: what is authenticated is what is kept, whatever becomes of the file.
    fn read(&self, entry: &Entry) -> io::Result<Option<Code>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file = File::from(openat(&self.dir, entry.name(), flags, Mode::empty())?);
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > ENTRY_BYTES_MAX {
            return Err(io::Error::other("not a cache entry"));
        }
        let mut tag = [0; MAC_BYTES];
        if let Err(error) = file.read_exact(&mut tag) {
            let short = error.kind() == io::ErrorKind::UnexpectedEof;
            return if short { Ok(None) } else { Err(error) };
        }
        let mut mac = self.mac(entry)?;
        let mut code = Sink::new(usize::try_from(meta.len()).unwrap_or_default());
        let mut piece = vec![0; PIECE_BYTES];
        let mut file = file.take(ENTRY_BYTES_MAX);
        loop {
            let read = file.read(&mut piece)?;
            let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else {
                break;
            };
            mac.update(piece);
            code.push(piece)?;
        }
        match mac.verify_slice(&tag) {
            Ok(()) => code.seal().map(Some),
            Err(_) => Ok(None),
        }
    }

    fn write(&self, entry: &Entry, code: &[u8]) -> io::Result<()> {
        let mut mac = self.mac(entry)?;
        mac.update(code);
        let name = entry.name();
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        let partial = format!("{name}.{}-{turn}.tmp", std::process::id());
        let result = self
            .write_new(&partial, &mac.finalize().into_bytes(), code)
            .and_then(|()| Ok(renameat(&self.dir, &partial, &self.dir, &name)?));
        if result.is_err() {
            // The partial file is worthless either way, and the first error is the one to tell.
            let _ = unlinkat(&self.dir, &partial, AtFlags::empty());
        }
        result
    }

    fn write_new(&self, name: &str, tag: &[u8], code: &[u8]) -> io::Result<()> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(tag)?;
        file.write_all(code)
    }

    /// A MAC that is bound to the entry and waits for the code.
    fn mac(&self, entry: &Entry) -> io::Result<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(io::Error::other)?;
        mac.update(DOMAIN);
        mac.update(&entry.0);
        Ok(mac)
    }
}

impl Entry {
    fn name(&self) -> String {
        format!("{}.cwasm", hex::encode(self.0))
    }
}

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    match rustix::fs::open(dir, flags, Mode::empty()) {
        Ok(fd) => return Ok(fd),
        Err(rustix::io::Errno::NOENT) => {}
        Err(errno) => return Err(errno.into()),
    }
    match make_dir(dir) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    Ok(rustix::fs::open(
        dir,
        flags | OFlags::NOFOLLOW,
        Mode::empty(),
    )?)
}

/// Makes a directory and whatever is missing above it; what became of the last one counts.
fn make_dir(dir: &Path) -> rustix::io::Result<()> {
    let mut made = Err(rustix::io::Errno::NOENT);
    let all: Vec<&Path> = dir.ancestors().collect();
    for one in all.iter().rev().filter(|it| !it.as_os_str().is_empty()) {
        made = mkdirat(rustix::fs::CWD, *one, Mode::RWXU);
    }
    made
}

/// wasmtime's own statement of what compiled code depends on (its version, the compiler's flags with
/// the CPU's features, tunables and proposals), as a strong hash.
pub(crate) fn environment(engine: &wasmtime::Engine) -> [u8; 32] {
    let mut hasher = Strong(Sha256::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut hasher);
    hasher.0.finalize().into()
}

/// `std`'s `Hasher` writing into SHA-256: `finish` would be too short to key native code by.
struct Strong(Sha256);

impl std::hash::Hasher for Strong {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
