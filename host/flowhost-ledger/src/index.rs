//! The ledger of a tenant's runs (`runs.index`): one record when a run starts, one when it ends or is
//! interrupted, one when it goes on after that, one when it is removed on purpose, and one when it is brought back.
//!
//! It makes a missing run visible, and a run that was cut back after it ended, because the record
//! of the end holds size and root. Several processes may run plans of one tenant, so the index is
//! opened for one record at a time and the others wait.
//!
//! A run begins in this order, so that a kill at any moment leaves something that the next command
//! can end: its folder is made in `runs.new`, the index is told, the folder is moved to `runs`. A
//! folder in `runs.new` that the index does not know never held a record; one that it knows is moved. So
//! a run that the index knows always has its folder, until the index says that it was removed; a folder that is
//! missing without that was taken by somebody else.

use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::disk::{self, RealDisk, Source};
use crate::fact::Fact;
use crate::group::Group;
use crate::head::IndexHead;
use crate::keys::HostKey;
use crate::layout;
use crate::lines::Lines;
use crate::options::{Durability, LedgerOptions, Writing};
use crate::reader::{ReadError, Records, read_run};
use crate::record::{LINE_BYTES_MAX, Owner, StoredRecord};
use crate::recorder::{LedgerError, Recorder as _};
use crate::records::{Kind, RecordKind, RunEnd, RunResume, RunStart};
use crate::scan::{self, ScanError};
use crate::writer::{self, Ledger, Lock, OpenError, Sealed};

/// How long to wait for other processes that write to the index. One record takes milliseconds, on a
/// disk that is busy a second.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// How much of the index is read for its newest records: one read of a disk, and some hundred runs.
const NEWEST_BYTES: u64 = 256 << 10;

