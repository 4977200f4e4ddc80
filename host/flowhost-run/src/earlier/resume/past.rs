//! What the ledger of an unfinished run says beyond what its planner was fed: how far each call came,
//! what models cost, which messages nobody has read, which agents were started.
//!
//! One pass over the records, in their order, which [`crate::earlier::resume::fed`] shares. Nothing is decided here, and
//! nothing is performed: a call whose intent is missing never started, because an intent is on the disk before
//! its effect.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use flowhost_caps::budget::Left;
use flowhost_flow::planner::GateAnswer;
use flowhost_flow::{Amounts, CallResult};
use flowhost_ledger::records::Record;
use flowhost_ledger::{
    DataKey, Durability, Kind, Payloads, RealDisk, Source, StoredRecord, read_run, read_run_in,
};
use serde_json::Value;

use crate::base::failure::Failure;
use crate::calls::order::{Detail, Stands};
use crate::earlier::resume::fed::{self, Fed, FedError};
use crate::earlier::resume::unreadable;
use crate::earlier::reuse::ReusedCall;
use crate::kept::journal::Denial;
use crate::meters::tally::Routed;

mod reader;

use reader::Reader;

/// A message that an agent may still have to read.
#[derive(Debug, Clone)]
pub(crate) struct Unread {
    /// The number of its record: messages come again in the order in which they were sent.
    pub(crate) seq: u64,
    pub(crate) id: String,
    /// The plugin that sent it.
    pub(crate) sender: String,
    pub(crate) step: String,
    pub(crate) correlation: String,
    pub(crate) topic: String,
    /// Canonical JSON.
    pub(crate) payload: String,
    /// The planner's call that it was sent for; 0 for none.
    pub(crate) root: u64,
    /// Its sender sent it when it was started.
    pub(crate) at_start: bool,
}

/// How far a call of the planner came.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Its intent is recorded: it may have had an effect.
    pub(crate) begun: bool,
    /// Its result is recorded.
    pub(crate) result: Option<Known>,
    /// A person said what became of it.
    pub(crate) settled: Option<Settled>,
    /// What models cost in it so far.
    pub(crate) spent: Left,
    /// What it called so far.
    pub(crate) routed: Routed,
}

/// A result that was recorded before the planner heard of it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) result: CallResult,
    pub(crate) stands: Stands,
    pub(crate) detail: Detail,
}

/// What a person said of a call that nobody knows the end of.
#[derive(Debug, Clone)]
pub(crate) enum Settled {
    Done(Value),
    Failed(String),
    Retry,
}

/// A gate that was reached.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reached {
    /// Until when it is open, in milliseconds since the Unix epoch.
    pub(crate) until_ms: u64,
    /// What somebody said, and who that was.
    pub(crate) answer: Option<(GateAnswer, String)>,
}

/// A run as its records have it.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// The plan's hash, as the first record has it.
    pub(crate) plan_hash: String,
    /// How many processes have driven it: the one that began it, and those that took it up. None has driven a run that
    /// begins with the past of another.
    pub(crate) processes: u64,
    /// The status of its `run.end` record: then it is over.
    pub(crate) ended: Option<String>,
    /// SHA-256 of the document of what it is made of.
    pub(crate) bundle_sha256: Option<String>,
    /// Planner's calls that have not ended, by number.
    pub(crate) calls: BTreeMap<u64, Made>,
    /// What models cost, by plugin.
    pub(crate) spent: BTreeMap<String, Left>,
    /// What they cost outside of any step's call.
    pub(crate) rest: Left,
    /// The highest number of a call that the host made by itself.
    pub(crate) own_calls: u64,
    /// Agents whose `on-start` is done, and of those, whose `on-finish` is done.
    pub(crate) started: BTreeSet<(String, u64)>,
    pub(crate) finished: BTreeSet<String>,
    /// Plugins that were swapped while it ran, or replaced when it was resumed.
    pub(crate) swapped: BTreeSet<String>,
    /// The step before which the run was forked from another.
    pub(crate) fork_at: Option<String>,
    /// Calls that an earlier run had made.
    pub(crate) reused: Vec<ReusedCall>,
    /// What the calls of the past used that it was forked with, which counts for it all the same.
    pub(crate) before: Amounts,
    /// Gates that were reached, by number.
    pub(crate) gates: BTreeMap<u64, Reached>,
    pub(crate) unread: Vec<Unread>,
    /// Ids of all messages that were sent.
    pub(crate) sent: BTreeSet<String>,
    /// How often an agent has read a message to its end, and said all that it answered.
    pub(crate) read: HashMap<(String, String), u32>,
    pub(crate) denials: Vec<Denial>,
    /// What the driver wrote of the planner's notes: kind and fields, in order.
    pub(crate) notes: Vec<Arc<StoredRecord>>,
    /// Bytes of records and payloads, for the run's account.
    pub(crate) bytes: u64,
}

