//! A granted folder as handles, and every operation below it.
//!
//! The attacks: `..`, absolute paths, links that lead out or are swapped while they are followed,
//! mounts, devices, pipes that block, files that grow without end. The defences: every path is
//! resolved by cap-std below an open handle; what was opened is looked at before it is used; the
//! mount must be the folder's own; every byte and entry is counted before it is written; what a grant does
//! not show is looked for in the handle that was opened, and not in the path.
//! Everything here blocks and is called off the executor.

use std::{
    io::{self, Read as _},
    os::fd::AsFd,
    sync::Arc,
};

use cap_fs_ext::{DirExt as _, FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{
    Dir, File, FileExt, FileType, Metadata, MetadataExt, OpenOptions, OpenOptionsExt, ReadDir,
};
use rustix::{fs::OFlags, io::Errno};

use super::{
    error::FileError,
    forbidden::{DirId, Hidden},
    path::Below,
    place::Place,
    usage::{Account, Usage},
};

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A device, pipe or socket: never opened.
    Special,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Self {
        if kind.is_file() {
            Self::File
        } else if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Link
        } else {
            Self::Special
        }
    }
}

/// Where a handle lives. Linux tells mounts apart even on one device; elsewhere the device decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mount {
    #[cfg(target_os = "linux")]
    Id(u64),
    Device(u64),
}

impl Mount {
    #[cfg(target_os = "linux")]
    pub(super) fn of(handle: impl AsFd, metadata: &Metadata) -> Self {
        use rustix::fs::{AtFlags, StatxFlags, statx};
        let found = statx(handle, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
        match found {
            // Linux tells it since 5.8, and says in the mask whether it did: an id that was not
            // filled in is 0 for all.
            Ok(stat) if stat.stx_mask & StatxFlags::MNT_ID.bits() != 0 => Self::Id(stat.stx_mnt_id),
            _ => Self::Device(metadata.dev()),
        }
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_handle: impl AsFd, metadata: &Metadata) -> Self {
        Self::Device(metadata.dev())
    }
}

/// A granted folder.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) mount: Mount,
    /// `None` for a read grant: there is nothing that a write could be counted in, so none happens.
    pub(super) usage: Option<Arc<Usage>>,
    /// What lies below it and is not shown.
    pub(super) hidden: Option<Hidden>,
    /// The guest path, without a slash at its end.
    pub(super) guest: String,
}

impl Root {
    /// Whether `id` is the folder that is not shown.
    pub(super) fn hides(&self, id: DirId) -> bool {
        self.hidden.as_ref().is_some_and(|hidden| hidden.is(id))
    }

    fn usage(&self) -> Result<&Arc<Usage>, FileError> {
        self.usage
            .as_ref()
            .ok_or(FileError::Refused("the folder is read-only"))
    }
}

/// What a guest wants of an open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) create: bool,
    pub(super) exclusive: bool,
    pub(super) truncate: bool,
    pub(super) directory: bool,
    pub(super) follow: bool,
}

impl Wish {
    /// Whether it may change anything.
    pub(super) const fn changes(self) -> bool {
        self.write || self.create || self.truncate
    }
}

/// What an open gave.
pub(super) enum Opened {
    File(OpenFile),
    Folder(Folder),
}

/// A directory handle below a grant.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) root: Arc<Root>,
    pub(super) dir: Arc<Dir>,
    /// Names between the granted folder and this one.
    pub(super) depth: usize,
}

impl Folder {
    pub(super) fn checked(&self, dir: Dir, depth: usize) -> Result<Self, FileError> {
        let metadata = dir.dir_metadata()?;
        self.same_mount(&dir, &metadata)?;
        Ok(Self {
            root: Arc::clone(&self.root),
            dir: Arc::new(dir),
            depth,
        })
    }

    fn same_mount(&self, handle: impl AsFd, metadata: &Metadata) -> Result<(), FileError> {
        if Mount::of(handle, metadata) == self.root.mount {
            Ok(())
        } else {
            Err(FileError::Refused("another file system is mounted there"))
        }
    }