/// Why a run could not be entered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// The index cannot be opened.
    #[error("the index of runs cannot be opened")]
    Open(#[from] OpenError),
    /// The index cannot be read.
    #[error("the index of runs cannot be read")]
    Read(#[from] ReadError),
    /// The index took no record.
    #[error("the index of runs took no record")]
    Ledger(#[from] LedgerError),
    /// Entries that go in together fail together, and each is told why.
    #[error(transparent)]
    Together(Arc<IndexError>),
    /// An entry was neither written nor refused: a bug of the queue for the index.
    #[error("an entry of the index of runs was lost")]
    Lost,
}

/// The index of one tenant's runs. Clones are handles to the same: within a process they queue for the
/// files, and only other processes are waited for by asking again and again.
#[derive(Debug, Clone)]
pub struct RunIndex {
    /// Entries that wait, and whose turn it is to write.
    group: Arc<Group>,
    /// Who makes a run's folder: beside the entries, which need not wait for it.
    staging: Arc<Mutex<()>>,
    /// The tenant's folder.
    tenant_dir: PathBuf,
    options: LedgerOptions,
}

impl RunIndex {
    /// The index of `tenant` below the state folder `state`; opens nothing yet.
    #[must_use]
    pub fn new(state: &Path, tenant: &str, key: Arc<HostKey>) -> Self {
        let dir = Self::dir(state, tenant);
        let mut options = LedgerOptions::new(&dir, tenant, layout::INDEX, key);
        options.lock_wait = LOCK_WAIT;
        options.index = true;
        // It is opened for one record and waited for: a thread of its own would do nothing beside that.
        options.writing = Writing::Caller;
        let tenant_dir = state.join(tenant);
        Self {
            group: Arc::default(),
            staging: Arc::default(),
            tenant_dir,
            options,
        }
    }

    /// The index's folder.
    #[must_use]
    pub fn dir(state: &Path, tenant: &str) -> PathBuf {
        state.join(tenant).join(layout::INDEX)
    }

    /// The records of `tenant`'s index below the state folder `state`; none where no run was ever
    /// entered.
    ///
    /// # Errors
    /// As [`read_run`].
    pub fn read(state: &Path, tenant: &str) -> Result<Option<Records<'static>>, ReadError> {
        let dir = Self::dir(state, tenant);
        match RealDisk.list(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => read_run(&dir).map(Some),
        }
    }

    /// The newest records of `tenant`'s index, as many as its last 256 KiB hold, oldest first: some hundred
    /// runs, at the same cost whether there were ten of them or a million. Nobody has checked their
    /// chain, so they are good for what decides nothing.
    ///
    /// # Errors
    /// What the disk says.
    pub fn newest(state: &Path, tenant: &str) -> io::Result<Vec<StoredRecord>> {
        let dir = Self::dir(state, tenant);
        let segments = match scan::segment_files(&RealDisk, &dir) {
            Ok(segments) => segments,
            Err(ScanError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(ScanError::Io(error)) => return Err(error),
            Err(ScanError::Corrupt { what, .. }) => return Err(io::Error::other(what)),
        };
        let Some(last) = segments.last() else {
            return Ok(Vec::new());
        };
        let mut file = RealDisk.open_read(&dir.join(last))?;
        let end = file.seek(io::SeekFrom::End(0))?;
        let start = end.saturating_sub(NEWEST_BYTES);
        file.seek(io::SeekFrom::Start(start))?;
        let mut lines = Lines::new(file, LINE_BYTES_MAX);
        let mut records = Vec::new();
        while let Some(line) = lines.next()? {
            // Where it was cut into, the first is half a line; a last one may be being written.
            if let Ok(record) = StoredRecord::parse(line.bytes) {
                records.push(record);
            }
        }
        Ok(records)
    }

    /// Whether there is a folder of `run`: in its place, or on its way there or out of it. One that the index knows and
    /// that has none was taken by somebody else, unless the index says that it was removed.
    #[must_use]
    pub fn has_folder(state: &Path, tenant: &str, run: &str) -> bool {
        Self::is_somewhere(&RealDisk, &state.join(tenant), run)
    }

    pub(crate) fn is_somewhere(disk: &dyn Source, tenant_dir: &Path, run: &str) -> bool {
        // In the order in which a folder moves, and its place twice: it comes there from either side.
        let ways = [layout::STAGING, layout::RUNS, layout::GONE, layout::RUNS];
        // What cannot be looked at is not called gone.
        let is_there =
            |way: &str| disk::is_dir(disk, &tenant_dir.join(way).join(run)).unwrap_or(true);
        ways.into_iter().any(is_there)
    }

    /// What the index is opened with, for callers that need another disk, clock or witness.
    pub const fn options_mut(&mut self) -> &mut LedgerOptions {
        &mut self.options
    }

    pub(crate) const fn options(&self) -> &LedgerOptions {
        &self.options
    }

    pub(crate) fn tenant_dir(&self) -> &Path {
        &self.tenant_dir
    }

    /// Where runs wait until the index knows them.
    pub(crate) fn staging(&self) -> PathBuf {
        self.tenant_dir.join(layout::STAGING)
    }

    pub(crate) fn run_dir(&self, run: &str) -> PathBuf {
        self.tenant_dir.join(layout::RUNS).join(run)
    }

    /// Begins a run: enters it with what `start` says (plan hash and the like), and makes and opens its ledger
    /// as `run` says; [`LedgerOptions::dir`] must be [`run_dir`](crate::run_dir) of it. Durable on
    /// return. Whatever moment a kill takes, [`RunIndex::sweep`] ends what is left.
    ///
    /// # Errors
    /// [`IndexError`]; nothing is left of the run then, or the index knows that it started.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use flowhost_ledger::records::RunStart;
    /// use flowhost_ledger::{Fact, HostKey, Kind, LedgerOptions, Recorder, RunIndex, run_dir};
    ///
    /// let state = tempfile::tempdir()?;
    /// let key = Arc::new(HostKey::generate("host.example")?);
    /// let index = RunIndex::new(state.path(), "default", key.clone());
    /// let dir = run_dir(state.path(), "default", "run-1");
    /// let options = LedgerOptions::new(&dir, "default", "run-1", key);
    /// let ledger = index.begin(&options, RunStart::default())?;
    /// ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
    /// index.ended("run-1", "ok", &ledger.close_blocking()?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn begin(&self, run: &LedgerOptions, start: RunStart) -> Result<Ledger, IndexError> {
        let lock = {
            let _one = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
            self.stage(run)?
        };
        self.started(&run.run, start)?;
        let disk = run.disk.as_ref();
        let runs = self.tenant_dir.join(layout::RUNS);
        disk.create_dir(&runs).map_err(OpenError::Io)?;
        // Not synced: after a loss of power it stands in `runs.new` again, from where the next
        // sweep moves it.
        disk.rename(&self.staging().join(&run.run), &run.dir)
            .map_err(OpenError::Io)?;
        Ok(Ledger::open_held(run, lock)?)
    }

    /// Makes the run's folder where nobody looks for runs, with a `ledger.json`, and holds it.
    fn stage(&self, run: &LedgerOptions) -> Result<Lock, IndexError> {
        if !layout::segment_is_valid(&run.run) {
            return Err(OpenError::Id(run.run.clone()).into());
        }
        let disk = run.disk.as_ref();
        let mut staging = run.clone();
        staging.dir = self.staging();
        staging.lock_wait = LOCK_WAIT;
        let is_new = !disk::is_dir(disk, &staging.dir).map_err(OpenError::Io)?;
        // Whoever sweeps takes this lock, too, and so never sees a folder that is not held yet.
        let guard = writer::take_folder(&staging)?;
        if is_new {
            disk.sync_dir(&self.tenant_dir).map_err(OpenError::Io)?;
        }
        let mut staged = run.clone();
        staged.dir = staging.dir.join(&run.run);
        let lock = writer::take_folder(&staged)?;
        drop(guard);
        let owner = Owner {
            tenant: run.tenant.clone(),
            run: run.run.clone(),
        };
        let origin = layout::origin(run.key.host(), &owner);
        writer::write_meta(&staged, &origin).map_err(OpenError::Io)?;
        disk.sync_dir(&staging.dir).map_err(OpenError::Io)?;
        Ok(lock)
    }

    /// The runs that have not ended, from the `head` beside the index; `None` if the index has to be
    /// read for it.
    pub(crate) fn peek(&self) -> Result<Option<Vec<String>>, IndexError> {
        Ok(self.head()?.map(|head| head.runs.open))
    }

    /// Whether a run of the index may begin with the past of another one: false only where it is known that none does. It
    /// takes three small files, whatever the number of runs; to learn which runs those are, the index has to be read.
    #[must_use]
    pub fn may_have_forks(&self) -> bool {
        // What the file does not tell, the index itself does.
        !matches!(self.head(), Ok(Some(head)) if head.runs.forks == 0)
    }

    fn head(&self) -> Result<Option<IndexHead>, IndexError> {
        let owner = Owner {
            tenant: self.options.tenant.clone(),
            run: layout::INDEX.to_owned(),
        };
        let origin = layout::origin(self.options.key.host(), &owner);
        let (disk, dir) = (self.options.disk.as_ref(), &self.options.dir);
        let head = IndexHead::read(disk, dir, &origin, &self.options.key);
        Ok(head.map_err(OpenError::Io)?)
    }

    /// Opens the index, which puts away what a kill left of it, and signs it; the runs that have not
    /// ended.
    pub(crate) fn put_in_order(&self) -> Result<Vec<String>, IndexError> {
        let _turn = self.group.turn();
        let ledger = Ledger::open(&self.options)?;
        let open = ledger.open_runs().to_vec();
        ledger.close_blocking()?;
        Ok(open)
    }

    /// Enters that `run` starts. For callers that make the run's ledger themselves: a kill
    /// between the two leaves a run that has no folder, which [`RunIndex::begin`] does not. Durable on
    /// return.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn started(&self, run: &str, start: RunStart) -> Result<Sealed, IndexError> {
        let run_id = Some(run.to_owned());
        self.enter(run, RunStart { run_id, ..start })
    }

    /// Enters that `run`, which had ended or was killed, goes on: until its next end it is open, and what
    /// its last end said stays the least that its ledger must hold. Durable on return.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn resumed(&self, run: &str) -> Result<Sealed, IndexError> {
        let resume = RunResume {
            run_id: Some(run.to_owned()),
            ..RunResume::default()
        };
        self.enter(run, resume)
    }

    /// Enters that `run` ended, with what its last checkpoint says. Durable on return.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn ended(&self, run: &str, status: &str, sealed: &Sealed) -> Result<Sealed, IndexError> {
        let end = RunEnd {
            status: status.to_owned(),
            run_id: Some(run.to_owned()),
            root: Some(sealed.root.clone()),
            size: Some(sealed.size),
            ..RunEnd::default()
        };
        self.enter(run, end)
    }

    /// Hands the index over to a new key: see [`Ledger::rotate_key`].
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn rotate_key(&self, new: Arc<HostKey>) -> Result<Sealed, IndexError> {
        let _turn = self.group.turn();
        let ledger = Ledger::open(&self.options)?;
        ledger.rotate_key(new)?;
        Ok(ledger.close_blocking()?)
    }

    pub(crate) fn enter(&self, run: &str, record: impl RecordKind) -> Result<Sealed, IndexError> {
        if !layout::segment_is_valid(run) {
            return Err(OpenError::Id(run.to_owned()).into());
        }
        let fact = record.by(format!("{}/host", self.options.tenant));
        self.group.enter(fact, |together| self.write(together))
    }

    /// Writes entries under one signature. What the ledger refuses of one of them (a field too long) is
    /// that one's failure; what fails of the file is everybody's.
    fn write(&self, together: &[&Fact]) -> Vec<Result<Sealed, Arc<IndexError>>> {
        let all = |error: IndexError| {
            let error = Arc::new(error);
            together.iter().map(|_| Err(error.clone())).collect()
        };
        let mut options = self.options.clone();
        // That a run ended, was removed or brought back is the last word on it, and its note is worth a sync of its
        // own: what it stood for is deleted after that. That one began is on the disk as well; its note can wait for the next
        // one, or for whoever opens the index then.
        let last = [Kind::RunEnd, Kind::RunRemove, Kind::RunRestore];
        let ends = |fact: &&Fact| last.contains(&fact.kind);
        let ends = together.iter().any(ends);
        options.durability = match ends {
            true => options.durability,
            false => Durability::Relaxed,
        };
        let ledger = match Ledger::open(&options) {
            Ok(ledger) => ledger,
            Err(error) => return all(error.into()),
        };
        let appended: Vec<_> = together
            .iter()
            .map(|fact| ledger.append((*fact).clone()))
            .collect();
        match ledger.close_blocking() {
            Ok(sealed) => appended
                .into_iter()
                .map(|it| {
                    it.map(|_| sealed.clone())
                        .map_err(|error| Arc::new(error.into()))
                })
                .collect(),
            Err(error) => all(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn index(state: &Path) -> RunIndex {
        let key = HostKey::generate("host.example").unwrap();
        RunIndex::new(state, "default", Arc::new(key))
    }

    fn notes(state: &Path) -> usize {
        let notes = RunIndex::dir(state, "default").join(layout::CHECKPOINTS);
        let notes = crate::disk::read_small(&RealDisk, &notes, 1 << 20).unwrap();
        let notes = String::from_utf8(notes.unwrap()).unwrap();
        notes.matches("default/runs.index").count()
    }

    #[test]
    fn entries_that_wait_go_in_together_and_under_one_signature() {
        const RUNS: usize = 32;
        let state = tempfile::tempdir().unwrap();
        let index = index(state.path());
        index.started("first", RunStart::default()).unwrap();
        let before = notes(state.path());
        let entered: Vec<Sealed> = thread::scope(|threads| {
            let turn = index.group.turn();
            let started: Vec<_> = (0..RUNS)
                .map(|run| {
                    let index = &index;
                    let start = RunStart::default();
                    threads.spawn(move || index.started(&format!("run-{run}"), start).unwrap())
                })
                .collect();
            while index.group.waits() < RUNS {
                thread::sleep(Duration::from_millis(1));
            }
            drop(turn);
            started.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert!(entered.iter().all(|sealed| sealed.size == RUNS as u64 + 1));
        // A note names its origin as often as the first did.
        assert_eq!(notes(state.path()), 2 * before);
        let records = RunIndex::read(state.path(), "default").unwrap().unwrap();
        assert_eq!(records.map(Result::unwrap).count(), RUNS + 1);
    }

    #[test]
    fn the_newest_records_are_the_last_and_whole_ones_of_a_long_index() {
        let state = tempfile::tempdir().unwrap();
        let index = index(state.path());
        assert_eq!(RunIndex::newest(state.path(), "default").unwrap().len(), 0);
        for run in 0..12 {
            let long = RunStart {
                plan: Some("l".repeat(30_000)),
                ..RunStart::default()
            };
            index.started(&format!("run-{run}"), long).unwrap();
        }
        let newest = RunIndex::newest(state.path(), "default").unwrap();
        let runs: Vec<_> = newest.iter().map(|it| it.text("run_id").unwrap()).collect();
        assert_eq!(runs.first().copied(), Some("run-4"), "{runs:?}");
        assert_eq!(runs.last().copied(), Some("run-11"));
    }

    #[test]
    fn an_entry_that_is_refused_takes_no_other_with_it() {
        let state = tempfile::tempdir().unwrap();
        let index = index(state.path());
        let long = RunStart {
            plan: Some("x".repeat(1 << 20)),
            ..RunStart::default()
        };
        let (bad, good) = thread::scope(|threads| {
            let turn = index.group.turn();
            let bad = threads.spawn(|| index.started("bad", long));
            let good = threads.spawn(|| index.started("good", RunStart::default()));
            while index.group.waits() < 2 {
                thread::sleep(Duration::from_millis(1));
            }
            drop(turn);
            (bad.join().unwrap(), good.join().unwrap())
        });
        assert!(matches!(bad, Err(IndexError::Together(_))), "{bad:?}");
        good.unwrap();
        let records = RunIndex::read(state.path(), "default").unwrap().unwrap();
        assert_eq!(records.map(Result::unwrap).count(), 1);
    }
}
