//! Where a path below a grant really is, links followed, before anything is done there.
//!
//! Two promises need that: a folder that a grant does not show is not reached by any way, and nothing is
//! deeper than it may be, whatever links and renames do.

use std::io;

use cap_fs_ext::DirExt as _;
use cap_std::fs::Metadata;
use rustix::io::Errno;

use super::{
    error::FileError,
    forbidden::DirId,
    path::{Below, DEPTH_MAX},
    root::Folder,
};

/// Most links that are followed for one path, as on Linux.
const LINKS_MAX: usize = 40;

/// Where a path really leads: a name in an opened directory.
pub(super) struct Place {
    pub(super) folder: Folder,
    pub(super) below: Below,
    /// Whether a link of that name is still to be followed.
    pub(super) follow: bool,
}

impl Folder {
    /// Follows the links of `below`, so that its depth is the real one and a folder that is not shown is not
    /// reached, whatever leads there. The last name is followed only when `follow` says so, and if something
    /// else has taken its place meanwhile, no link is followed any more.
    ///
    /// A read grant that shows everything needs neither, and leaves this work to the kernel.
    pub(super) fn settle(&self, below: &Below, follow: bool) -> Result<Place, FileError> {
        let is_simple = self.root.usage.is_none() && self.root.hidden.is_none();
        if below.is_top() || is_simple {
            return Ok(Place {
                folder: self.clone(),
                below: below.clone(),
                follow,
            });
        }
        let names = self.real_names(below, follow)?;
        let Some((name, around)) = names.split_last() else {
            // A link to the folder it started from.
            return Ok(Place {
                folder: self.clone(),
                below: Below::new("", self.depth)?,
                follow: false,
            });
        };
        let folder = match around.is_empty() {
            true => self.clone(),
            false => {
                let dir = self.dir.open_dir(around.join("/"))?;
                self.checked(dir, self.depth + around.len())?
            }
        };
        folder.refuse_hidden(name)?;
        let depth = folder.depth + 1;
        Ok(Place {
            below: Below::one(name, depth, below.means_directory())?,
            folder,
            follow: false,
        })
    }

    /// The names of `below` with links followed. What is not there yet lies in the folder that will hold it.
    ///
    /// Nothing is opened on the way: a library's `canonicalize` opens the last name, and waits for ever when
    /// that is a pipe. Who swaps a name meanwhile gets no further than before, because what is opened
    /// afterwards is held below the same handle, and looked at.
    fn real_names(&self, below: &Below, follow: bool) -> Result<Vec<String>, FileError> {
        // The last name first: what is taken from the end of the list is what comes next.
        let parts = |path: &str| -> Vec<String> { path.rsplit('/').map(str::to_owned).collect() };
        let mut waiting = parts(below.as_str());
        let mut names: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = waiting.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    // Of links alone: a guest's own `..` was refused. A link may lead up, but not
                    // out of the granted folder.
                    names.pop().ok_or_else(escape)?;
                    continue;
                }
                _ => names.push(name),
            }
            let is_last = waiting.is_empty();
            let path = names.join("/");
            let metadata = match self.dir.symlink_metadata(&path) {
                // Whoever makes a file names one that is not there; a folder on the way has to be.
                Err(error) if error.kind() == io::ErrorKind::NotFound && is_last => break,
                found => found?,
            };
            if metadata.is_symlink() && (follow || !is_last) {
                links += 1;
                if links > LINKS_MAX {
                    return Err(FileError::os(Errno::LOOP));
                }
                let target = self
                    .dir
                    .read_link(&path)?
                    .into_os_string()
                    .into_string()
                    .map_err(|_| FileError::os(Errno::ILSEQ))?;
                // Absolute in whose tree? This machine's is not the guest's, and a guest's root is
                // no folder of ours.
                if target.starts_with('/') {
                    return Err(escape());
                }
                names.pop();
                waiting.extend(parts(&target));
            } else if !metadata.is_dir() && !is_last {
                return Err(FileError::os(Errno::NOTDIR));
            }
        }
        Ok(names)
    }

    /// `NOENT` for a folder that is not shown, and for everything in it.
    fn refuse_hidden(&self, name: &str) -> Result<(), FileError> {
        let Some(hidden) = &self.root.hidden else {
            return Ok(());
        };
        let is_it = match self.dir.symlink_metadata(name) {
            Ok(metadata) => hidden.is(DirId::from(&metadata)),
            // What cannot be looked at cannot be opened; `enter` and `holds` ask the handles again.
            Err(_) => false,
        };
        if is_it || hidden.holds(&self.dir)? {
            return Err(FileError::os(Errno::NOENT));
        }
        Ok(())
    }

    /// Where `below` is, as a guest path, when a link leads there.
    pub(super) fn target(&self, below: &Below) -> Option<String> {
        let names = self.real_names(below, true).ok()?.join("/");
        let guest = &self.root.guest;
        let path = match names.is_empty() {
            true => guest.clone(),
            false => format!("{guest}/{names}"),
        };
        (names != below.as_str()).then_some(path)
    }
}

impl Place {
    /// Whether this directory may stand `depth` names below the granted folder. What lies in it moves along,
    /// and a run that starts later refuses a folder that is deeper than it may be: one rename would close
    /// the folder for good.
    pub(super) fn may_move(&self, moved: &Metadata, depth: usize) -> Result<(), FileError> {
        let hidden = self.folder.root.hidden.as_ref();
        if hidden.is_some_and(|hidden| hidden.is_around(DirId::from(moved))) {
            return Err(FileError::os(Errno::BUSY));
        }
        // What does not go deeper was measured when it was made.
        if depth <= self.below.depth() {
            return Ok(());
        }
        let mut waiting = vec![(
            self.folder.dir.open_dir_nofollow(self.below.as_str())?,
            depth,
        )];
        while let Some((dir, depth)) = waiting.pop() {
            for entry in dir.entries()? {
                let entry = entry?;
                if depth + 1 > DEPTH_MAX {
                    return Err(FileError::os(Errno::NAMETOOLONG));
                }
                if entry.file_type()?.is_dir() {
                    waiting.push((entry.open_dir()?, depth + 1));
                }
            }
        }
        Ok(())
    }
}

/// What a path that leaves the folder is refused with, in the words of cap-std: no error number.
fn escape() -> FileError {
    FileError::Io(io::ErrorKind::PermissionDenied.into())
}