/// What the run in `dir` promised of its records; durable where it does not say.
pub(crate) fn durability(dir: &Path) -> Durability {
    let first = read_run(dir)
        .ok()
        .and_then(|mut records| records.next()?.ok());
    match first.as_ref().and_then(|record| record.text("durability")) {
        Some("relaxed") => Durability::Relaxed,
        _ => Durability::Durable,
    }
}

/// Reads the ledger in `dir`, which nobody writes to meanwhile: its past, and what its planner was fed. What is
/// wrong with the one is told apart from what is wrong with the other, because what a run is (it has ended, it
/// was made of something else) is said before that it cannot be fed.
///
/// # Errors
/// When it cannot be read, or a payload that is needed is gone.
pub(crate) fn read(
    dir: &Path,
    key: Option<&DataKey>,
) -> Result<(Past, Result<Fed, FedError>), Failure> {
    read_in(&RealDisk, dir, key)
}

/// As [`read`], on any disk.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_in(
    disk: &dyn Source,
    dir: &Path,
    key: Option<&DataKey>,
) -> Result<(Past, Result<Fed, FedError>), Failure> {
    let payloads = Payloads::open(disk, dir).map_err(|error| unreadable(&error))?;
    let (mut past, mut fed) = (
        Reader::new(&payloads, key),
        fed::Reader::new(&payloads, key),
    );
    for record in read_run_in(disk, dir).map_err(|error| unreadable(&error))? {
        let record = Arc::new(record.map_err(|error| unreadable(&error))?);
        let said = said(&record)?;
        fed.take(&record, said.as_ref());
        past.take(&record, said)?;
    }
    Ok((past.done()?, fed.done()))
}

/// The past alone, of the first `most` records of the ledger in `dir`.
///
/// # Errors
/// As [`read`].
pub(crate) fn read_to(dir: &Path, key: Option<&DataKey>, most: u64) -> Result<Past, Failure> {
    let payloads = Payloads::open(&RealDisk, dir).map_err(|error| unreadable(&error))?;
    let mut past = Reader::new(&payloads, key);
    for record in read_run(dir).map_err(|error| unreadable(&error))? {
        let record = Arc::new(record.map_err(|error| unreadable(&error))?);
        if record.seq >= most {
            break;
        }
        past.take(&record, said(&record)?)?;
    }
    past.done()
}

/// What a record says, where more of it is wanted than that it was written.
fn said(record: &StoredRecord) -> Result<Option<Record>, Failure> {
    match record.kind().is_some_and(is_note) {
        true => Ok(None),
        false => record.read().map_err(|error| unreadable(&error)),
    }
}

/// Whether a record of the host of this kind is a note of the planner, if it is no message.
const fn is_note(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::StepStart
            | Kind::StepEnd
            | Kind::AttemptStart
            | Kind::AttemptEnd
            | Kind::GuardVerdict
            | Kind::Consensus
            | Kind::Budget
    )
}
