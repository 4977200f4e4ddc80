//! Removing a run on purpose, so that the index of runs says so and `verify` stays clean.
//!
//! A run goes in this order, so that a kill at any moment leaves something that the next command can end:
//! its archive is written and put in its place, its folder is moved to `runs.gone`, the index is told, the
//! folder is deleted. A folder in `runs.gone` that the index does not call removed is moved back, and its archive
//! deleted: nothing was lost. One that it does is deleted. So a folder that is missing from `runs` without the index's word was taken by
//! somebody else, and `verify` says that.

mod restore;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::archive::{self, Archived};
use crate::bundle::Bundle;
use crate::disk::{self, Disk, DiskFile, RealDisk};
use crate::index::{IndexError, RunIndex};
use crate::layout;
use crate::reader::{ReadError, read_run_in};
use crate::record::StoredRecord;
use crate::records::{Record, RunRemove};
use crate::writer::OpenError;

/// How deep a run's folder is looked through to delete it: ours are flat, and a link is never followed.
const DEPTH_MAX: u32 = 16;

/// Why a run was not removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The index has no such run.
    #[error("the index of runs does not know the run {0}")]
    Unknown(String),
    /// It is at work, or was killed and nobody has ended it yet.
    #[error("the run {0} has not ended")]
    NotEnded(String),
    /// Another process has its lock.
    #[error("another process is at work on the run {0}")]
    InUse(String),
    /// It was removed before.
    #[error("the run {0} was removed before")]
    Removed(String),
    /// Its folder is missing, and nobody removed it by this command.
    #[error("the folder of the run {0} is missing, and it was not removed by flowhost")]
    Missing(String),
    /// It is to be brought back, and was not removed; or it is to be forgotten, and has its folder.
    #[error("the run {0} is there")]
    IsThere(String),
    /// It is to be brought back, and was put into no archive.
    #[error("the run {0} was removed without an archive")]
    NoArchive(String),
    /// It is to be brought back, and its archive is not what it has to be.
    #[error("the archive of the run {run} {what}")]
    Archive {
        /// The run.
        run: String,
        /// What is wrong with the archive.
        what: String,
    },
    /// The index of runs.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The index of runs cannot be read.
    #[error("the index of runs cannot be read")]
    Read(#[from] ReadError),
    /// A file.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// What the disk says.
        source: io::Error,
    },
}

fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> RemoveError {
    move |source| RemoveError::Io {
        what: what.into(),
        source,
    }
}

/// Where a run stands, as the index says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Stands {
    /// It has started, or goes on.
    #[default]
    Open,
    /// It has ended.
    Ended,
    /// It was removed, maybe into an archive with this SHA-256.
    Removed { archive: Option<String> },
}

/// Removes runs of one index, which was read once for all of them, and brings them back.
#[derive(Debug)]
pub struct Removal<'a> {
    index: &'a RunIndex,
    stands: BTreeMap<String, Stands>,
}

impl RunIndex {
    /// Reads the index, to remove runs after that. Sweep before: a killed run has no end until then.
    ///
    /// # Errors
    /// [`RemoveError`] when the index cannot be read.
    pub fn removal(&self) -> Result<Removal<'_>, RemoveError> {
        Ok(Removal {
            stands: self.stands()?,
            index: self,
        })
    }

    fn stands(&self) -> Result<BTreeMap<String, Stands>, ReadError> {
        let mut stands = BTreeMap::new();
        let disk = self.options().disk.as_ref();
        // A folder that cannot be looked at is for the reader to fail on.
        if !disk::is_dir(disk, &self.options().dir).unwrap_or(true) {
            return Ok(stands);
        }
        for record in read_run_in(disk, &self.options().dir)? {
            if let Some((run, stand)) = standing(&record?) {
                stands.insert(run, stand);
            }
        }
        Ok(stands)
    }

    /// Where runs go before they are deleted.
    fn gone(&self) -> PathBuf {
        self.tenant_dir().join(layout::GONE)
    }

    fn archives(&self) -> PathBuf {
        self.tenant_dir().join(layout::ARCHIVES)
    }

    /// Ends removals that a kill cut off. One list of an empty folder when there is nothing to do.
    pub(crate) fn end_removals(&self, problems: &mut Vec<String>) -> Result<(), IndexError> {
        let disk = self.options().disk.as_ref();
        let entries = match disk.list(&self.gone()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(OpenError::Io)?,
        };
        for entry in entries {
            let ended = match entry.is_dir {
                true => self.end_removal(&entry.name),
                false => self.drop_half_archive(&entry.name),
            };
            if let Err(error) = ended {
                problems.push(format!("removing {}: {error}", entry.name));
            }
        }
        Ok(())
    }

    /// Deletes a folder that was moved away if the index says so, and moves it back otherwise.
    fn end_removal(&self, run: &str) -> Result<(), RemoveError> {
        let disk = self.options().disk.as_ref();
        let moved = self.gone().join(run);
        let _lock = match disk.lock(&moved) {
            Ok(lock) => lock,
            // Whoever removes it is at work, or has just done it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed("its lock cannot be taken")(error)),
        };
        // Only now that nobody can enter it any more.
        self.settle(run, &moved)
    }

    /// Deletes a folder that was moved away and is held, or moves it back, as the index says.
    fn settle(&self, run: &str, moved: &Path) -> Result<(), RemoveError> {
        let disk = self.options().disk.as_ref();
        // A half-written record is cut by this.
        self.put_in_order()?;
        match self.stands()?.get(run) {
            Some(Stands::Removed { .. }) => delete(disk, moved, 0),
            _ => {
                // Either the removal had come no further than its archive, or it was brought back out of it.
                self.forget_archive(run)?;
                disk.rename(moved, &self.run_dir(run))
            }
        }
        .map_err(failed("its folder cannot be put in order"))
    }

    /// Deletes the archive of a run, if it is there.
    fn forget_archive(&self, run: &str) -> Result<(), RemoveError> {
        let disk = self.options().disk.as_ref();
        match disk.remove(&self.archives().join(layout::archive(run))) {
            Ok(()) => disk.sync_dir(&self.archives()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
        .map_err(failed("its archive cannot be deleted"))
    }

    /// A file there is an archive that was being written; the run's lock says whether it still is.
    fn drop_half_archive(&self, name: &str) -> Result<(), RemoveError> {
        let disk = self.options().disk.as_ref();
        let run = name.strip_suffix(layout::ARCHIVE_SUFFIX).unwrap_or(name);
        match disk.lock(&self.run_dir(run)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            // Also where the run's folder is not to be had: nobody archives it then.
            _lock => match disk.remove(&self.gone().join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(failed("half an archive cannot be deleted")(error))
                }
                _ => Ok(()),
            },
        }
    }
}

