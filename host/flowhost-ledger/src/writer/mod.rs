//! The writer: a cheap handle that takes facts in order, and one thread that makes them records.
//!
//! `append` only checks, numbers and queues, so that a guest's call pays little; hashing, writing
//! and syncing happen on the thread, where many callers share one sync. The order of records is
//! the order of `append` calls. Nothing is ever dropped: when the queue is full, the caller waits.
//! After the first failed write or sync the ledger is poisoned: nothing more is acknowledged and
//! nothing is tried again, because after a failed fsync nobody knows what the disk holds.

mod files;
mod recover;
mod thread;

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::checkpoint::VKey;
use crate::fact::Fact;
use crate::keys::HostKey;
use crate::layout;
use crate::options::{Clock, Durability, LINGER, LedgerOptions, Writing};
use crate::record::{Owner, refusal};
use crate::recorder::{FactListener, LedgerError, Recorder};
use crate::records::{Erasure, KeyRotate, RecordKind as _};
use thread::{Place, Worker};

pub use recover::OpenError;
pub(crate) use recover::{Lock, take_folder, write_meta};

/// Records that are worth getting up for, although nobody waits for one: half a millisecond of hashing, done beside
/// whoever makes more of them and not when they are waited for. With fewer the waking would cost more than it spares.
const COMPANY: usize = 1_024;

fn owner_of(options: &LedgerOptions) -> Owner {
    Owner {
        tenant: options.tenant.clone(),
        run: options.run.clone(),
    }
}

/// A note that was just signed: the ledger's state that others may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// How many records it covers.
    pub size: u64,
    /// The root over them, in hexadecimal.
    pub root: String,
    /// The signed note, ready to be sent away.
    pub note: String,
}

/// How far the records go that anybody can read, and what a note over them would sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// How many records there are.
    pub size: u64,
    /// The root over them, in hexadecimal.
    pub root: String,
}

impl Sealed {
    /// Whether this is a note over exactly these records.
    #[must_use]
    pub fn covers(&self, reached: &Reached) -> bool {
        (self.size, &self.root) == (reached.size, &reached.root)
    }
}

type Reply<T> = Box<dyn FnOnce(Result<T, LedgerError>) + Send>;

/// What the thread is asked to do between two records.
enum Command {
    Flush(Reply<Reached>),
    Written(Reply<u64>),
    Sync(Reply<()>),
    Checkpoint(Reply<Sealed>),
    Erase(BTreeSet<u64>, Reply<u64>),
    RotateKey(Arc<HostKey>, Reply<Sealed>),
    Close(Reply<Sealed>),
}

enum Item {
    Fact {
        fact: Fact,
        ts_us: u64,
        /// When it was appended, where somebody hears of it.
        at: Option<Instant>,
    },
    Command(Command),
}

/// What waits for the thread. Guarded by one mutex that is held for a few instructions only.
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    next_seq: u64,
    /// Since when the oldest item waits.
    since: Option<Instant>,
    /// Records below this number are waited for, so the thread must not linger.
    wanted: u64,
    /// Records below this number are where the ledger's mode has them: in the system's hands, or on the disk.
    settled: u64,
    /// Since when the oldest record waits that was taken and is not settled.
    unsettled_since: Option<Instant>,
    /// Since when there are records that no note covers.
    unsigned_since: Option<Instant>,
    urgent: bool,
    /// Somebody waits for room.
    crowded: bool,
    closed: bool,
    sleeping: bool,
    /// When a thread that sleeps wakes by itself.
    wakes_at: Option<Instant>,
}

/// How far the thread is.
#[derive(Debug, Clone, Default)]
struct Progress {
    durable: u64,
    failed: Option<LedgerError>,
    sealed: Option<Sealed>,
}

struct Shared {
    queue: Mutex<Queue>,
    work: Condvar,
    space: Condvar,
    progress: watch::Sender<Progress>,
    owner: Owner,
    /// The runs that had not ended when the index of runs was opened.
    open_runs: Vec<String>,
    /// How the run had ended, or stopped for the last time, when its ledger was opened.
    status: Option<String>,
    origin: String,
    durability: Durability,
    clock: Arc<dyn Clock>,
    records_max: usize,
    bytes_max: usize,
    /// With so many records in the queue the thread begins with them, also where nobody waits for one.
    company: usize,
    writing: Writing,
    /// When the oldest record without a note is this old, a checkpoint is due.
    unsigned_max: Duration,
    listener: Option<Arc<dyn FactListener>>,
}

