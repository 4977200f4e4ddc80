//! A guest's path below a folder, taken apart once.
//!
//! The policy has already refused `..`, backslashes and NUL; what is left is names. A trailing
//! slash is kept as a fact, not as a character, because file systems and libraries disagree about
//! it (FS-007).

use rustix::io::Errno;

use super::error::FileError;

/// Deepest that a guest may go or build below a granted folder. A guest could else build a folder
/// so deep that people's tools can neither list nor remove it.
pub(super) const DEPTH_MAX: usize = 128;

/// Names below a folder; none is `.`, `..` or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Below {
    path: String,
    depth: usize,
    directory: bool,
}

impl Below {
    /// Reads a relative path that the policy has let through.
    pub(super) fn new(text: &str, depth_so_far: usize) -> Result<Self, FileError> {
        let names: Vec<&str> = text
            .split('/')
            .filter(|name| !matches!(*name, "" | "."))
            .collect();
        // The policy has refused both; a caller that forgot to ask must not get through here.
        if names.contains(&"..") || text.starts_with('/') {
            return Err(FileError::Refused("the path climbs"));
        }
        if depth_so_far + names.len() > DEPTH_MAX {
            return Err(FileError::os(Errno::NAMETOOLONG));
        }
        // What POSIX takes for a directory only: `file/.` must not open a file.
        let directory = text.ends_with('/') || text.ends_with("/.") || text == ".";
        Ok(Self {
            path: names.join("/"),
            depth: depth_so_far + names.len(),
            directory,
        })
    }

    /// One name of a folder that lies `depth - 1` names below the granted one.
    pub(super) fn one(name: &str, depth: usize, directory: bool) -> Result<Self, FileError> {
        if depth > DEPTH_MAX {
            return Err(FileError::os(Errno::NAMETOOLONG));
        }
        Ok(Self {
            path: name.to_owned(),
            depth,
            directory,
        })
    }

    /// The names, joined; empty for the folder itself.
    pub(super) fn as_str(&self) -> &str {
        &self.path
    }

    /// Whether it is the folder itself.
    pub(super) fn is_top(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether it can only mean a directory.
    pub(super) fn means_directory(&self) -> bool {
        self.directory || self.is_top()
    }

    /// Names below the granted folder.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// The folder that holds it; `None` when that is the folder it started from.
    pub(super) fn parent(&self) -> Option<&str> {
        self.path.rsplit_once('/').map(|(parent, _)| parent)
    }
}
