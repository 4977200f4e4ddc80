//! Bringing a removed run back out of its archive, so that it can be forked, replayed and taken from again.
//!
//! In this order, so that a kill at any moment leaves a run that is removed or one that is there: the folder is
//! written in `runs.gone`, where the sweep deletes what the index calls removed; the index is told; the archive is
//! deleted; the folder takes its place in `runs`, which else the sweep does. The archive does not stay beside the
//! run: what is erased from the one would live on in the other.

use std::io::{self, Seek as _};
use std::path::Path;

use super::{Appended, Removal, RemoveError, Stands, delete, failed};
use crate::archive;
use crate::bundle::Bundle;
use crate::disk::{self, Disk, Source};
use crate::layout;
use crate::records::RunRestore;

impl Removal<'_> {
    /// Brings a run back that was put into an archive. Durable on return; blocks on the disk.
    ///
    /// # Errors
    /// [`RemoveError`]; the run is as it was then, or the next sweep makes it so.
    pub fn restore(&mut self, run: &str) -> Result<(), RemoveError> {
        let sha256 = match self.stands.get(run) {
            None => return Err(RemoveError::Unknown(run.to_owned())),
            Some(Stands::Removed {
                archive: Some(sha256),
            }) => sha256.clone(),
            Some(Stands::Removed { archive: None }) => {
                return Err(RemoveError::NoArchive(run.to_owned()));
            }
            Some(_) => return Err(RemoveError::IsThere(run.to_owned())),
        };
        let index = self.index;
        let disk = index.options().disk.as_ref();
        let path = index.archives().join(layout::archive(run));
        let bundle = checked(disk, run, &path, &sha256)?;
        let (dir, fresh) = (index.run_dir(run), index.gone().join(run));
        // Held while it is written, so that no sweep takes it for what a removal left, and nobody else restores it.
        let lock = disk.create_dir(&fresh).and_then(|()| disk.lock(&fresh));
        let _lock = lock.map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => RemoveError::InUse(run.to_owned()),
            _ => failed("its folder cannot be made")(error),
        })?;
        let is_there = disk::is_dir(disk, &dir);
        let written = match is_there.map_err(failed("its folder cannot be looked for"))? {
            // Another process has brought it back since the index was read.
            true => Err(RemoveError::IsThere(run.to_owned())),
            false => unpack(&bundle, disk, &fresh)
                .and_then(|()| disk.sync_dir(&index.gone()))
                .map_err(failed("its folder cannot be written")),
        };
        written.inspect_err(|_| {
            // A disk that is full has nothing to gain from half a run.
            let _gone_or_swept = delete(disk, &fresh, 0);
        })?;
        let said = RunRestore {
            run_id: run.to_owned(),
            archive: Some(sha256),
        };
        index.enter(run, said)?;
        self.stands.insert(run.to_owned(), Stands::Ended);
        index.forget_archive(run)?;
        disk.rename(&fresh, &dir)
            .and_then(|()| disk.sync_dir(dir.parent().unwrap_or(&dir)))
            .map_err(failed("its folder cannot be moved to its place"))
    }
}

/// The archive at `path`, if it is the one that the index names.
pub(super) fn checked(
    disk: &dyn Source,
    run: &str,
    path: &Path,
    sha256: &str,
) -> Result<Bundle, RemoveError> {
    let unfit = |what: &str| RemoveError::Archive {
        run: run.to_owned(),
        what: what.to_owned(),
    };
    let unread = || failed("its archive cannot be read");
    let mut file = match disk.open_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(unfit("is not here")),
        other => other.map_err(unread())?,
    };
    let found = archive::measure(&mut file).map_err(unread())?;
    if found.sha256 != sha256 {
        return Err(unfit(
            "is not the one that the index of runs names: its SHA-256 differs",
        ));
    }
    // The same open file: another one may stand at the path by now.
    file.rewind().map_err(unread())?;
    Bundle::unpack(file).map_err(unread())
}

/// Writes the files of an archive into a folder that is held, in the place of what an earlier try left there.
fn unpack(bundle: &Bundle, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    for entry in disk.list(dir)? {
        disk.remove(&dir.join(&entry.name))?;
    }
    for entry in bundle.list(Path::new(""))? {
        debug_assert!(!entry.is_dir, "the folder of a run is flat");
        let mut from = bundle.open_read(Path::new(&entry.name))?;
        let mut to = Appended(disk.open_append(&dir.join(&entry.name), true)?);
        io::copy(&mut from, &mut to)?;
        to.0.sync()?;
    }
    disk.sync_dir(dir)
}