/// Records, and bytes of their payloads, that whoever waits for them writes itself: as many as a few small calls leave.
/// More is the thread's, which others do not wait behind.
const HERE_RECORDS_MAX: usize = 64;
const HERE_BYTES_MAX: usize = 64 << 10;

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while the lock is held; if it did, the queue would still be whole.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self) -> Option<LedgerError> {
        self.progress.borrow().failed.clone()
    }

    fn wake(&self, queue: &mut Queue) {
        if queue.sleeping {
            queue.sleeping = false;
            self.work.notify_one();
        }
    }

    /// Waits until there is room, then numbers and queues the fact.
    fn push<'a>(
        &'a self,
        mut queue: MutexGuard<'a, Queue>,
        fact: Fact,
    ) -> Result<(u64, MutexGuard<'a, Queue>), LedgerError> {
        let bytes =
            fact.payload.as_ref().map_or(0, Vec::len) + fact.sealed.as_ref().map_or(0, Vec::len);
        loop {
            if queue.closed {
                return Err(self.failure().unwrap_or(LedgerError::Closed));
            }
            // A fact that is larger than the queue goes in when nothing else waits: it would else
            // wait for ever.
            let empty = queue.items.is_empty();
            let fits =
                queue.items.len() < self.records_max && queue.bytes + bytes <= self.bytes_max;
            // Where callers write, nobody else makes room: whoever appended writes next.
            if empty || fits || self.writing == Writing::Caller {
                break;
            }
            queue.crowded = true;
            self.wake(&mut queue);
            queue = self
                .space
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let seq = queue.next_seq;
        queue.next_seq += 1;
        queue.bytes += bytes;
        // Under the lock, so that times are taken in the order of the numbers.
        let ts_us = self.clock.now_us();
        let at = self.listener.is_some().then(Instant::now);
        queue.items.push_back(Item::Fact { fact, ts_us, at });
        // Only the first wakes the thread, which then lingers for the others, and whoever makes them many enough to begin
        // with; and not even the first where it wakes by itself before the record has waited for as long as one may.
        if queue.since.is_none() {
            let now = Instant::now();
            queue.since = Some(now);
            if queue.wakes_at.is_none_or(|at| at > now + LINGER) {
                self.wake(&mut queue);
            }
        } else if queue.items.len() == self.company {
            self.wake(&mut queue);
        }
        Ok((seq, queue))
    }

    fn command(&self, queue: &mut Queue, command: Command) {
        queue.items.push_back(Item::Command(command));
        queue.urgent = true;
        self.wake(queue);
    }
}

/// Stops the thread when the last handle goes.
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Does the work: for the thread, and for callers where they write.
    place: Arc<Place>,
}

impl Handle {
    /// Has done what was just asked for, where no thread does it.
    fn turn(&self) {
        if self.shared.writing == Writing::Caller {
            let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            *place = place.take().and_then(Worker::turn);
        }
    }

    /// Writes what waits on the caller's thread. None where that is the thread's: what has to reach the disk, what is
    /// much, and what it is at already.
    fn write_here(&self) -> Option<Result<u64, LedgerError>> {
        let shared = &self.shared;
        if (shared.durability, shared.writing) != (Durability::Relaxed, Writing::Thread) {
            return None;
        }
        let mut place = self.place.try_lock().ok()?;
        let mut batch = VecDeque::new();
        {
            let mut queue = shared.queue();
            let little = queue.items.len() <= HERE_RECORDS_MAX && queue.bytes <= HERE_BYTES_MAX;
            // Who asked for more than records to be written, or waits for room, has said that it is urgent.
            if !little
                || queue.urgent
                || queue.crowded
                || queue.closed
                || !place.as_ref()?.has_room()
            {
                return None;
            }
            Worker::take(&mut queue, &mut batch);
        }
        let written = place.take()?.write(&mut batch);
        Some(written.map(|worker| place.insert(worker).bytes()))
    }

    /// Whether callers have to write, because as much waits as may.
    fn is_crowded(&self) -> bool {
        let shared = &self.shared;
        if shared.writing != Writing::Caller {
            return false;
        }
        let queue = shared.queue();
        queue.items.len() >= shared.records_max || queue.bytes >= shared.bytes_max
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        if !queue.closed {
            queue.closed = true;
            self.shared
                .command(&mut queue, Command::Close(Box::new(|_| {})));
        }
        drop(queue);
        self.turn();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // If it has panicked, everyone who waited was told.
            let _ = thread.join();
        }
    }
}

