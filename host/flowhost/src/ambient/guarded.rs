//! Files that are believed, or that must stay secret: whether somebody else could have written them, or could
//! read them, is looked at before they are read. A right that everybody may write is everybody's.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Ambient, FileError, Synced, written_beside};

impl Ambient {
    /// Reads what gives rights: a UTF-8 file that not everybody may write, or put another one in its place.
    ///
    /// # Errors
    /// As [`Ambient::read_text`], and when everybody may.
    pub fn read_rights(&self, path: &Path, max: u64) -> Result<String, FileError> {
        let path = self.resolve(path);
        let mode = |path: &Path| std::fs::metadata(path).map(|about| about.permissions().mode());
        let own = mode(&path).map_err(|source| FileError::new("read", &path, source))?;
        let folder = path.parent().map_or(Ok(0), mode);
        let folder = folder.map_err(|source| FileError::new("read", &path, source))?;
        // Everybody's bit alone: a group is who the operator chose it to be, and on systems where each person has one
        // of his own every file is writable for it.
        let what = if own & 0o002 != 0 {
            Some("everybody may write it; run chmod o-w on it")
        } else if folder & 0o1002 == 0o002 {
            // With the sticky bit, as in `/tmp`, only its owner may rename or remove a file.
            Some("everybody may put another file in its place; run chmod o-w on its folder")
        } else {
            None
        };
        if let Some(what) = what {
            let source = std::io::Error::new(ErrorKind::PermissionDenied, what);
            return Err(FileError::new("use", &path, source));
        }
        self.read_text(&path, max)
    }

    /// Reads a key: a file that only its owner may read and write.
    ///
    /// # Errors
    /// As [`Ambient::read`], and when others may read or write it.
    pub fn read_secret(&self, path: &Path, max: u64) -> Result<Vec<u8>, FileError> {
        let path = self.resolve(path);
        let about =
            std::fs::metadata(&path).map_err(|source| FileError::new("read", &path, source))?;
        // Also what the group may read: a secret has one reader.
        if about.permissions().mode() & 0o077 != 0 {
            let what = "others may read or write it; run chmod 600 on it";
            let source = std::io::Error::new(ErrorKind::PermissionDenied, what);
            return Err(FileError::new("use", &path, source));
        }
        self.read(&path, max)
    }

    /// Writes a file that only its owner may read, in the place of the one that is there: whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_secret(&self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let path = self.resolve(path);
        // The maker of temporary files makes it for its owner alone, before a byte stands in it.
        let fill = |file: &mut dyn std::io::Write| file.write_all(bytes);
        let written = written_beside(&path, Synced::Yes, fill, &mut tempfile::Builder::new());
        written
            .and_then(|file| file.persist(&path).map_err(|error| error.error))
            .map(drop)
            .map_err(|source| FileError::new("write", &path, source))
    }
}
