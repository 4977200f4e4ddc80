//! Compiled code on disk, so that a component is compiled once per machine.
//!
//! Loading an entry runs native code from a file, so an entry counts only with a MAC under the
//! host's key over the code and everything it depends on. A wrong MAC, an unreadable file or a
//! directory that others can write to never stops a run: the component is compiled again (SUP-011).
//! Nothing here ever loads a file that this host did not write.
//!
//! What nobody uses goes: code of other versions after a day, our own after a month ([`Cache::sweep`]). Other
//! processes may use the folder meanwhile: a file that goes stays whole for whoever has it open, and whoever
//! comes later compiles.
//!
//! The MAC is BLAKE3's keyed hash, in two levels: one over each segment with its place, one over all of
//! these. A script engine has thirty megabytes of code, and so two processors share the work.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, fstat, futimens,
    mkdirat, openat, renameat, statat, unlinkat,
};
use sha2::{Digest, Sha256};

use crate::code::{Code, Sink};

/// Tells apart the partial files of one process.
static TURN: AtomicU64 = AtomicU64::new(0);

const MAC_BYTES: usize = 32;

/// What one MAC of the lower level is over. A file of one segment needs no second thread.
const SEGMENT_BYTES: usize = 1 << 20;

/// Read at once: small enough to stay in the processor's cache between the MAC and the copy.
const PIECE_BYTES: usize = 128 << 10;

/// Threads that read one entry at most: more do not make memory faster.
static READERS: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, |cores| cores.get().min(4)));

/// Largest entry that is read back; compiled CPython is about 60 MiB.
const ENTRY_BYTES_MAX: u64 = 1 << 30;

/// First bytes of what is hashed; changes when the format of an entry does.
const DOMAIN: &[u8] = b"flowhost compiled component 2\n";

/// What the key of the MACs is derived for, so that the host's key serves nothing else by it.
const CONTEXT: &str = "flowhost 2026-11-26 MAC of compiled components";

/// What a MAC is over comes first in it: a segment cannot be passed off as the list of segments.
const OF_A_SEGMENT: u8 = 1;
const OF_ALL: u8 = 2;

/// What an entry's file ends with.
const CODE: &str = "cwasm";

/// Seconds without use after which an entry of another version goes: a day, so that two versions that are used
/// side by side do not take each other's.
const OTHERS_UNUSED_MAX: i64 = 24 * 60 * 60;

/// The same of our own version: a month. What an author builds a hundred times a day would stay for good.
const OWN_UNUSED_MAX: i64 = 30 * 24 * 60 * 60;

/// Most names that one sweep looks at, for its time; the next one goes on with those that are left.
const SWEPT_MAX: usize = 10_000;

/// Where compiled code is kept, and the key that vouches for it.
#[derive(Clone)]
pub struct CacheConfig {
    /// A directory of our own; created when missing, with what is missing above it. It is not used when others may write to it.
    pub dir: PathBuf,
    /// The host's key for this purpose. Whoever has it can make the host run native code.
    pub key: [u8; 32],
    /// Which build of the program this is: another one inspects components itself. Code does not depend on it.
    pub program: String,
}

impl std::fmt::Debug for CacheConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheConfig")
            .field("dir", &self.dir)
            .field("program", &self.program)
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
    /// Everything but the component that an entry depends on.
    environment: [u8; 32],
    /// What the names of its files end with.
    suffix: &'static str,
    swept: AtomicBool,
}

/// One component's place in the cache.
pub(crate) struct Entry {
    id: [u8; 32],
    name: String,
}

impl Cache {
    pub(crate) fn open(
        config: &CacheConfig,
        engine: &wasmtime::Engine,
    ) -> Result<Self, CacheError> {
        Self::of(config, environment(engine), CODE)
    }

    /// A cache of what depends on a component and on `environment`.
    pub(crate) fn of(
        config: &CacheConfig,
        environment: [u8; 32],
        suffix: &'static str,
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
        // Its owner as well: who owns the folder can make it writable when we do not look.
        if !ours || stat.st_mode & 0o022 != 0 {
            return Err(CacheError::Writable {
                dir: config.dir.clone(),
            });
        }
        Ok(Self {
            dir,
            name: config.dir.clone(),
            key: blake3::derive_key(CONTEXT, &config.key),
            environment,
            suffix,
            swept: AtomicBool::new(false),
        })
    }

    /// The place of a component with this digest, under this engine on this machine.
    pub(crate) fn entry(&self, digest: &str) -> Entry {
        let mut hash = Sha256::new();
        hash.update(DOMAIN);
        hash.update(self.environment);
        hash.update(digest.as_bytes());
        let id: [u8; 32] = hash.finalize().into();
        Entry {
            name: format!("{}{}.{}", self.prefix(), hex::encode(id), self.suffix),
            id,
        }
    }