    /// The directory that holds `below` must be on our mount.
    fn check_parent(&self, below: &Below) -> Result<(), FileError> {
        match below.parent() {
            None => Ok(()),
            // Any depth will do: the handle is looked at and let go.
            Some(parent) => self.checked(self.dir.open_dir(parent)?, 0).map(|_| ()),
        }
    }

    /// Describes `below`; `None` when nothing is there.
    pub(super) fn look(&self, below: &Below, follow: bool) -> Result<Option<Metadata>, FileError> {
        let path = below.as_str();
        let found = match (below.is_top(), follow) {
            (true, _) => self.dir.dir_metadata(),
            (_, true) => self.dir.metadata(path),
            (_, false) => self.dir.symlink_metadata(path),
        };
        match found {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Describes `below`, which must be there, and a directory if it ends with a slash.
    pub(super) fn stat(&self, below: &Below, follow: bool) -> Result<Metadata, FileError> {
        let place = self.settle(below, follow)?;
        let metadata = place
            .folder
            .look(&place.below, place.follow)?
            .ok_or(FileError::os(Errno::NOENT))?;
        if below.means_directory() && !metadata.is_dir() {
            return Err(FileError::os(Errno::NOTDIR));
        }
        Ok(metadata)
    }

    /// Opens a file or a directory.
    pub(super) fn open(&self, below: &Below, wish: Wish) -> Result<Opened, FileError> {
        let place = self.settle(below, wish.follow)?;
        let wish = Wish {
            follow: place.follow,
            ..wish
        };
        place.folder.open_here(&place.below, wish)
    }

    fn open_here(&self, below: &Below, wish: Wish) -> Result<Opened, FileError> {
        let found = self.look(below, wish.follow)?;
        match found
            .as_ref()
            .map(|metadata| Kind::from(metadata.file_type()))
        {
            // First, because whoever wants to be the maker must not learn by another error what
            // stands there.
            Some(_) if wish.create && wish.exclusive => Err(FileError::os(Errno::EXIST)),
            // Before it is opened: to open a pipe or a device may already do something.
            Some(Kind::Special) => Err(FileError::Refused("not a regular file or directory")),
            Some(Kind::Link) => Err(FileError::os(Errno::LOOP)),
            Some(Kind::Directory) if wish.changes() => Err(FileError::os(Errno::ISDIR)),
            Some(Kind::Directory) => self.enter(below, wish.follow).map(Opened::Folder),
            Some(Kind::File) if wish.directory || below.means_directory() => {
                Err(FileError::os(Errno::NOTDIR))
            }
            Some(Kind::File) => self.open_file(below, wish, false).map(Opened::File),
            None if !wish.create => Err(FileError::os(Errno::NOENT)),
            None if below.means_directory() || wish.directory => Err(FileError::os(Errno::ISDIR)),
            None => self.open_file(below, wish, true).map(Opened::File),
        }
    }

    pub(super) fn open_folder(&self, below: &Below) -> Result<Self, FileError> {
        let place = self.settle(below, true)?;
        place.folder.enter(&place.below, place.follow)
    }

    fn enter(&self, below: &Below, follow: bool) -> Result<Self, FileError> {
        if below.is_top() {
            return Ok(self.clone());
        }
        // Without a folder that is not shown a link on the way is the kernel's to follow.
        let dir = match follow || self.root.hidden.is_none() {
            true => self.dir.open_dir(below.as_str())?,
            false => self.dir.open_dir_nofollow(below.as_str())?,
        };
        if self.root.hides(DirId::of(&dir)?) {
            return Err(FileError::os(Errno::NOENT));
        }
        self.checked(dir, below.depth())
    }

    /// Opens without blocking, looks at what it is, and only then lets it be used.
    fn open_file(&self, below: &Below, wish: Wish, make: bool) -> Result<OpenFile, FileError> {
        if wish.changes() {
            self.root.usage()?;
        }
        // Readers are counted too: a file that is removed while one reads it still fills the disk.
        let usage = self.root.usage.clone();
        let mut account = usage.as_ref().map(|usage| usage.lock());
        if make {
            self.check_parent(below)?;
            if let Some(account) = &account {
                account.may_add()?;
            }
        }
        let file = self.dir.open_with(below.as_str(), &options(wish, make))?;
        // Counted as soon as it is there: what is refused below has been made all the same.
        if let Some(account) = account.as_mut().filter(|_| make) {
            account.added();
        }
        let metadata = file.metadata()?;
        self.same_mount(&file, &metadata)?;
        if !metadata.is_file() {
            return Err(FileError::Refused("not a regular file or directory"));
        }
        if let Some(account) = account.as_mut() {
            if wish.truncate {
                file.set_len(0)?;
                account.resized(metadata.len(), 0);
            }
            // Last: whatever fails before drops a file that was never counted as open.
            account.opened(metadata.ino());
        }
        // Before the file is handed out: dropping an `OpenFile` takes this lock.
        drop(account);
        Ok(OpenFile {
            file,
            usage,
            read: wish.read,
            write: wish.write,
            inode: metadata.ino(),
        })
    }

    /// Iterates a directory; nothing is read ahead.
    pub(super) fn entries(&self) -> Result<ReadDir, FileError> {
        Ok(self.dir.entries()?)
    }

    /// Makes one directory.
    pub(super) fn make_dir(&self, below: &Below) -> Result<(), FileError> {
        let mut account = self.root.usage()?.lock();
        let Place { folder, below, .. } = self.settle(below, false)?;
        if folder.look(&below, false)?.is_some() {
            return Err(FileError::os(Errno::EXIST));
        }
        folder.check_parent(&below)?;
        account.may_add()?;
        folder.dir.create_dir(below.as_str())?;
        account.added();
        Ok(())
    }

    /// Removes a file or link.
    pub(super) fn remove_file(&self, below: &Below) -> Result<(), FileError> {
        let mut account = self.root.usage()?.lock();
        let metadata = self.stat(below, false)?;
        if metadata.is_dir() {
            return Err(FileError::os(Errno::ISDIR));
        }
        let Place { folder, below, .. } = self.settle(below, false)?;
        folder.check_parent(&below)?;
        folder.dir.remove_file(below.as_str())?;
        account.removed(last_name(&metadata));
        Ok(())
    }

    /// Removes an empty directory, never the granted folder itself.
    pub(super) fn remove_dir(&self, below: &Below) -> Result<(), FileError> {
        let mut account = self.root.usage()?.lock();
        let metadata = self.stat(below, false)?;
        if below.is_top() {
            return Err(FileError::os(Errno::BUSY));
        }
        if !metadata.is_dir() {
            return Err(FileError::os(Errno::NOTDIR));
        }
        let Place { folder, below, .. } = self.settle(below, false)?;
        folder.check_parent(&below)?;
        folder.dir.remove_dir(below.as_str())?;
        account.removed(None);
        Ok(())
    }

    /// Moves within one grant; another grant is another device.
    pub(super) fn rename(&self, from: &Below, to: &Self, new: &Below) -> Result<(), FileError> {
        let mut account = self.root.usage()?.lock();
        self.same_root(to)?;
        if from.is_top() || new.is_top() {
            return Err(FileError::os(Errno::BUSY));
        }
        let moved = self.stat(from, false)?;
        let from = self.settle(from, false)?;
        let new = to.settle(new, false)?;
        let replaced = new.folder.look(&new.below, false)?;
        if new.below.means_directory() && !moved.is_dir() {
            return Err(FileError::os(Errno::NOTDIR));
        }
        // Two names of one file: POSIX has `rename` do nothing then, and both stay.
        let same = replaced
            .as_ref()
            .is_some_and(|there| there.ino() == moved.ino());
        from.folder.check_parent(&from.below)?;
        new.folder.check_parent(&new.below)?;
        if moved.is_dir() {
            from.may_move(&moved, new.below.depth())?;
        }
        let (name, folder) = (new.below.as_str(), &new.folder);
        from.folder
            .dir
            .rename(from.below.as_str(), &folder.dir, name)?;
        if let Some(gone) = replaced.filter(|_| !same) {
            account.removed(last_name(&gone));
        }
        Ok(())
    }

    fn same_root(&self, other: &Self) -> Result<(), FileError> {
        other.root.usage()?;
        // One grant has one root in a call. Two grants of one folder have an account each, so
        // nothing moves between them.
        if Arc::ptr_eq(&self.root, &other.root) {
            Ok(())
        } else {
            Err(FileError::os(Errno::XDEV))
        }
    }

    /// Makes a second name for a file of the same grant.
    pub(super) fn link(&self, from: &Below, to: &Self, new: &Below) -> Result<(), FileError> {
        let mut account = self.root.usage()?.lock();
        self.same_root(to)?;
        // A second name of a link would be a link whose target was never looked at.
        if !self.stat(from, false)?.is_file() || new.means_directory() {
            return Err(FileError::os(Errno::PERM));
        }
        let from = self.settle(from, false)?;
        let new = to.settle(new, false)?;
        from.folder.check_parent(&from.below)?;
        new.folder.check_parent(&new.below)?;
        account.may_add()?;
        let (name, folder) = (new.below.as_str(), &new.folder);
        from.folder
            .dir
            .hard_link(from.below.as_str(), &folder.dir, name)?;
        account.added();
        Ok(())
    }

    /// Makes a link whose target stays below its own directory: whoever reads the folder later may
    /// not be as careful as we are.
    pub(super) fn symlink(&self, target: &str, below: &Below) -> Result<(), FileError> {
        let mut account = self.root.usage()?.lock();
        // Backslashes too: a person may read the folder on a system where they part names.
        let climbs = target.split(['/', '\\']).any(|name| name == "..");
        if climbs || target.is_empty() || target.starts_with(['/', '\\']) || target.contains('\0') {
            return Err(FileError::Refused("a link points below its own directory"));
        }
        if below.means_directory() {
            return Err(FileError::os(Errno::NOENT));
        }
        let Place { folder, below, .. } = self.settle(below, false)?;
        folder.check_parent(&below)?;
        account.may_add()?;
        folder.dir.symlink(target, below.as_str())?;
        account.added();
        Ok(())
    }

    /// What a link says.
    pub(super) fn read_link(&self, below: &Below) -> Result<String, FileError> {
        if below.means_directory() {
            return Err(FileError::os(Errno::INVAL));
        }
        let Place { folder, below, .. } = self.settle(below, false)?;
        let target = folder.dir.read_link(below.as_str())?;
        target
            .into_os_string()
            .into_string()
            .map_err(|_| FileError::os(Errno::ILSEQ))
    }
}

/// Never blocks, never becomes a terminal, never creates through a link.
fn options(wish: Wish, make: bool) -> OpenOptions {
    let mut options = OpenOptions::new();
    let writes = wish.write || wish.truncate || make;
    options
        .read(wish.read || !writes)
        .write(writes)
        // What was not there when it was looked at must not be there now: it could be somebody's
        // link.
        .create_new(make);
    // Between the look and the opening the name may have become a pipe, whose opening waits for a
    // writer.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed());
    let follow = wish.follow && !make;
    options.follow(if follow {
        FollowSymlinks::Yes
    } else {
        FollowSymlinks::No
    });
    options
}

/// Inode and length of a file that is about to lose its last name.
fn last_name(metadata: &Metadata) -> Option<(u64, u64)> {
    (metadata.is_file() && metadata.nlink() <= 1).then(|| (metadata.ino(), metadata.len()))
}

/// A regular file, opened and checked.
#[derive(Debug)]
pub(super) struct OpenFile {
    file: File,
    usage: Option<Arc<Usage>>,
    pub(super) read: bool,
    pub(super) write: bool,
    inode: u64,
}

impl OpenFile {
    pub(super) fn metadata(&self) -> Result<Metadata, FileError> {
        Ok(self.file.metadata()?)
    }

    /// At most `most` bytes from `offset`; none at the end.
    pub(super) fn read_at(&self, most: usize, offset: u64) -> Result<Vec<u8>, FileError> {
        if !self.read {
            return Err(FileError::os(Errno::BADF));
        }
        let mut buffer = vec![0; most];
        let got = self.file.read_at(&mut buffer, offset)?;
        buffer.truncate(got);
        Ok(buffer)
    }

    /// The whole file, if it has at most `most` bytes.
    pub(super) fn read_all(&self, most: u64) -> Result<Vec<u8>, FileError> {
        let mut bytes = Vec::new();
        (&self.file)
            // One more than allowed tells a file that is too long from one that just fits.
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            // What was read at least: files of some file systems have no length.
            let used = self.metadata()?.len().max(bytes.len() as u64);
            return Err(FileError::Limit {
                name: "files.read",
                used,
                allowed: most,
            });
        }
        Ok(bytes)
    }

    /// Bytes from `offset` on, at most `most`; fewer at the end only.
    pub(super) fn read_range(&self, most: u64, offset: u64) -> Result<Vec<u8>, FileError> {
        let length = self.metadata()?.len().saturating_sub(offset).min(most);
        // A file that grows meanwhile is read as long as it was, so that its length bounds the buffer.
        let mut left = usize::try_from(length).unwrap_or(usize::MAX);
        let (mut bytes, mut at) = (Vec::with_capacity(left), offset);
        while left > 0 {
            let more = self.read_at(left, at)?;
            if more.is_empty() {
                break;
            }
            left = left.saturating_sub(more.len());
            at = at.saturating_add(more.len() as u64);
            bytes.extend(more);
        }
        Ok(bytes)
    }

    fn account(&self) -> Result<std::sync::MutexGuard<'_, Account>, FileError> {
        match &self.usage {
            Some(usage) if self.write => Ok(usage.lock()),
            _ => Err(FileError::Refused("the file is open for reading")),
        }
    }

