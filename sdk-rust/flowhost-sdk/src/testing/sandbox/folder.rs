//! The folder of one sandbox, in the machine's folder for temporary files, gone with its owner. Without a
//! crate for it, because every project of an author's would compile that one too.

#![expect(
    clippy::disallowed_methods,
    reason = "the folder is the test's own, and what is written into it the test says"
)]

use std::io::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Names that are tried; others are taken only by processes that were killed and had the same number.
const TRIES: usize = 1_000;

/// The number of the next folder, or file that is written aside.
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn next() -> usize {
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self> {
        let root = std::env::temp_dir();
        for _ in 0..TRIES {
            let name = format!("flowhost-sandbox-{}-{}", std::process::id(), next());
            let path = root.join(name);
            // Never a folder that is there: somebody else may have made it.
            match std::fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Copies a file of the machine's into the folder.
    pub(super) fn bring(&self, from: &Path, name: &str) -> Result<()> {
        std::fs::copy(from, self.0.join(name)).map(drop)
    }

    pub(super) fn write(&self, path: &str, contents: &[u8]) -> Result<()> {
        std::fs::write(self.with_parents(path)?, contents)
    }

    /// Writes a file that others may be reading: they see the old one or the new one.
    pub(super) fn write_whole(&self, path: &str, contents: &[u8]) -> Result<()> {
        let path = self.with_parents(path)?;
        let aside = self.0.join(format!("aside-{}", next()));
        std::fs::write(&aside, contents)?;
        std::fs::rename(aside, path)
    }

    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>> {
        std::fs::read(self.inside(path)?)
    }

    fn with_parents(&self, path: &str) -> Result<PathBuf> {
        let path = self.inside(path)?;
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(path)
    }

    fn inside(&self, path: &str) -> Result<PathBuf> {
        let path = Path::new(path);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        match path.components().all(plain) {
            true => Ok(self.0.join(path)),
            false => Err(Error::new(
                ErrorKind::InvalidInput,
                "the path leaves the sandbox's folder",
            )),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays behind harms nothing, and a test that has passed should not fail here.
        let _kept = std::fs::remove_dir_all(&self.0);
    }
}
