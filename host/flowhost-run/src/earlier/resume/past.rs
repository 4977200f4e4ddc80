//! What the ledger of an unfinished run says beyond what its planner was fed: how far each call came,
//! what models cost, which messages nobody has read, which agents were started.
//!
//! One pass over the records, in their order, which [`crate::earlier::resume::fed`] shares. Nothing is decided here, and
//! nothing is performed: a call whose intent is missing never started, because an intent is on the disk before
//! its effect.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use flowhost_caps::budget::Left;
use flowhost_flow::planner::GateAnswer;
use flowhost_flow::{Amounts, CallResult};
use flowhost_ledger::{
    DataKey, Durability, Kind, LentBatch, LentRecord, LentRecords, Payloads, RealDisk, Source,
    Tail, overheard, read_lent_in, read_run,
};
use serde_json::Value;

use crate::base::failure::Failure;
use crate::calls::order::Stands;
use crate::earlier::resume::fed;
use crate::earlier::resume::feeding::{FedBeside, Feeder, PlanOf};
use crate::earlier::resume::rebuild::Written;
use crate::earlier::resume::unreadable;
use crate::earlier::reuse::ReusedCall;
use crate::given::world::Listener;
use crate::kept::journal::Denial;
use crate::kept::page::Heard;
use crate::meters::detail::Detail;
use crate::meters::tally::Routed;
use crate::plugins::server::ToolHashes;

mod reader;
mod shown;

use reader::Reader;
use shown::Shown;

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
    /// The plan's labels, as it has them.
    pub(crate) labels: BTreeMap<String, String>,
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
    /// Tools that plugins showed it, by which it went on.
    pub(crate) shown: ToolHashes,
    /// The second keys that processes of it had turned; none where no record says so.
    pub(crate) second_keys: Option<BTreeSet<String>>,
    /// The step before which the run was forked from another.
    pub(crate) fork_at: Option<String>,
    /// How many events of its past have not come yet, where that does not end with the beginning of the step.
    pub(crate) fork_events: Option<u64>,
    /// Whether that step, or an item of it, has begun, or the last of those events has come.
    pub(crate) fork_reached: bool,
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
    /// What the driver wrote of the planner's notes, in order.
    pub(crate) notes: Vec<Written>,
    /// How many of the first ends of steps among them are of stages that left all of their files, or leave none.
    pub(crate) ends_whole: usize,
    /// Files below the evidence root and entries of the memory that were recorded behind the first end that is none of these.
    pub(crate) viewed: BTreeSet<String>,
    /// Bytes of records and payloads, for the run's account.
    pub(crate) bytes: u64,
}

impl Past {
    /// A process of it said which second keys it had turned.
    fn had_turned(&mut self, keys: Option<Vec<Cow<'_, str>>>) {
        if let Some(keys) = keys {
            let had = self.second_keys.get_or_insert_default();
            had.extend(keys.into_iter().map(Cow::into_owned));
        }
    }

    /// An event of the planner came, which may be the last of the past that the run was forked with.
    fn fork_fed(&mut self) {
        if let Some(left) = &mut self.fork_events {
            *left = left.saturating_sub(1);
            self.fork_reached |= *left == 0;
        }
    }

    /// Whether the run had this second key. Of one whose records do not say it, because an older host made them: whether
    /// nothing was denied for the want of it.
    pub(crate) fn had(&self, key: &str) -> bool {
        match &self.second_keys {
            Some(had) => had.contains(key),
            None => !self.denials.iter().any(|denial| denial.cure == key),
        }
    }

    /// The second keys that it had, to be repeated where a command is printed.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.second_keys.iter().flatten().cloned().collect()
    }
}

/// What the run in `dir` promised of its records; durable where it does not say.
pub(crate) fn durability(dir: &Path) -> Durability {
    // What cannot be read is said by whoever reads all of it; until then nothing is promised less than it was.
    let first = read_run(dir)
        .ok()
        .and_then(|mut records| records.next()?.ok());
    match first.as_ref().and_then(|record| record.text("durability")) {
        Some("relaxed") => Durability::Relaxed,
        _ => Durability::Durable,
    }
}

/// What was read of a run by several who heard the same records. What is wrong with its past is told apart from what is
/// wrong with what its planner was fed, because what a run is (it has ended, it was made of something else) is said before
/// that it cannot be fed.
pub(crate) struct Beside {
    pub(crate) past: Past,
    pub(crate) fed: FedBeside,
    pub(crate) heard: Option<Heard>,
}

