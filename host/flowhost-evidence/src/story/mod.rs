//! What happened in one run, gathered from its records and payloads: the content of the run report.
//!
//! Every number and word comes out of the ledger, so the same story can be told of any run at any
//! time, of a killed one too, and what was erased stays erased. One pass over the records, and a
//! bound on everything that is kept: what is left out is counted. Must never decide or write anything.

mod decisions;
mod gather;
mod head;
mod kept;
mod models;
mod spend;
mod steps;
mod stored;
mod talk;
#[cfg(test)]
pub(crate) mod tests;
mod tools;
mod verdicts;

use std::path::Path;

use flowhost_flow::Plan;
use flowhost_flow::graph::Graph;
use flowhost_ledger::{LentRecord, LentRecords, Payloads, RealDisk, Source, read_lent_in};

use crate::Unreadable;

pub use decisions::{Decisions, Example, Group};
pub use head::{Head, Plugin, Stands, Swap, Taken, View};
pub use kept::{BUNDLE, BUNDLE_BYTES_MAX, plan_of};
pub use models::{Message, ModelCall, Models, Request, Sums, Try};
pub use spend::{Event, Expected, Line, Spend};
pub use steps::{Attempt, Peak, Step, Steps};
pub use stored::{PayloadSource, Shown, Stored};
pub use talk::{Edge, EdgeKind, Node, NodeKind, Talk};
pub use tools::{ToolCall, Tools};
pub use verdicts::{Ruling, Tally, Verdict, Verdicts};

use gather::Gather;

/// Steps that are listed one by one: two or three screens. Those that did not end well come first.
pub const STEPS_MAX: usize = 200;
/// Calls (of models, of tools) that are listed one by one; the totals count all of them.
pub const CALLS_MAX: usize = 100;
/// Groups of decisions, and lines of other lists.
pub const GROUPS_MAX: usize = 100;
/// Characters of one payload that are shown: a long page of text.
pub const PAYLOAD_CHARS_MAX: usize = 8_000;
/// Characters of all payloads together, so that a browser opens the page at once.
pub const PAGE_CHARS_MAX: usize = 2_000_000;
/// Characters of a name or another short text. Guests choose most names, and a page is to stay small beside its
/// ledger.
pub const FIELD_CHARS_MAX: usize = 300;

/// What happened in a run.
#[derive(Debug, Clone)]
pub struct Story {
    /// Which run it was and how it ended.
    pub head: Head,
    /// What took part.
    pub plugins: Shown<Plugin>,
    /// Builds that were put in place while it went on.
    pub swaps: Shown<Swap>,
    /// Steps and their attempts.
    pub steps: Steps,
    /// The plan that it kept, with how each step ended; none where there is nothing to draw.
    pub graph: Option<Graph>,
    /// What was used of the run's budget.
    pub spend: Spend,
    /// Calls of models.
    pub models: Models,
    /// Calls of tools and agents.
    pub tools: Tools,
    /// What was allowed and denied.
    pub decisions: Decisions,
    /// What guardrails and checks said.
    pub verdicts: Verdicts,
    /// Who talked to whom.
    pub talk: Talk,
    /// What the ledger says of itself.
    pub seal: Seal,
}

/// Which ledger the story was read from, and how much of it a signed checkpoint covers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seal {
    /// `<host id>/evidence/<tenant>/<run>`.
    pub origin: String,
    /// The keys that the ledger names for itself.
    pub keys: Vec<String>,
    /// Records that the story was read from.
    pub records: u64,
    /// How many there are of each kind.
    pub kinds: Vec<(String, u64)>,
    /// The latest checkpoint, as it lies beside the records; nobody has checked its signature here.
    pub checkpoint: Option<Sealed>,
    /// Payloads that were erased.
    pub erased: u64,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// How many records it covers.
    pub size: u64,
    /// The root of the tree over them, hexadecimal.
    pub root: String,
}

/// Reads the story of the run whose ledger is in `dir`.
///
/// # Errors
/// [`Unreadable`] when the ledger cannot be read or its chain is broken.
pub fn read(dir: &Path) -> Result<Story, Unreadable> {
    read_in(&RealDisk, dir)
}

/// As [`read`], of a run that is being signed: the story names this checkpoint, which need not lie there yet.
///
/// # Errors
/// As [`read`].
pub fn read_signed(dir: &Path, signed: Sealed) -> Result<Story, Unreadable> {
    gathered(&RealDisk, dir, Some(signed))
}

/// As [`read`], from any source of files: an archive, too.
///
/// # Errors
/// As [`read`].
pub fn read_in(source: &dyn Source, dir: &Path) -> Result<Story, Unreadable> {
    gathered(source, dir, None)
}

/// A story that is gathered from records which somebody reads for something else.
#[derive(Default)]
pub struct Gathering(Gather);

impl Gathering {
    /// Takes the next record.
    pub fn hear(&mut self, record: &LentRecord<'_>) {
        self.0.record(record);
    }

    /// What [`read_signed`] tells, of the records that were heard and of their `payloads`: all that the ledger in `dir`
    /// has. `parsed` is the text of the run's plan with what it says, where somebody has parsed it.
    ///
    /// # Errors
    /// As [`read`].
    pub fn told(
        self,
        dir: &Path,
        signed: Sealed,
        payloads: &Payloads<'_>,
        parsed: Option<(&str, &Plan)>,
    ) -> Result<Story, Unreadable> {
        let seal = seal(&read_lent_in(&RealDisk, dir)?, Some(signed));
        let files: (&dyn Source, &Path) = (&RealDisk, dir);
        Ok(finished(self.0, files, payloads, (seal, parsed)))
    }
}

fn gathered(source: &dyn Source, dir: &Path, signed: Option<Sealed>) -> Result<Story, Unreadable> {
    let mut records = read_lent_in(source, dir)?;
    let seal = seal(&records, signed);
    let mut gather = Gather::default();
    for batch in &mut records {
        for record in batch?.records() {
            gather.record(&record);
        }
    }
    let payloads = Payloads::open(source, dir)?;
    Ok(finished(gather, (source, dir), &payloads, (seal, None)))
}

/// What the ledger says of itself before its records are read.
fn seal(records: &LentRecords<'_>, signed: Option<Sealed>) -> Seal {
    Seal {
        origin: records.origin().to_owned(),
        keys: records.keys().iter().map(ToString::to_string).collect(),
        checkpoint: signed.or_else(|| checkpoint(records)),
        ..Seal::default()
    }
}

fn finished(
    gather: Gather,
    files: (&dyn Source, &Path),
    payloads: &Payloads<'_>,
    (seal, parsed): (Seal, Option<(&str, &Plan)>),
) -> Story {
    let mut story = gather.finish(payloads, seal);
    story.graph = kept::graph(files, &mut story.head, &story.steps, parsed);
    story
}

/// What the note beside the records says. One that is missing or malformed is the verifier's
/// business.
fn checkpoint(records: &LentRecords<'_>) -> Option<Sealed> {
    let note = records.checkpoint()?;
    let checkpoint = note.unverified();
    Some(Sealed {
        size: checkpoint.size,
        root: hex::encode(checkpoint.root),
    })
}
