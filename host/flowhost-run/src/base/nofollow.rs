//! Files below a folder that came with somebody's work, in which no link is followed.
//!
//! Evidence travels: git carries its folder, and git carries links. One that is followed makes the host read a file
//! that nobody gave it, write outside of the folder, or take another spec's files for those of this one. Every part of
//! a path is opened by itself, below the part before it; a name that is swapped for a link in between is refused too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read as _, Write as _};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt as _};
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt as _, File, OpenOptions};
use flowhost_ledger::Durability;

/// How deep folders may nest: an evidence root has three levels. The walk recurses, and who made the folders is not
/// known.
const DEPTH_MAX: usize = 8;

/// A folder below another one.
///
/// # Errors
/// `NotFound`; `InvalidInput` where a part of the path is a link.
pub fn open(dir: &Dir, path: &str) -> io::Result<Dir> {
    let mut at = dir.try_clone()?;
    for name in parts(path) {
        at = step(&at, name)?;
    }
    Ok(at)
}

/// A folder below another one, made (for its owner only) where it is not there.
///
/// # Errors
/// As [`open`], and what the disk says.
pub fn create(dir: &Dir, path: &str) -> io::Result<Dir> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    let mut at = dir.try_clone()?;
    for name in parts(path) {
        let opened = match step(&at, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match at.create_dir_with(name, &builder) {
                    // Another run was faster.
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => step(&at, name),
                }
            }
            opened => opened,
        };
        at = opened?;
    }
    Ok(at)
}