/// The ledger of one run, open for writing. Clones are handles on the same ledger. When the last
/// one goes without [`Ledger::close`], the ledger is closed all the same, blocking.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use flowhost_ledger::{Fact, HostKey, Kind, Ledger, LedgerOptions, Recorder};
///
/// let dir = tempfile::tempdir()?;
/// let key = Arc::new(HostKey::generate("host.example")?);
/// let ledger = Ledger::open(&LedgerOptions::new(dir.path(), "default", "run-1", key.clone()))?;
/// ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
/// let sealed = ledger.close_blocking()?;
/// assert_eq!(sealed.size, 1);
/// assert!(sealed.note.contains("host.example/evidence/default/run-1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Ledger {
    handle: Arc<Handle>,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger")
            .field("origin", &self.handle.shared.origin)
            .finish_non_exhaustive()
    }
}

impl Ledger {
    /// Opens the ledger in a folder: makes a new one, or takes up one that a process left behind
    /// (a torn tail is cut and recorded; anything else that is wrong is refused).
    ///
    /// # Errors
    /// [`OpenError`]; nothing was changed then.
    pub fn open(options: &LedgerOptions) -> Result<Self, OpenError> {
        let owner = owner_of(options);
        recover::check_ids(&owner)?;
        Self::open_held(options, recover::take_folder(options)?)
    }

    /// [`Ledger::open`] of a ledger that must be there: nothing is made where something is missing.
    ///
    /// # Errors
    /// As [`Ledger::open`], and when there is no folder, or no ledger in it.
    pub fn reopen(options: &LedgerOptions) -> Result<Self, OpenError> {
        recover::check_ids(&owner_of(options))?;
        // A lock makes no folder.
        let lock = recover::take_lock(options)?;
        recover::check_is_there(options)?;
        Self::open_held(options, lock)
    }