/// The archive of a removed run, to be read in place: below the state folder `state`, and only if it is the one whose
/// SHA-256 the index of runs has.
///
/// # Errors
/// [`RemoveError::Archive`] when it is not here or another; what the disk says.
pub fn open_archive(
    state: &Path,
    tenant: &str,
    run: &str,
    sha256: &str,
) -> Result<Bundle, RemoveError> {
    let path = archive::archive_path(state, tenant, run);
    restore::checked(&RealDisk, run, &path, sha256)
}

/// What a record of the index says of its run.
fn standing(record: &StoredRecord) -> Option<(String, Stands)> {
    // A record that this version does not know changes nothing about where a run stands.
    Some(match record.read().ok()?? {
        Record::RunStart(it) => (it.run_id?, Stands::Open),
        Record::RunResume(it) => (it.run_id?, Stands::Open),
        Record::RunEnd(it) => (it.run_id?, Stands::Ended),
        Record::RunRemove(it) => (
            it.run_id,
            Stands::Removed {
                archive: it.archive,
            },
        ),
        Record::RunRestore(it) => (it.run_id, Stands::Ended),
        _ => return None,
    })
}

impl Removal<'_> {
    /// Removes an ended run, put into an archive before if `archives`. Durable on return; blocks on the disk.
    /// A run that was archived before loses its archive, and needs `archives` to be false.
    ///
    /// # Errors
    /// [`RemoveError`]; the run is as it was then, or the next sweep makes it so.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    /// use flowhost_ledger::records::RunStart;
    /// use flowhost_ledger::{Fact, HostKey, Kind, LedgerOptions, Recorder, RunIndex, run_dir, verify_dir};
    ///
    /// let state = tempfile::tempdir()?;
    /// let key = Arc::new(HostKey::generate("host.example")?);
    /// let index = RunIndex::new(state.path(), "default", key.clone());
    /// let dir = run_dir(state.path(), "default", "run-1");
    /// let options = LedgerOptions::new(&dir, "default", "run-1", key.clone());
    /// let ledger = index.begin(&options, RunStart::default())?;
    /// ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
    /// index.ended("run-1", "ok", &ledger.close_blocking()?)?;
    /// drop(ledger);
    /// let archived = index.removal()?.remove("run-1", true)?;
    /// assert!(archived.is_some() && !dir.exists());
    /// assert!(verify_dir(state.path(), &[key.vkey()]).ok);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(&mut self, run: &str, archives: bool) -> Result<Option<Archived>, RemoveError> {
        let stands = self.stands.get(run);
        let archived = match stands.ok_or_else(|| RemoveError::Unknown(run.to_owned()))? {
            Stands::Open => return Err(RemoveError::NotEnded(run.to_owned())),
            Stands::Removed { archive: Some(_) } if !archives => {
                self.drop_archive(run)?;
                None
            }
            Stands::Removed { .. } => return Err(RemoveError::Removed(run.to_owned())),
            Stands::Ended => self.take_away(run, archives)?,
        };
        let stand = Stands::Removed {
            archive: archived.as_ref().map(|it| it.sha256.clone()),
        };
        self.stands.insert(run.to_owned(), stand);
        Ok(archived)
    }

    /// Takes a run out of the index whose folder is gone, whoever took it; the record says that it was. Durable on return;
    /// blocks on the disk.
    ///
    /// # Errors
    /// [`RemoveError`], of a run that has a folder, too.
    pub fn forget(&mut self, run: &str) -> Result<(), RemoveError> {
        match self.stands.get(run) {
            None => return Err(RemoveError::Unknown(run.to_owned())),
            Some(Stands::Removed { .. }) => return Err(RemoveError::Removed(run.to_owned())),
            Some(Stands::Open | Stands::Ended) => {}
        }
        let index = self.index;
        let disk = index.options().disk.as_ref();
        if RunIndex::is_somewhere(disk, index.tenant_dir(), run) {
            return Err(RemoveError::IsThere(run.to_owned()));
        }
        let said = RunRemove {
            run_id: run.to_owned(),
            gone: Some(true),
            ..RunRemove::default()
        };
        index.enter(run, said)?;
        let stand = Stands::Removed { archive: None };
        self.stands.insert(run.to_owned(), stand);
        Ok(())
    }

    /// The file goes first: one that is missing is told as a note, one that the index does not name would lie
    /// there for ever.
    fn drop_archive(&self, run: &str) -> Result<(), RemoveError> {
        self.index.forget_archive(run)?;
        self.enter(run, None)
    }

    fn take_away(&self, run: &str, archives: bool) -> Result<Option<Archived>, RemoveError> {
        let index = self.index;
        let disk = index.options().disk.as_ref();
        let (dir, moved) = (index.run_dir(run), index.gone().join(run));
        let _lock = match disk.lock(&dir) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(RemoveError::InUse(run.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RemoveError::Missing(run.to_owned()));
            }
            Err(error) => return Err(failed("its lock cannot be taken")(error)),
        };
        // It may have been resumed since the index was read, by a process that has let go of it again.
        let open = index.peek()?.map_or_else(|| index.put_in_order(), Ok)?;
        if open.iter().any(|open| open == run) {
            return Err(RemoveError::NotEnded(run.to_owned()));
        }
        disk.create_dir(&index.gone())
            .map_err(failed("`runs.gone` cannot be made"))?;
        let archived = match archives {
            true => Some(self.archive(disk, run)?),
            false => None,
        };
        disk.rename(&dir, &moved)
            .and_then(|()| disk.sync_dir(&index.gone()))
            .map_err(failed("its folder cannot be moved"))?;
        if let Err(error) = self.enter(run, archived.as_ref()) {
            // Its word may be there although it could not be signed, and an archive is there that nothing names. Where
            // the index cannot be asked now, the next sweep asks it.
            let _swept_later = index.settle(run, &moved);
            return Err(error);
        }
        // What stays of it is deleted by the next sweep, which the index has told that it may.
        delete(disk, &moved, 0)
            .map_err(failed("it is removed, and parts of its folder are left"))?;
        Ok(archived)
    }

    /// Written where the sweep looks for half of one, and moved to its place when it is whole.
    fn archive(&self, disk: &dyn Disk, run: &str) -> Result<Archived, RemoveError> {
        let name = layout::archive(run);
        let (half, whole) = (
            self.index.gone().join(&name),
            self.index.archives().join(&name),
        );
        let write = || {
            disk.create_dir(&self.index.archives())?;
            match disk.remove(&half) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = Appended(disk.open_append(&half, true)?);
            let archived = archive::write(disk, &self.index.run_dir(run), &mut file)?;
            file.0.sync()?;
            disk.rename(&half, &whole)?;
            disk.sync_dir(&self.index.archives())?;
            Ok(archived)
        };
        write().map_err(|error| {
            // A disk that is full has nothing to gain from half an archive.
            let _gone_or_swept = disk.remove(&half);
            failed("its archive cannot be written")(error)
        })
    }

    fn enter(&self, run: &str, archived: Option<&Archived>) -> Result<(), RemoveError> {
        let said = RunRemove {
            run_id: run.to_owned(),
            archive: archived.map(|it| it.sha256.clone()),
            archive_bytes: archived.map(|it| it.bytes),
            gone: None,
        };
        self.index.enter(run, said)?;
        Ok(())
    }
}

/// Deletes a folder with all that is in it; follows no link.
fn delete(disk: &dyn Disk, dir: &Path, depth: u32) -> io::Result<()> {
    if depth > DEPTH_MAX {
        let what = format!("`{}` is too deep", dir.display());
        return Err(io::Error::other(what));
    }
    for entry in disk.list(dir)? {
        let path = dir.join(&entry.name);
        match entry.is_dir {
            true => delete(disk, &path, depth + 1)?,
            false => disk.remove(&path)?,
        }
    }
    disk.remove_dir(dir)
}

/// A file of a disk as something to write to.
struct Appended(Box<dyn DiskFile>);

impl Write for Appended {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