/// A regular file, open for reading.
///
/// # Errors
/// As [`open`], and `InvalidInput` for what is not a regular file.
pub fn file(dir: &Dir, path: &str) -> io::Result<File> {
    let (folder, name) = split(path);
    let folder = open(dir, folder)?;
    let about = folder.symlink_metadata(name)?;
    if about.is_symlink() {
        return Err(link(name));
    }
    // To open a pipe is to wait for who writes into it.
    if !about.is_file() {
        let message = format!("`{name}` is not a regular file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    folder.open_with(
        name,
        OpenOptions::new().read(true).follow(FollowSymlinks::No),
    )
}

/// Reads a regular file of at most `max` bytes.
///
/// # Errors
/// As [`file`], and when it is larger.
pub fn read(dir: &Dir, path: &str, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut file = file(dir, path)?.take(max.saturating_add(1));
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        let message = format!("`{path}` is larger than {max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Writes a file so that a reader sees the old or the new content, never half of it, and makes the folders above it. A
/// link that stands at its name is replaced. One writer at a time: whoever writes holds the lock of the spec.
///
/// # Errors
/// What the disk says, and where a folder above it is a link.
pub fn write(dir: &Dir, path: &str, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut together = Together::new(dir, durability);
    together.write(path, bytes)?;
    together.end()
}

/// Files that are written one after the other, each as by [`write`]. A folder is opened once for all of them, and once
/// more to bring their names to the disk.
pub(crate) struct Together<'d> {
    dir: &'d Dir,
    durability: Durability,
    folders: BTreeMap<String, Dir>,
}

impl<'d> Together<'d> {
    /// For files below `dir`.
    pub(crate) const fn new(dir: &'d Dir, durability: Durability) -> Self {
        Self {
            dir,
            durability,
            folders: BTreeMap::new(),
        }
    }

    /// Writes a file. Gives the bytes of the one that it replaces, 0 where there was none.
    ///
    /// # Errors
    /// As [`write`].
    pub(crate) fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<u64> {
        self.put(path, bytes, Folder::rename)
    }

    /// As [`Together::write`], of what stands in another file as well. Of a relaxed one, a loss of power may leave an empty
    /// file here: it costs a third where it takes the place of another.
    ///
    /// # Errors
    /// As [`write`].
    pub(crate) fn write_copy(&mut self, path: &str, bytes: &[u8]) -> io::Result<u64> {
        let rename: Rename = match self.durability {
            Durability::Durable => Folder::rename,
            Durability::Relaxed => Folder::change_places,
        };
        self.put(path, bytes, rename)
    }

    fn put(&mut self, path: &str, bytes: &[u8], rename: Rename) -> io::Result<u64> {
        let (folder, name) = split(path);
        let folder = match self.folders.entry(folder.to_owned()) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => free.insert(create(self.dir, folder)?),
        };
        let (before, rename) = match folder.symlink_metadata(name) {
            Ok(about) if about.is_file() => (about.len(), rename),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // What is no file gives way to none, or is a folder, which must stay.
            _ => (0, Folder::rename as Rename),
        };
        // Hidden, so that whoever lists the folder meanwhile, or after a kill, takes it for nothing; and beside the
        // name that it gets, because only within one folder's disk is a rename whole or not at all.
        let fresh = format!(".{name}.tmp");
        let written = fill(folder, &fresh, bytes, self.durability)
            .and_then(|()| rename(folder, &fresh, name));
        if let Err(error) = written {
            // What failed is told; that this stays behind as well is not worth another word.
            let _ = folder.remove_file(&fresh);
            return Err(error);
        }
        Ok(before)
    }

    /// To be called behind the last file: a durable one is safe from a loss of power only then.
    ///
    /// # Errors
    /// What the disk says.
    pub(crate) fn end(self) -> io::Result<()> {
        if self.durability == Durability::Durable {
            for folder in self.folders.values() {
                folder.open(".")?.sync_all()?;
            }
        }
        Ok(())
    }
}

/// Gives what stands at the first name the second one.
type Rename = fn(&Dir, &str, &str) -> io::Result<()>;

/// Ways to do so.
struct Folder;

impl Folder {
    fn rename(folder: &Dir, fresh: &str, name: &str) -> io::Result<()> {
        folder.rename(fresh, folder, name)
    }

    /// A file that takes another's place is brought to the disk at once by ext4, and whoever renames it waits for that; not
    /// so where the two change places. A reader sees the old or the new one all the same.
    #[cfg(target_os = "linux")]
    fn change_places(folder: &Dir, fresh: &str, name: &str) -> io::Result<()> {
        use rustix::fs::{RenameFlags, renameat_with};

        match renameat_with(folder, fresh, folder, name, RenameFlags::EXCHANGE) {
            Ok(()) => folder.remove_file(fresh),
            // There is nothing to change places with, or the file system cannot.
            Err(_) => Self::rename(folder, fresh, name),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn change_places(folder: &Dir, fresh: &str, name: &str) -> io::Result<()> {
        Self::rename(folder, fresh, name)
    }
}

fn fill(folder: &Dir, name: &str, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = match folder.open_with(name, &options) {
        // What a killed writer left.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            folder.remove_file(name)?;
            folder.open_with(name, &options)?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    // Before the rename: a name that is on the disk before its bytes are would be an empty file after a loss of power.
    match durability {
        Durability::Durable => file.sync_all(),
        Durability::Relaxed => Ok(()),
    }
}

/// A file that is opened to be locked, made where it is not there.
///
/// # Errors
/// What the disk says, and where it or a folder above it is a link.
pub(crate) fn lockable(dir: &Dir, path: &str) -> io::Result<File> {
    let (folder, name) = split(path);
    let folder = create(dir, folder)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    folder
        .open_with(name, options.follow(FollowSymlinks::No))
        .map_err(|error| told(&folder, name, error))
}

/// Removes a file.
///
/// # Errors
/// As [`open`], and what the disk says.
pub(crate) fn remove(dir: &Dir, path: &str) -> io::Result<()> {
    let (folder, name) = split(path);
    open(dir, folder)?.remove_file(name)
}

/// The files below a folder by their paths from `dir`, without those that are hidden; none where it is not there.
///
/// # Errors
/// As [`open`], where one of them is a link, and where folders nest deeper than evidence does.
pub fn files(dir: &Dir, path: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    match open(dir, path) {
        Ok(folder) => gather(&folder, path, 0, &mut found)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    found.sort_unstable();
    Ok(found)
}

fn gather(folder: &Dir, path: &str, depth: usize, found: &mut Vec<String>) -> io::Result<()> {
    if depth > DEPTH_MAX {
        let message = format!("`{path}` nests deeper than {DEPTH_MAX} folders");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    for entry in folder.entries()? {
        let entry = entry?;
        // A name that is no text is nobody's here.
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type()?;
        let below = format!("{path}/{name}");
        if name.starts_with('.') {
            continue;
        }
        if kind.is_symlink() {
            return Err(link(&below));
        }
        match kind.is_dir() {
            true => gather(&step(folder, &name)?, &below, depth + 1, found)?,
            false => found.push(below),
        }
    }
    Ok(())
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

/// The folder of a path, and the name in it.
fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn step(dir: &Dir, name: &str) -> io::Result<Dir> {
    dir.open_dir_nofollow(name)
        .map_err(|error| told(dir, name, error))
}

/// The system says of a link what it says of a file that is no folder.
fn told(dir: &Dir, name: &str, error: io::Error) -> io::Error {
    match dir.symlink_metadata(name) {
        Ok(about) if about.is_symlink() => link(name),
        _ => error,
    }
}

fn link(name: &str) -> io::Error {
    let message = format!(
        "`{name}` is a symbolic link, and none is followed here: put what it leads to in its place, or remove it"
    );
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test lays out what is found")]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn here() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        (folder, dir)
    }

    #[test]
    fn a_file_is_written_whole_over_what_a_killed_writer_left_and_is_read() {
        let (folder, dir) = here();
        for durability in [Durability::Durable, Durability::Relaxed] {
            create(&dir, "a/b").unwrap();
            std::fs::write(folder.path().join("a/b/.c.tmp"), "half").unwrap();
            write(&dir, "a/b/c", b"whole", durability).unwrap();
            assert_eq!(read(&dir, "a/b/c", 5).unwrap(), b"whole");
            assert_eq!(files(&dir, "a").unwrap(), ["a/b/c"]);
            assert!(!folder.path().join("a/b/.c.tmp").exists());
        }
        let large = read(&dir, "a/b/c", 4).unwrap_err();
        assert_eq!(large.kind(), io::ErrorKind::FileTooLarge);
        remove(&dir, "a/b/c").unwrap();
        let gone = read(&dir, "a/b/c", 4).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        assert!(files(&dir, "none").unwrap().is_empty());
    }

    #[test]
    fn a_copy_takes_the_place_of_a_file_of_a_link_and_of_nothing() {
        let (folder, dir) = here();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for durability in [Durability::Durable, Durability::Relaxed] {
            let mut together = Together::new(&dir, durability);
            symlink("/etc/passwd", folder.path().join("a/link")).unwrap();
            for path in ["a/link", "a/none", "a/none"] {
                together.write_copy(path, b"new").unwrap();
                assert_eq!(read(&dir, path, 3).unwrap(), b"new");
            }
            let replaced = together.write_copy("a/none", b"newer").unwrap();
            assert_eq!(replaced, 3);
            assert_eq!(read(&dir, "a/none", 5).unwrap(), b"newer");
            together.end().unwrap();
            let names = std::fs::read_dir(folder.path().join("a")).unwrap();
            assert_eq!(names.count(), 2, "nothing is left beside them");
            std::fs::create_dir(folder.path().join("a/folder")).unwrap();
            let mut together = Together::new(&dir, durability);
            assert!(together.write_copy("a/folder", b"new").is_err());
            std::fs::remove_dir(folder.path().join("a/folder")).unwrap();
            for name in ["a/link", "a/none"] {
                std::fs::remove_file(folder.path().join(name)).unwrap();
            }
        }
    }

    #[test]
    fn no_link_is_followed_wherever_it_stands_in_a_path() {
        let (folder, dir) = here();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("real/deep")).unwrap();
        std::fs::write(at("real/file"), "secret").unwrap();
        std::fs::write(at("real/deep/file"), "secret").unwrap();
        symlink("real", at("way")).unwrap();
        symlink("file", at("real/end")).unwrap();
        for path in ["way/file", "way/deep/file", "real/end"] {
            let said = read(&dir, path, 100).unwrap_err().to_string();
            assert!(said.contains("is a symbolic link"), "{path}: {said}");
        }
        for path in ["way/deep", "way"] {
            assert!(open(&dir, path).is_err());
            assert!(create(&dir, path).is_err());
            assert!(files(&dir, path).is_err());
            assert!(remove(&dir, &format!("{path}/file")).is_err());
            assert!(lockable(&dir, &format!("{path}/lock")).is_err());
            let written = write(&dir, &format!("{path}/new"), b"", Durability::Relaxed);
            assert!(written.is_err());
        }
        assert!(files(&dir, "real").is_err());
        assert!(lockable(&dir, "real/end").is_err());
        // A link at the name itself gives way to the file, and what it led to stays as it was.
        write(&dir, "real/end", b"new", Durability::Relaxed).unwrap();
        assert_eq!(read(&dir, "real/end", 9).unwrap(), b"new");
        assert_eq!(read(&dir, "real/file", 9).unwrap(), b"secret");
        for outside in ["..", "../x", "real/../../x"] {
            assert!(open(&dir, outside).is_err(), "{outside}");
        }
    }
}