    /// [`Ledger::open`] of a folder whose lock is at hand.
    pub(crate) fn open_held(options: &LedgerOptions, lock: Lock) -> Result<Self, OpenError> {
        let owner = owner_of(options);
        let opened = recover::open(options, &owner, lock)?;
        let open_runs = opened.files.open_runs().to_vec();
        let (progress, _) = watch::channel(Progress {
            durable: opened.files.size(),
            ..Progress::default()
        });
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                items: VecDeque::new(),
                bytes: 0,
                next_seq: opened.files.size(),
                since: None,
                wanted: 0,
                settled: opened.files.size(),
                unsettled_since: None,
                unsigned_since: None,
                urgent: false,
                crowded: false,
                closed: false,
                sleeping: false,
                wakes_at: None,
            }),
            work: Condvar::new(),
            space: Condvar::new(),
            progress,
            origin: layout::origin(options.key.host(), &owner),
            owner,
            open_runs,
            status: opened.status,
            durability: options.durability,
            clock: options.clock.clone(),
            records_max: options.queue_records_max.max(1),
            bytes_max: options.queue_bytes_max,
            // Half a queue leaves room for those who come meanwhile.
            company: COMPANY.min(options.queue_records_max / 2).max(1),
            writing: options.writing,
            unsigned_max: options.checkpoints.age,
            listener: options.listener.clone(),
        });
        let worker = Worker::new(shared.clone(), opened.files, options);
        let place = Arc::new(Mutex::new(Some(worker)));
        let thread = match options.writing {
            Writing::Thread => Some(thread::start(shared.clone(), place.clone())?),
            Writing::Caller => None,
        };
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                thread: Mutex::new(thread),
                place,
            }),
        })
    }

    /// `<host id>/evidence/<tenant>/<run>`.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.handle.shared.origin
    }

    /// The runs that had not ended when this ledger, the index of runs, was opened.
    pub(crate) fn open_runs(&self) -> &[String] {
        &self.handle.shared.open_runs
    }

    /// How the run had ended, or stopped for the last time, when this ledger was opened; none where it never did, or had
    /// gone on since.
    pub(crate) fn status(&self) -> Option<&str> {
        self.handle.shared.status.as_deref()
    }

    /// What [`Recorder::durable`] promises of this ledger.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.handle.shared.durability
    }

    /// How many records were accepted so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.handle.shared.queue().next_seq
    }

    /// The latest note, if one was signed since the ledger was opened.
    #[must_use]
    pub fn last_sealed(&self) -> Option<Sealed> {
        self.handle.shared.progress.borrow().sealed.clone()
    }

    /// Why the ledger takes no more, if it does not.
    #[must_use]
    pub fn failure(&self) -> Option<LedgerError> {
        self.handle.shared.failure()
    }

    /// Brings everything appended so far to where readers of the files find it, in durable mode to the disk.
    /// For views that are made while a note over the same records is signed.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn flush(&self) -> Result<Reached, LedgerError> {
        self.ask(Command::Flush).await
    }

    /// As [`Ledger::flush`], for whoever wants no more than that nothing of it is lost with this process; gives how many
    /// bytes the ledger has. Who is `alone` in waiting writes itself, where that is little and no disk is waited for:
    /// the thread would have to be woken, and to wake it in turn, which takes longer. Of many who wait the thread writes
    /// all at once.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn written(&self, alone: bool) -> Result<u64, LedgerError> {
        let here = alone.then(|| self.handle.write_here());
        match here.flatten() {
            Some(written) => written,
            None => self.ask(Command::Written).await,
        }
    }

    /// Brings everything appended so far to the disk, in relaxed mode, too: for the few records that another process
    /// relies on, whatever becomes of this one.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn sync(&self) -> Result<(), LedgerError> {
        self.ask(Command::Sync).await
    }

    /// Signs everything appended so far; to be awaited before anything that quotes an evidence id
    /// leaves the host.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn checkpoint(&self) -> Result<Sealed, LedgerError> {
        self.ask(Command::Checkpoint).await
    }

    /// [`Ledger::checkpoint`] for callers without a runtime.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn checkpoint_blocking(&self) -> Result<Sealed, LedgerError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        {
            let mut queue = self.open_queue()?;
            let reply: Reply<Sealed> = Box::new(move |result| drop(send.send(result)));
            self.handle
                .shared
                .command(&mut queue, Command::Checkpoint(reply));
        }
        self.handle.turn();
        self.answer(receive.recv())
    }

    /// Erases the payloads and salts of `seqs` and records that it was done and why. Returns how
    /// many payloads were there. The records and all proofs stay as they are.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] for a number that no record has; otherwise as [`Recorder::append`].
    pub async fn erase(&self, seqs: BTreeSet<u64>, reason: &str) -> Result<u64, LedgerError> {
        let (send, receive) = oneshot::channel();
        self.queue_erase(seqs, reason, Box::new(|result| drop(send.send(result))))?;
        self.answer(receive.await)
    }

    /// [`Ledger::erase`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`Ledger::erase`].
    pub fn erase_blocking(&self, seqs: BTreeSet<u64>, reason: &str) -> Result<u64, LedgerError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        self.queue_erase(
            seqs,
            reason,
            Box::new(move |result| drop(send.send(result))),
        )?;
        self.answer(receive.recv())
    }

    /// Makes `new` the ledger's signing key: a `key.rotate` record, then a checkpoint by both keys.
    ///
    /// # Errors
    /// [`LedgerError::Refused`] if the key is another host's; otherwise as [`Recorder::append`].
    pub fn rotate_key(&self, new: Arc<HostKey>) -> Result<Sealed, LedgerError> {
        let shared = &self.handle.shared;
        if !shared
            .origin
            .starts_with(&format!("{}/evidence/", new.host()))
        {
            return Err(LedgerError::Refused(
                "the new key is another host's".to_owned(),
            ));
        }
        let vkey: VKey = new.vkey_for(&shared.origin);
        let actor = format!("{}/host", shared.owner.tenant);
        let rotated = KeyRotate {
            new: vkey.to_string(),
        };
        let fact = rotated.by(actor);
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let (_, mut queue) = shared.push(shared.queue(), fact)?;
        let reply: Reply<Sealed> = Box::new(move |result| drop(send.send(result)));
        shared.command(&mut queue, Command::RotateKey(new, reply));
        drop(queue);
        self.handle.turn();
        self.answer(receive.recv())
    }

    /// Writes and syncs everything, signs the last checkpoint and ends the ledger for all handles.
    ///
    /// # Errors
    /// [`LedgerError::Closed`] if another handle closed it before.
    pub async fn close(&self) -> Result<Sealed, LedgerError> {
        let (send, receive) = oneshot::channel();
        self.queue_close(Box::new(|result| drop(send.send(result))))?;
        self.answer(receive.await)
    }

    /// [`Ledger::close`] for callers without a runtime.
    ///
    /// # Errors
    /// As [`Ledger::close`].
    pub fn close_blocking(&self) -> Result<Sealed, LedgerError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        self.queue_close(Box::new(move |result| drop(send.send(result))))?;
        self.answer(receive.recv())
    }

    async fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, LedgerError> {
        let (send, receive) = oneshot::channel();
        {
            let mut queue = self.open_queue()?;
            let reply: Reply<T> = Box::new(|result| drop(send.send(result)));
            self.handle.shared.command(&mut queue, command(reply));
        }
        self.handle.turn();
        self.answer(receive.await)
    }

    fn open_queue(&self) -> Result<MutexGuard<'_, Queue>, LedgerError> {
        let queue = self.handle.shared.queue();
        if queue.closed {
            return Err(self.failure().unwrap_or(LedgerError::Closed));
        }
        Ok(queue)
    }

    /// A reply that never came means that the thread ended in between.
    fn answer<T, E>(&self, reply: Result<Result<T, LedgerError>, E>) -> Result<T, LedgerError> {
        reply.unwrap_or_else(|_| Err(self.failure().unwrap_or(LedgerError::Closed)))
    }

    fn queue_close(&self, reply: Reply<Sealed>) -> Result<(), LedgerError> {
        let mut queue = self.open_queue()?;
        queue.closed = true;
        self.handle
            .shared
            .command(&mut queue, Command::Close(reply));
        drop(queue);
        // Whoever waits for room has to be told that there will be none.
        self.handle.shared.space.notify_all();
        self.handle.turn();
        Ok(())
    }

    fn queue_erase(
        &self,
        seqs: BTreeSet<u64>,
        reason: &str,
        reply: Reply<u64>,
    ) -> Result<(), LedgerError> {
        let shared = &self.handle.shared;
        let erasure = Erasure {
            reason: reason.to_owned(),
            seqs: seqs.iter().copied().collect(),
            key: None,
        };
        let fact = erasure.by(format!("{}/host", shared.owner.tenant));
        if let Some(why) = refusal(&fact, &shared.owner) {
            return Err(LedgerError::Refused(why));
        }
        let queue = self.open_queue()?;
        if let Some(beyond) = seqs.iter().find(|seq| **seq >= queue.next_seq) {
            return Err(LedgerError::Refused(format!(
                "the ledger has no record {beyond} to erase from"
            )));
        }
        // The intent is on the disk before the bytes go; recovery ends an erasure that was cut.
        let (_, mut queue) = shared.push(queue, fact)?;
        shared.command(&mut queue, Command::Erase(seqs, reply));
        drop(queue);
        self.handle.turn();
        Ok(())
    }
}