    /// What the names of its entries begin with: a sweep has to tell them from those of other versions, and
    /// believes nothing else of a name.
    fn prefix(&self) -> String {
        let (version, _) = self.environment.split_at(8);
        format!("{}-", hex::encode(version))
    }

    /// Whether something stands in `entry`; whether it is ours, only reading tells.
    pub(crate) fn has(&self, entry: &Entry) -> bool {
        statat(&self.dir, &entry.name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// The place of the reason why there is no code of it. Whatever stands there is never loaded.
    pub(crate) fn refusal(&self, digest: &str) -> Entry {
        self.entry(&format!("refused {digest}"))
    }

    /// The file of an entry, for a message.
    pub(crate) fn path(&self, entry: &Entry) -> PathBuf {
        self.name.join(&entry.name)
    }

    /// The code in `entry`, if it is there and this host wrote it.
    pub(crate) fn get(&self, entry: &Entry) -> Option<Code> {
        match self.read(entry) {
            Ok(Some(code)) => Some(code),
            Ok(None) => {
                tracing::warn!(
                    entry = entry.name,
                    "a cache entry is not ours; it is made anew"
                );
                None
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(%error, "a cache entry cannot be read; it is made anew");
                None
            }
        }
    }

    /// Keeps `code`. Failing is not worth more than a warning: the next run compiles again.
    pub(crate) fn put(&self, entry: &Entry, code: &[u8]) {
        match self.write(entry, code) {
            Err(error) => tracing::warn!(%error, "a cache entry was not written"),
            Ok(now) if !self.swept.swap(true, Ordering::Relaxed) => self.sweep(now),
            Ok(_) => {}
        }
    }

    /// Removes what nobody has used for long, and what a killed writer left. `now` is the time of the file that
    /// was just written, so that one clock measures: that of the file system.
    fn sweep(&self, now: i64) {
        let entries = match Dir::read_from(&self.dir) {
            Ok(entries) => entries,
            Err(error) => return tracing::warn!(%error, "the cache cannot be swept"),
        };
        let own = self.prefix();
        for entry in entries.filter_map(Result::ok).take(SWEPT_MAX) {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            // A partial file of our own version is nobody's after a day, whichever version left it.
            let is_ours = text.starts_with(&own) && !text.ends_with(".tmp");
            let is_entry = [".cwasm", ".inspected", ".tmp"]
                .iter()
                .any(|it| text.ends_with(it));
            let Ok(about) = statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                // Another process was faster.
                continue;
            };
            let unused_max = if is_ours {
                OWN_UNUSED_MAX
            } else {
                OTHERS_UNUSED_MAX
            };
            if is_entry && now.saturating_sub(about.st_mtime) > unused_max {
                // Whether it goes now or with a later sweep is the same.
                let _ = unlinkat(&self.dir, name, AtFlags::empty());
            }
        }
    }

    /// Reads an entry once: what is authenticated is what is kept, whatever becomes of the file.
    fn read(&self, entry: &Entry) -> io::Result<Option<Code>> {
        // A pipe in an entry's place would have the host wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mut file = File::from(openat(&self.dir, &entry.name, flags, Mode::empty())?);
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > ENTRY_BYTES_MAX {
            return Err(io::Error::other("not a cache entry"));
        }
        let mut tag = [0; MAC_BYTES];
        let Some(len) = meta.len().checked_sub(MAC_BYTES as u64) else {
            return Ok(None);
        };
        file.read_exact(&mut tag)?;
        let len = usize::try_from(len).map_err(io::Error::other)?;
        let reading = Reading {
            cache: self,
            entry,
            file: &file,
            code: Sink::new(len)?,
            len,
            next: AtomicUsize::new(0),
            macs: Mutex::new(vec![None; len.div_ceil(SEGMENT_BYTES)]),
        };
        let (mac, code) = match reading.all() {
            // It was cut while it was read.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            all => all?,
        };
        // In constant time, by the type.
        match mac == blake3::Hash::from_bytes(tag) {
            true => {
                was_used(&file);
                code.seal().map(Some)
            }
            false => Ok(None),
        }
    }

    /// Gives when it was written, in seconds of the file system.
    fn write(&self, entry: &Entry, code: &[u8]) -> io::Result<i64> {
        let segments = code.chunks(SEGMENT_BYTES).enumerate();
        let macs = segments.map(|(index, segment)| {
            let mut mac = self.segment(entry, index);
            mac.update(segment);
            mac.finalize()
        });
        let mac = self.mac(entry, code.len(), macs);
        let name = &entry.name;
        let turn = TURN.fetch_add(1, Ordering::Relaxed);
        // Beside the entry and renamed, so that a reader finds all of it or none; two writers have
        // two names.
        let partial = format!("{name}.{}-{turn}.tmp", std::process::id());
        let result = self
            .write_new(&partial, mac.as_bytes(), code)
            .and_then(|now| Ok(renameat(&self.dir, &partial, &self.dir, name).map(|()| now)?));
        if result.is_err() {
            // The partial file is worthless either way, and the first error is the one to tell.
            let _ = unlinkat(&self.dir, &partial, AtFlags::empty());
        }
        result
    }

    fn write_new(&self, name: &str, tag: &[u8], code: &[u8]) -> io::Result<i64> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(&self.dir, name, flags, Mode::RUSR | Mode::WUSR)?);
        // Without a sync: what a crash tears apart fails its MAC and is compiled again, which is
        // all that it costs.
        file.write_all(tag)?;
        file.write_all(code)?;
        Ok(fstat(&file)?.st_mtime)
    }

    /// The MAC of a segment, which waits for its bytes.
    fn segment(&self, entry: &Entry, index: usize) -> blake3::Hasher {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(&[OF_A_SEGMENT]);
        mac.update(&entry.id);
        mac.update(&(index as u64).to_le_bytes());
        mac
    }

    /// The MAC of an entry with so many bytes in these segments.
    fn mac(
        &self,
        entry: &Entry,
        len: usize,
        segments: impl Iterator<Item = blake3::Hash>,
    ) -> blake3::Hash {
        let mut mac = blake3::Hasher::new_keyed(&self.key);
        mac.update(&[OF_ALL]);
        mac.update(&entry.id);
        mac.update(&(len as u64).to_le_bytes());
        for segment in segments {
            mac.update(segment.as_bytes());
        }
        mac.finalize()
    }
}

