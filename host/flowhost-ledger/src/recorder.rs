//! The one door through which facts enter a ledger, as a trait, so that engine and capabilities can
//! be tested without a disk.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::fact::Fact;

/// Why the ledger took no more.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// An earlier write or fsync failed; nothing is acknowledged any more.
    #[error("the disk failed, so nothing more is recorded: {0}")]
    Poisoned(String),
    /// The fact does not fit the format (line too long, reserved field).
    #[error("the record was refused: {0}")]
    Refused(String),
    /// Whoever recorded may record no more. The ledger itself goes on.
    #[error("the limit `{name}` was reached: used {used} bytes, allowed {allowed}")]
    Limit {
        /// Which.
        name: &'static str,
        /// Bytes with this record.
        used: u64,
        /// Bytes that are allowed.
        allowed: u64,
    },
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// A run that is replayed says other than its record.
    #[error("the replay differs from the record")]
    Differs,
}

/// Takes facts in order.
pub trait Recorder: Send + Sync {
    /// Appends a fact and returns its sequence number. Order of calls is order of records. The
    /// record is in the chain but not yet on disk; see [`Recorder::durable`].
    ///
    /// # Errors
    /// Any [`LedgerError`]; after one that is not [`LedgerError::Limit`], the run must stop.
    fn append(&self, fact: Fact) -> Result<u64, LedgerError>;

    /// Resolves once record `seq` is durable (at once in relaxed mode).
    fn durable(&self, seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>>;
}

/// Is handed each fact that was appended once it is a record, in order, by whoever writes, beside whoever appended it. Must
/// not block: the ledger waits for it. Must not panic either: the ledger takes no more then.
pub trait FactListener: Send + Sync {
    /// The fact that was appended at `at` is record `seq`.
    fn recorded(&self, seq: u64, at: Instant, fact: Fact);
}

/// Keeps facts in memory, for tests of whatever records.
#[derive(Debug, Default)]
pub struct MemoryRecorder {
    facts: Mutex<Vec<Fact>>,
}

impl MemoryRecorder {
    /// What was recorded so far.
    pub fn facts(&self) -> Vec<Fact> {
        self.facts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Recorder for MemoryRecorder {
    fn append(&self, fact: Fact) -> Result<u64, LedgerError> {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.push(fact);
        // One was just pushed.
        Ok(facts.len() as u64 - 1)
    }

    fn durable(&self, _seq: u64) -> Pin<Box<dyn Future<Output = Result<(), LedgerError>> + Send>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
