//! Files below a folder that came with somebody's work, in which no link is followed.
//!
//! Evidence travels: git carries its folder, and git carries links. One that is followed makes the host read a file
//! that nobody gave it, write outside of the folder, or take another spec's files for those of this one. Every part of
//! a path is opened by itself, below the part before it; a name that is swapped for a link in between is refused too.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Read as _, Write as _};
use std::thread::{self, Builder};

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
    together.end().map_err(|(_, error)| error)
}

/// Threads that bring files to the disk at once: the system then does it with one write to its journal for many of them.
/// Nineteen took 68 ms one after the other, 10 by two, 7 by four and by nineteen.
const SYNC_LANES: usize = 4;

/// Files that are written together, each as by [`write`]. A folder is opened once for all of them, and once more to bring
/// their names to the disk. Of durable ones nothing has its name before [`Together::end`].
pub(crate) struct Together<'d> {
    dir: &'d Dir,
    durability: Durability,
    folders: BTreeMap<String, Dir>,
    /// Durable ones that still have to get their names, in their order.
    unnamed: Vec<(String, File)>,
}

impl<'d> Together<'d> {
    /// For files below `dir`.
    pub(crate) const fn new(dir: &'d Dir, durability: Durability) -> Self {
        Self {
            dir,
            durability,
            folders: BTreeMap::new(),
            unnamed: Vec::new(),
        }
    }

    /// Writes a file, each path once. Gives the bytes of the one that it replaces, 0 where there was none.
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
        self.put(path, bytes, Folder::change_places)
    }

    fn put(&mut self, path: &str, bytes: &[u8], rename: Rename) -> io::Result<u64> {
        let (folder, name) = split(path);
        let folder = match self.folders.entry(folder.to_owned()) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => free.insert(create(self.dir, folder)?),
        };
        debug_assert!(
            self.unnamed.iter().all(|(other, _)| other != path),
            "its first content would get the name of the second"
        );
        let (before, rename) = match folder.symlink_metadata(name) {
            Ok(about) if about.is_file() => (about.len(), rename),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // What is no file gives way to none, or is a folder, which must stay.
            _ => (0, Folder::rename as Rename),
        };
        let fresh = fresh(name);
        let written = fill(folder, &fresh, bytes).and_then(|file| match self.durability {
            Durability::Durable => {
                self.unnamed.push((path.to_owned(), file));
                Ok(())
            }
            Durability::Relaxed => rename(folder, &fresh, name),
        });
        if let Err(error) = written {
            // What failed is told; that this stays behind as well is not worth another word.
            let _ = folder.remove_file(&fresh);
            return Err(error);
        }
        Ok(before)
    }

    /// To be called behind the last file: a durable one is there, and safe from a loss of power, only then.
    ///
    /// # Errors
    /// What the disk says, and of which file or folder.
    pub(crate) fn end(mut self) -> Result<(), (String, io::Error)> {
        // Before they are named: a name that is on the disk before its bytes are would be an empty file after a loss of
        // power.
        synced(&self.unnamed)?;
        let mut files = std::mem::take(&mut self.unnamed).into_iter();
        let named = files.try_for_each(|(path, _)| {
            let named = self.name(&path);
            named.map_err(|error| {
                self.forget(&path);
                (path, error)
            })
        });
        files.for_each(|(path, _)| self.forget(&path));
        named?;
        if self.durability == Durability::Durable {
            for (path, folder) in &self.folders {
                let synced = folder.open(".").and_then(|folder| folder.sync_all());
                synced.map_err(|error| (path.clone(), error))?;
            }
        }
        Ok(())
    }

    /// Gives a file that is on the disk its name.
    fn name(&self, path: &str) -> io::Result<()> {
        let (folder, name) = split(path);
        match self.folders.get(folder) {
            Some(folder) => Folder::rename(folder, &fresh(name), name),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Removes what has not got its name.
    fn forget(&self, path: &str) {
        let (folder, name) = split(path);
        if let Some(folder) = self.folders.get(folder) {
            // What failed is told; that this stays behind as well is not worth another word.
            let _ = folder.remove_file(fresh(name));
        }
    }
}

impl Drop for Together<'_> {
    fn drop(&mut self) {
        for (path, _) in std::mem::take(&mut self.unnamed) {
            self.forget(&path);
        }
    }
}