/// Reads the ledger in `dir`, which nobody writes to meanwhile, while `listener` hears the same records and the run's
/// planner, whose plan `plan` gives, is fed with them: each on a thread of its own.
///
/// # Errors
/// When it cannot be read, or a payload that is needed is gone.
pub(crate) fn read_beside(
    dir: &Path,
    key: Option<&DataKey>,
    listener: Option<Box<dyn Listener>>,
    plan: &PlanOf<'_>,
) -> Result<Beside, Failure> {
    let Some(listener) = listener else {
        return read_beside_in(&RealDisk, dir, key, plan);
    };
    let read = beside(&RealDisk, dir, (key, plan), |take| {
        let records = read_lent_in(&RealDisk, dir).map_err(|error| unreadable(&error))?;
        hear(records, listener, take)
    })?;
    let (listener, tail) = read.heard;
    Ok(Beside {
        past: read.past,
        fed: read.fed,
        heard: Some(Heard::before(listener, tail, read.payloads)),
    })
}

/// As [`read_beside`] without a listener, on any disk.
///
/// # Errors
/// As [`read_beside`].
pub(crate) fn read_beside_in(
    disk: &dyn Source,
    dir: &Path,
    key: Option<&DataKey>,
    plan: &PlanOf<'_>,
) -> Result<Beside, Failure> {
    let read = beside(disk, dir, (key, plan), |take| {
        for batch in read_lent_in(disk, dir).map_err(|error| unreadable(&error))? {
            take(&Arc::new(batch.map_err(|error| unreadable(&error))?))?;
        }
        Ok(())
    })?;
    Ok(Beside {
        past: read.past,
        fed: read.fed,
        heard: None,
    })
}

/// Takes records of a run that is taken up.
type Take<'t> = &'t mut dyn FnMut(&Arc<LentBatch>) -> Result<(), Failure>;

/// What was read of a run, with what became of whoever handed the records over, and the payloads of all.
struct Read<'d, H> {
    past: Past,
    fed: FedBeside,
    heard: H,
    payloads: Payloads<'d>,
}

/// Lets `each` hand over all of the records; what matters to the planner is fed to it on a thread of its own.
fn beside<'d, H>(
    disk: &'d dyn Source,
    dir: &Path,
    (key, plan): (Option<&DataKey>, &PlanOf<'_>),
    each: impl FnOnce(Take<'_>) -> Result<H, Failure>,
) -> Result<Read<'d, H>, Failure> {
    let payloads = Payloads::open(disk, dir).map_err(|error| unreadable(&error))?;
    let (past, fed, heard) = std::thread::scope(|scope| -> Result<_, Failure> {
        let (mut past, mut shown) = (Reader::new(&payloads, key), Shown::default());
        let fed = fed::Reader::new(&payloads, key);
        let feeder = Feeder::start(scope, fed, plan);
        let feeder = feeder.map_err(|error| unreadable(&error))?;
        let heard = each(&mut |batch| {
            // First: the planner takes longer for it than this thread does.
            feeder.take(batch);
            batch.records().try_for_each(|record| {
                shown.take(&record)?;
                past.take(&record)
            })
        })?;
        let past = Past {
            shown: shown.done(),
            ..past.done()?
        };
        Ok((past, feeder.end(), heard))
    })?;
    Ok(Read {
        past,
        fed,
        heard,
        payloads,
    })
}

/// Lets `listener` hear each of the records before it is taken.
fn hear(
    records: LentRecords<'static>,
    listener: Box<dyn Listener>,
    take: Take<'_>,
) -> Result<(Box<dyn Listener>, Tail), Failure> {
    let hear = |listener: &mut Box<dyn Listener>, record: &LentRecord<'_>| listener.hear(record);
    let heard = overheard(records, listener, hear);
    let mut batches = heard.map_err(|error| unreadable(&error))?;
    for batch in &mut batches {
        take(&batch)?;
    }
    batches.end().map_err(|error| unreadable(&error))
}

/// The past alone, of the first `most` records of the ledger in `dir`.
///
/// # Errors
/// As [`read_beside`].
pub(crate) fn read_to(dir: &Path, key: Option<&DataKey>, most: u64) -> Result<Past, Failure> {
    let payloads = Payloads::open(&RealDisk, dir).map_err(|error| unreadable(&error))?;
    let mut past = Reader::new(&payloads, key);
    for batch in read_lent_in(&RealDisk, dir).map_err(|error| unreadable(&error))? {
        let batch = batch.map_err(|error| unreadable(&error))?;
        for record in batch.records() {
            // Within a batch: what lies behind must not be taken for the past, though it was read.
            if record.seq >= most {
                return past.done();
            }
            past.take(&record)?;
        }
    }
    past.done()
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