impl Recorder for Ledger {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let shared = &self.handle.shared;
        if let Some(why) = refusal(&fact, &shared.owner) {
            return Err(LedgerError::Refused(why));
        }
        // The guard goes with the pair: the turn below takes the same lock.
        let seq = shared.push(shared.queue(), fact).map(|(seq, _)| seq)?;
        if self.handle.is_crowded() {
            self.handle.turn();
        }
        Ok(seq)
    }

    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        let shared = &self.handle.shared;
        if shared.durability == Durability::Relaxed {
            let failure = shared.failure();
            return Box::pin(std::future::ready(failure.map_or(Ok(()), Err)));
        }
        let mut queue = shared.queue();
        if queue.wanted <= seq {
            // Behind the last number there is none: whoever asks for that one waits for a record that can never be.
            queue.wanted = seq.saturating_add(1);
            shared.wake(&mut queue);
        }
        drop(queue);
        self.handle.turn();
        // What has become durable meanwhile is not missed: the wait looks at the present state
        // first.
        let mut progress = shared.progress.subscribe();
        Box::pin(async move {
            let state = progress
                .wait_for(|state| state.durable > seq || state.failed.is_some())
                .await
                .map_err(|_| LedgerError::Closed)?;
            match &state.failed {
                // What was synced before the failure stays acknowledged.
                Some(failure) if state.durable <= seq => Err(failure.clone()),
                _ => Ok(()),
            }
        })
    }
}

/// Folder of a run's ledger below the state folder.
#[must_use]
pub fn run_dir(state: &Path, tenant: &str, run: &str) -> std::path::PathBuf {
    state.join(tenant).join(layout::RUNS).join(run)
}