/// An entry that is being read, by as many threads as it is worth.
struct Reading<'a> {
    cache: &'a Cache,
    entry: &'a Entry,
    file: &'a File,
    code: Sink,
    len: usize,
    /// The next segment that nobody reads yet.
    next: AtomicUsize,
    /// None where a segment was not read.
    macs: Mutex<Vec<Option<blake3::Hash>>>,
}

impl Reading<'_> {
    /// The MAC of all that was read, and where it was put.
    fn all(self) -> io::Result<(blake3::Hash, Sink)> {
        let others = self
            .len
            .div_ceil(SEGMENT_BYTES)
            .min(*READERS)
            .saturating_sub(1);
        let done = std::thread::scope(|scope| {
            let others: Vec<_> = (0..others)
                // Where the system gives no thread, those that there are do it.
                .filter_map(|_| {
                    std::thread::Builder::new()
                        .spawn_scoped(scope, || self.segments())
                        .ok()
                })
                .collect();
            let own = self.segments();
            let others = others.into_iter().map(|it| {
                it.join().unwrap_or_else(|_| {
                    Err(io::Error::other("a thread that read the cache panicked"))
                })
            });
            others.fold(own, Result::and)
        });
        done?;
        let macs = self
            .macs
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let macs: Option<Vec<blake3::Hash>> = macs.into_iter().collect();
        let macs = macs.ok_or_else(|| io::Error::other("a segment was not read"))?;
        Ok((
            self.cache.mac(self.entry, self.len, macs.into_iter()),
            self.code,
        ))
    }

    /// Takes segments until all are taken.
    fn segments(&self) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES.min(self.len)];
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let begin = index.saturating_mul(SEGMENT_BYTES);
            if begin >= self.len {
                return Ok(());
            }
            let end = begin.saturating_add(SEGMENT_BYTES).min(self.len);
            let mut mac = self.cache.segment(self.entry, index);
            let mut at = begin;
            while at < end {
                let bytes = (end - at).min(PIECE_BYTES);
                let piece = piece.get_mut(..bytes).unwrap_or_default();
                self.file.read_exact_at(piece, (MAC_BYTES + at) as u64)?;
                mac.update(piece);
                self.code.put(at, piece)?;
                at += bytes;
            }
            let mut macs = self.macs.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(of_this) = macs.get_mut(index) {
                *of_this = Some(mac.finalize());
            }
        }
    }
}

