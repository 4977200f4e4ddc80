//! The file operations that a ledger needs, as a trait, so that tests can lose power, fill the disk
//! and fail an fsync; and the real disk.
//!
//! Reading goes through it too, because a verifier meets hostile folders: a symbolic link, a
//! device or a pipe is refused, never followed and never waited for.
#![expect(
    clippy::disallowed_methods,
    reason = "the ledger's only door to the file system"
)]

use std::any::Any;
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, if it is UTF-8; other names are no part of a ledger and are left out.
    pub name: String,
    /// Whether it is a folder (a link to one is not).
    pub is_dir: bool,
}

/// Bytes that can be read from any place.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// A file that is only ever appended to.
pub trait DiskFile: Send {
    /// Appends a prefix of `bytes` and says how long it was (a short write is no error).
    ///
    /// # Errors
    /// Whatever the disk says; how much was written is unknown then.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Returns when everything appended is on stable storage.
    ///
    /// # Errors
    /// After an error the state of all unsynced bytes is unknown, and a second call proves nothing.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where a reader or verifier finds files: a disk, or a bundle.
pub trait Source: Send + Sync + Debug {
    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// `NotFound` if there is no such folder.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;

    /// Opens a regular file for reading, without following a link.
    ///
    /// # Errors
    /// `NotFound`, or `InvalidInput` for what is not a regular file.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>>;

    /// How many bytes a file has.
    ///
    /// # Errors
    /// `NotFound`.
    fn len(&self, path: &Path) -> io::Result<u64>;
}

/// What the writer of a ledger asks of a disk.
pub trait Disk: Source {
    /// Makes a folder and its parents, for the owner only.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Opens a file for appending and makes it if needed, with mode 0600 when `private`.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn open_append(&self, path: &Path, private: bool) -> io::Result<Box<dyn DiskFile>>;

    /// Cuts a file to `len` bytes, durably.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Overwrites a range with zeros, durably and in place (as far as the file system writes in
    /// place at all).
    ///
    /// # Errors
    /// Whatever the disk says.
    fn wipe(&self, path: &Path, offset: u64, len: u64) -> io::Result<()>;

    /// Renames a file over another, or a folder to a name that is free, at once for whoever looks.
    /// A lock of the folder stays a lock of the folder.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name.
    ///
    /// # Errors
    /// `AlreadyExists`.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound`.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder that is empty.
    ///
    /// # Errors
    /// `NotFound`, or whatever the disk says of one that is not empty.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names of a folder durable.
    ///
    /// # Errors
    /// As [`DiskFile::sync`].
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the only lock of a folder; it is free again when the guard is dropped or the process
    /// ends, however it ends.
    ///
    /// # Errors
    /// `WouldBlock` while another writer holds it.
    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Any + Send>>;
}

/// Appends all of `bytes`.
pub(crate) fn append_all(file: &mut dyn DiskFile, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.append(bytes)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            len => bytes = bytes.get(len..).unwrap_or_default(),
        }
    }
    Ok(())
}

/// Writes a whole file so that a reader sees the old bytes or the new ones, also after power loss.
pub(crate) fn replace(disk: &dyn Disk, path: &Path, bytes: &[u8], private: bool) -> io::Result<()> {
    write_beside(disk, path, bytes, private)?.sync()?;
    disk.rename(&path.with_extension("tmp"), path)?;
    disk.sync_dir(path.parent().unwrap_or(path))
}

/// As [`replace`], and after power loss the file may also be empty or hold zeros: for what can be
/// told from something else.
pub(crate) fn replace_unsynced(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    private: bool,
) -> io::Result<()> {
    drop(write_beside(disk, path, bytes, private)?);
    disk.rename(&path.with_extension("tmp"), path)
}

fn write_beside(
    disk: &dyn Disk,
    path: &Path,
    bytes: &[u8],
    private: bool,
) -> io::Result<Box<dyn DiskFile>> {
    let fresh = path.with_extension("tmp");
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = disk.open_append(&fresh, private)?;
    append_all(file.as_mut(), bytes)?;
    Ok(file)
}

/// Whether there is a folder at `dir`.
pub(crate) fn is_dir(disk: &dyn Source, dir: &Path) -> io::Result<bool> {
    match disk.list(dir) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A file read whole, refused over `max` bytes; `None` if there is none.
pub(crate) fn read_small(disk: &dyn Source, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("over {max} bytes"),
        ));
    }
    Ok(Some(bytes))
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

struct RealFile(File);

impl DiskFile for RealFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        // The data and the length, without which it could not be read; a time stamp is not worth a
        // second write.
        self.0.sync_data()
    }
}

fn open_write(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

impl Source for RealDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Entry {
                    name,
                    is_dir: entry.file_type()?.is_dir(),
                });
            }
        }
        entries.sort();
        Ok(entries)
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn ReadSeek>> {
        // Without `NONBLOCK` the opening of a pipe would wait for somebody who writes to it.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a regular file",
            ));
        }
        Ok(Box::new(file))
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        // Of a link itself: it is not followed here, and refused when it is opened.
        fs::symlink_metadata(path).map(|about| about.len())
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
    }

    fn open_append(&self, path: &Path, private: bool) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            // A record holds no payload: whoever may enter the folder may read it.
            .mode(if private { 0o600 } else { 0o644 })
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = open_write(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn wipe(&self, path: &Path, offset: u64, len: u64) -> io::Result<()> {
        let mut file = open_write(path)?;
        file.seek(SeekFrom::Start(offset))?;
        io::copy(&mut io::repeat(0).take(len), &mut file)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, dir: &Path) -> io::Result<Box<dyn Any + Send>> {
        let folder = File::open(dir)?;
        // On the folder and not on a file in it: it goes along when the folder is renamed, leaves
        // nothing behind, and ends with the process however that ends.
        flock(&folder, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(folder))
    }
}
