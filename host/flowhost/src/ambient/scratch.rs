//! Folders that are gone with whoever asked for them.

use tempfile::TempDir;

use super::{Ambient, FileError};

impl Ambient {
    /// An empty folder that only its owner may read, where this system keeps what is temporary. It is removed when
    /// it is dropped.
    ///
    /// # Errors
    /// When none can be made.
    pub fn scratch(&self) -> Result<TempDir, FileError> {
        // Of the environment that was taken, and not of the process: a test gives its own.
        let place = self.var("TMPDIR").unwrap_or("/tmp");
        let mut builder = tempfile::Builder::new();
        let made = builder
            .prefix("flowhost-")
            .tempdir_in(self.resolve(place.as_ref()));
        made.map_err(|source| FileError::new("create", place.as_ref(), source))
    }
}