/// Where a file is until it is whole. Hidden, so that whoever lists the folder meanwhile, or after a kill, takes it for
/// nothing; and beside the name that it gets, because only within one folder's disk is a rename whole or not at all.
fn fresh(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Brings files to the disk, several at once.
fn synced(files: &[(String, File)]) -> Result<(), (String, io::Error)> {
    let lanes = files.len().min(SYNC_LANES);
    let lane = |first: usize| {
        let mut own = files.iter().skip(first).step_by(lanes.max(1));
        own.try_for_each(|(path, file)| file.sync_all().map_err(|error| (path.clone(), error)))
    };
    thread::scope(|scope| {
        // One that the system gives no thread for is done here.
        let begun = (1..lanes).map(|first| {
            let thread = Builder::new().name("stage-sync".to_owned());
            let thread = thread.spawn_scoped(scope, move || lane(first));
            thread.map_err(|_| first)
        });
        let begun: Vec<_> = begun.collect();
        let mut done = lane(0);
        for begun in begun {
            let ended = match begun {
                Ok(thread) => thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(first) => lane(first),
            };
            done = done.and(ended);
        }
        done
    })
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

fn fill(folder: &Dir, name: &str, bytes: &[u8]) -> io::Result<File> {
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
    Ok(file)
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
    fn durable_files_get_their_names_in_order_and_leave_nothing_behind_where_one_cannot() {
        let (folder, dir) = here();
        std::fs::create_dir_all(folder.path().join("a/4")).unwrap();
        let paths: Vec<String> = (0..9).map(|number| format!("a/{number}")).collect();
        let mut together = Together::new(&dir, Durability::Durable);
        for path in &paths {
            together.write(path, path.as_bytes()).unwrap();
            assert!(!folder.path().join(path).is_file());
        }
        let (failed, _) = together.end().unwrap_err();
        assert_eq!(failed, "a/4");
        assert_eq!(files(&dir, "a").unwrap(), ["a/0", "a/1", "a/2", "a/3"]);
        let all = || std::fs::read_dir(folder.path().join("a")).unwrap().count();
        assert_eq!(all(), 5, "the folder, and four files");
        // Nobody ends it: one of the files could not be written.
        let mut together = Together::new(&dir, Durability::Durable);
        together.write("a/5", b"whole").unwrap();
        drop(together);
        assert_eq!(all(), 5);
        std::fs::remove_dir(folder.path().join("a/4")).unwrap();
        let mut together = Together::new(&dir, Durability::Durable);
        for path in &paths {
            together.write(path, path.as_bytes()).unwrap();
        }
        together.end().unwrap();
        for path in &paths {
            assert_eq!(read(&dir, path, 3).unwrap(), path.as_bytes());
        }
        assert_eq!(all(), 9);
    }

    #[test]
    fn a_copy_takes_the_place_of_a_file_of_a_link_and_of_nothing() {
        let (folder, dir) = here();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        for durability in [Durability::Durable, Durability::Relaxed] {
            symlink("/etc/passwd", folder.path().join("a/link")).unwrap();
            for (path, replaced) in [("a/link", 0), ("a/none", 0), ("a/none", 3)] {
                let mut together = Together::new(&dir, durability);
                assert_eq!(together.write_copy(path, b"new").unwrap(), replaced);
                together.end().unwrap();
                assert_eq!(read(&dir, path, 3).unwrap(), b"new");
            }
            let names = std::fs::read_dir(folder.path().join("a")).unwrap();
            assert_eq!(names.count(), 2, "nothing is left beside them");
            std::fs::create_dir(folder.path().join("a/folder")).unwrap();
            assert!(write(&dir, "a/folder", b"new", durability).is_err());
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