    /// Writes all of `bytes` at `offset`, or nothing when the quota does not hold them.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), FileError> {
        let mut account = self.account()?;
        self.write_counted(&mut account, bytes, offset)
    }

    /// Writes at the end, wherever that is by then.
    pub(super) fn append(&self, bytes: &[u8]) -> Result<(), FileError> {
        let mut account = self.account()?;
        let end = self.file.metadata()?.len();
        self.write_counted(&mut account, bytes, end)
    }

    fn write_counted(
        &self,
        account: &mut Account,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), FileError> {
        let from = self.file.metadata()?.len();
        let end = offset
            .checked_add(bytes.len() as u64)
            .ok_or(FileError::os(Errno::FBIG))?;
        // Whether it fits is asked with the whole length, holes included, because that is what
        // `set_size` gives a file too.
        account.may_resize(from, from.max(end))?;
        let written = self.file.write_all_at(bytes, offset);
        account.resized(from, self.file.metadata()?.len());
        Ok(written?)
    }

    /// Replaces the contents; what stood there is kept when the quota does not hold the new.
    pub(super) fn replace(&self, bytes: &[u8]) -> Result<(), FileError> {
        let mut account = self.account()?;
        let from = self.file.metadata()?.len();
        account.may_resize(from, bytes.len() as u64)?;
        // Over the old bytes and then cut, so that a disk that fills up on the way leaves no empty
        // file behind.
        let cut = self
            .file
            .write_all_at(bytes, 0)
            .and_then(|()| self.file.set_len(bytes.len() as u64));
        account.resized(from, self.file.metadata()?.len());
        Ok(cut?)
    }

    /// Cuts or extends.
    pub(super) fn set_size(&self, size: u64) -> Result<(), FileError> {
        let mut account = self.account()?;
        let from = self.file.metadata()?.len();
        account.may_resize(from, size)?;
        self.file.set_len(size)?;
        account.resized(from, self.file.metadata()?.len());
        Ok(())
    }

    /// Onto the disk.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        // What was only read has nothing of this guest's to bring to the disk.
        if self.write {
            self.file.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let Some(usage) = &self.usage {
            let mut account = usage.lock();
            // A file that tells nothing any more gives no bytes back: the account errs towards
            // full.
            let length = self.file.metadata().map_or(0, |metadata| metadata.len());
            account.closed(self.inode, length);
        }
    }
}
