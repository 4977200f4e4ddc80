//! What a ledger is opened with. The defaults are the safe ones: durable, checkpoints often.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::{Disk, RealDisk};
use crate::keys::HostKey;
use crate::recorder::FactListener;
use crate::seal::DataKey;

/// Where the informational `ts` of a record comes from; replay brings its own.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now_us(&self) -> u64;
}

/// The clock of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one clock of the ledger, behind its trait"
    )]
    fn now_us(&self) -> u64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    }
}

/// Where salts come from; a simulation brings its own, so that the same seed gives the same records.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with randomness that nobody can guess.
    ///
    /// # Errors
    /// What the system says.
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()>;
}

/// The randomness of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(bytes).map_err(|error| std::io::Error::other(error.to_string()))
    }
}

/// Who makes records of what was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writing {
    /// A thread of the ledger's own: callers pay little, and share one sync.
    #[default]
    Thread,
    /// Whoever waits for the disk, on its own thread. For simulations: no second thread then decides
    /// what comes first. And for a ledger that is opened for one record and closed again.
    Caller,
}

/// What `durable()` promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It resolves after `fdatasync`: the record survives a loss of power. Records of several
    /// callers share one sync (group commit), and so do those that nobody waits for.
    #[default]
    Durable,
    /// It resolves at once. Records reach the kernel within [`LINGER`]; they are synced when a
    /// checkpoint is due by its age, is asked for, or is the last. For work that can be done again.
    Relaxed,
}

/// How long a record may wait for company before it is written although nobody waits for it. Long enough to share
/// one write among calls that end together, and less than a person or a provider notices.
pub const LINGER: Duration = Duration::from_millis(5);

/// When a checkpoint is signed, besides at the end and on request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointPolicy {
    /// With this many unsigned records. A relaxed ledger does not count: a checkpoint has to sync what it
    /// signs, and that is what *relaxed* spares.
    pub records: u64,
    /// When the oldest unsigned record is this old.
    pub age: Duration,
}

impl Default for CheckpointPolicy {
    fn default() -> Self {
        Self {
            records: 256,
            age: Duration::from_secs(1),
        }
    }
}

/// Everything that a ledger is opened with.
#[derive(Clone)]
pub struct LedgerOptions {
    /// The ledger's folder; made if it does not exist.
    pub dir: PathBuf,
    /// Whose run it is: letters, digits, `_ . -`, at most 128.
    pub tenant: String,
    /// Which run it is: as `tenant`.
    pub run: String,
    /// The key that signs, with the host's id.
    pub key: Arc<HostKey>,
    /// What `durable()` promises.
    pub durability: Durability,
    /// When checkpoints are signed.
    pub checkpoints: CheckpointPolicy,
    /// Every note is also appended to this file, somewhere that the disk's owner cannot rewrite.
    pub witness: Option<PathBuf>,
    /// How long to wait for another writer to let go of the folder; zero refuses at once.
    pub lock_wait: Duration,
    /// A segment is ended at this many bytes: 64 MiB, so that one can be copied and checked alone.
    pub segment_bytes_max: u64,
    /// A segment is also ended when its payloads have this many bytes: 256 MiB, which bounds what
    /// an erasure has to write anew.
    pub payload_file_bytes_max: u64,
    /// How many records may wait for the writer; a caller that comes later waits too (nothing is
    /// ever dropped). 8,192 records are a few milliseconds of work.
    pub queue_records_max: usize,
    /// The same in bytes of payloads: 64 MiB, for the host's memory.
    pub queue_bytes_max: usize,
    /// Seals what payloads were before they were redacted; without it that is dropped.
    pub seal: Option<DataKey>,
    /// Where `ts` comes from.
    pub clock: Arc<dyn Clock>,
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Where salts come from.
    pub entropy: Arc<dyn Entropy>,
    /// Who writes.
    pub writing: Writing,
    /// Who hears of each fact that is appended.
    pub listener: Option<Arc<dyn FactListener>>,
    /// It is the index of runs: a `head` is kept beside it.
    pub(crate) index: bool,
}

impl LedgerOptions {
    /// A durable ledger of `tenant`'s `run` in the folder `dir`, signed by `key`.
    #[must_use]
    pub fn new(dir: &Path, tenant: &str, run: &str, key: Arc<HostKey>) -> Self {
        Self {
            dir: dir.to_owned(),
            tenant: tenant.to_owned(),
            run: run.to_owned(),
            key,
            durability: Durability::Durable,
            checkpoints: CheckpointPolicy::default(),
            witness: None,
            lock_wait: Duration::ZERO,
            segment_bytes_max: 64 << 20,
            payload_file_bytes_max: 256 << 20,
            queue_records_max: 8192,
            queue_bytes_max: 64 << 20,
            seal: None,
            clock: Arc::new(SystemClock),
            disk: Arc::new(RealDisk),
            entropy: Arc::new(SystemEntropy),
            writing: Writing::Thread,
            listener: None,
            index: false,
        }
    }
}

impl fmt::Debug for LedgerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerOptions")
            .field("dir", &self.dir)
            .field("tenant", &self.tenant)
            .field("run", &self.run)
            .field("key", &self.key)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}