/// Notes that an entry is in use, for whoever sweeps. Where it cannot be noted, it is swept too early and made
/// anew.
fn was_used(file: &File) {
    let time = |tv_nsec| Timespec { tv_sec: 0, tv_nsec };
    let now = Timestamps {
        last_access: time(UTIME_OMIT),
        last_modification: time(UTIME_NOW),
    };
    if let Err(error) = futimens(file, &now) {
        tracing::debug!(%error, "the use of a cache entry was not noted");
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
        // What was made a moment ago is no link. The operator's own folder above may be one.
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn cache(dir: &Path, key: u8) -> Cache {
        let engine = wasmtime::Engine::new(&crate::knobs::compiling()).unwrap();
        let config = CacheConfig {
            dir: dir.to_owned(),
            key: [key; 32],
            program: "test".to_owned(),
        };
        Cache::open(&config, &engine).unwrap()
    }

    /// Code of a few segments, no two of which are alike.
    fn code() -> Vec<u8> {
        let words = (0..(SEGMENT_BYTES as u32 * 7 / 2) / 4).map(u32::to_le_bytes);
        words.flatten().collect()
    }

    fn read(cache: &Cache, digest: &str) -> Option<Vec<u8>> {
        let code = cache.get(&cache.entry(digest))?;
        Some(code.into_bytes().unwrap())
    }

    #[test]
    fn gives_back_code_of_every_length() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), 1);
        let code = code();
        for len in [
            0,
            1,
            PIECE_BYTES + 1,
            SEGMENT_BYTES,
            SEGMENT_BYTES + 1,
            code.len(),
        ] {
            let digest = len.to_string();
            cache.put(&cache.entry(&digest), &code[..len]);
            assert_eq!(
                read(&cache, &digest).as_deref(),
                Some(&code[..len]),
                "{len}"
            );
        }
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test tampers with its own folder"
    )]
    fn sup_011_an_entry_that_was_touched_or_moved_is_not_code() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(&dir.path().join("own"), 1);
        cache.put(&cache.entry("a"), &code());
        let path = cache.path(&cache.entry("a"));
        let whole = fs::read(&path).unwrap();
        let segment = |index: usize| {
            let begin = MAC_BYTES + index * SEGMENT_BYTES;
            begin..begin + SEGMENT_BYTES
        };
        let mut swapped = whole.clone();
        swapped[segment(0)].copy_from_slice(&whole[segment(1)]);
        swapped[segment(1)].copy_from_slice(&whole[segment(0)]);
        let mut twice = whole.clone();
        twice[segment(1)].copy_from_slice(&whole[segment(0)]);
        let mut flipped = whole.clone();
        flipped[MAC_BYTES + SEGMENT_BYTES] ^= 1;
        let mut longer = whole.clone();
        longer.push(0);
        for (what, touched) in [
            ("segments that changed places", swapped),
            ("a segment in the place of another", twice),
            ("a bit", flipped),
            ("a byte more", longer),
            ("a byte less", whole[..whole.len() - 1].to_vec()),
            ("a segment less", whole[..segment(2).end].to_vec()),
            ("the MAC alone", whole[..MAC_BYTES].to_vec()),
            ("less than a MAC", whole[..MAC_BYTES - 1].to_vec()),
            ("nothing", Vec::new()),
        ] {
            fs::write(&path, touched).unwrap();
            assert!(read(&cache, "a").is_none(), "{what}");
        }
        fs::write(&path, &whole).unwrap();
        assert!(read(&cache, "a").is_some());
        // Under the name of another component, and for a host with another key.
        fs::write(cache.path(&cache.entry("b")), &whole).unwrap();
        assert!(read(&cache, "b").is_none());
        assert!(read(&super::tests::cache(&dir.path().join("own"), 2), "a").is_none());
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test looks at its own folder"
    )]
    fn what_nobody_has_used_for_long_goes_and_nothing_else() {
        const DAY: u64 = 24 * 60 * 60;
        let dir = tempfile::tempdir().unwrap();
        let own = cache(dir.path(), 1);
        let name = |digest: &str| own.entry(digest).name;
        for (file, days) in [
            (name("month"), 31),
            (name("week"), 7),
            ("0123456789abcdef-other.cwasm".to_owned(), 2),
            ("0123456789abcdef-new.cwasm".to_owned(), 0),
            (format!("{}.1-0.tmp", name("killed")), 2),
            (format!("{}.2-0.tmp", name("at work")), 0),
            ("abc.inspected".to_owned(), 2),
            ("notes.txt".to_owned(), 1_000),
        ] {
            let path = dir.path().join(file);
            fs::write(&path, "").unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            let now = file.metadata().unwrap().modified().unwrap();
            file.set_modified(now - std::time::Duration::from_secs(days * DAY))
                .unwrap();
        }
        own.put(&own.entry("a"), b"code");
        let mut left: Vec<_> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let mut expected = vec![
            name("a"),
            name("week"),
            "0123456789abcdef-new.cwasm".to_owned(),
            format!("{}.2-0.tmp", name("at work")),
            "notes.txt".to_owned(),
        ];
        left.sort();
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn an_entry_that_is_read_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let own = cache(dir.path(), 1);
        let entry = own.entry("a");
        own.put(&entry, b"code");
        let file = fs::File::options()
            .write(true)
            .open(own.path(&entry))
            .unwrap();
        let written = file.metadata().unwrap().modified().unwrap();
        file.set_modified(written - std::time::Duration::from_secs(1_000_000))
            .unwrap();
        assert!(own.get(&entry).is_some());
        assert!(file.metadata().unwrap().modified().unwrap() >= written);
    }
}
