//! The evidence files of a stage: what a consensus pipeline leaves for people and programs, made from the
//! records of its step.
//!
//! Owns names and content of the files below an evidence root (`commands/`, `consensus/`, `costs/`); who
//! writes them, and the lock of a spec, are the host's. Field names are those that such pipelines use, so
//! that readers and `jq` queries of theirs work. What is not known is `null`, never 0. Must never say
//! anything that no record says.

use std::io;
use std::path::Path;

use flowhost_ledger::{Payloads, RealDisk, Tail};

use crate::Unreadable;

mod calls;
mod check;
mod costs;
mod files;
mod gather;
mod guards;
mod lifecycle;
#[cfg(test)]
mod tests;
mod trial;

pub use check::{Form, Judged, form_of, judge};
pub(crate) use files::file_name;

/// Records that are held at once: a run that goes on may have a hundred thousand behind it.
const RECORDS_AT_ONCE: usize = 4_096;

/// Where and for whom the files are made.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// The plan's `evidence.spec_id`.
    pub spec_id: String,
    /// The run.
    pub run_id: String,
    /// Id of the step whose stage has ended.
    pub step_id: String,
    /// Bytes that the spec's folders hold already.
    pub footprint_bytes: u64,
    /// The spec's cost summary as it stands, if there is one.
    pub costs: Option<Vec<u8>>,
    /// Whether somebody wants the answers beside the files.
    pub answers: bool,
}

/// Whether others have taken a path: a stage that began in the same second as another run's, or another step's of this
/// run, has a number in its names, and so has the telemetry of a second step of one stage.
pub type Taken<'t> = dyn Fn(&str) -> io::Result<bool> + 't;

/// A file for the evidence root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Below the evidence root, with `/`.
    pub path: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Why the files of a stage cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The ledger cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The ledger has no such step, or it has not ended.
    #[error("no record says that the step has ended")]
    NoStep,
    /// Nobody can say which names others have taken.
    #[error("it cannot be told which names of files are taken")]
    Names(#[from] io::Error),
    /// A file would not be what its schema says: a mistake of this host, found before it is written.
    #[error("{path} does not match its schema: {what}")]
    Schema {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// What an agent said of a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Who.
    pub agent: String,
    /// What the stage came to: a consensus' status, or the step's.
    pub status: String,
    /// The share of points that agreed; none where nobody compared.
    pub agreement_ratio: Option<f64>,
    /// When the stage had ended, RFC 3339, by its record.
    pub at: String,
    /// The answer, as JSON.
    pub text: String,
}

/// The stages of one run, read from its ledger while that grows: each record once, however many stages there are.
pub struct Stages {
    tail: Tail,
    gather: gather::Gather,
    payloads: Payloads<'static>,
    costs: costs::Lines,
}

impl Stages {
    /// The stages of the run whose ledger is in `run_dir`; nothing is read yet.
    ///
    /// # Errors
    /// When it is no ledger.
    pub fn open(run_dir: &Path) -> Result<Self, Unreadable> {
        Ok(Self {
            tail: Tail::open(run_dir)?,
            gather: gather::Gather::default(),
            payloads: Payloads::growing(&RealDisk, run_dir),
            costs: costs::Lines::default(),
        })
    }

    /// Makes the files of a stage from what is in the ledger now, each held against its schema and then handed to `each`,
    /// and gives the answers that count, where they are wanted. The names that `taken` is asked for are handed over later.
    ///
    /// # Errors
    /// [`StageError`]; some of the files may have been handed over.
    pub fn views(
        &mut self,
        wanted: &Wanted,
        taken: &Taken<'_>,
        each: &mut dyn FnMut(View),
    ) -> Result<Vec<Answer>, StageError> {
        self.read_on()?;
        let stage = self.gather.stage(&wanted.step_id, &self.payloads);
        let stage = stage.ok_or(StageError::NoStep)?;
        files::files(&stage, wanted, taken, &mut self.costs, each)?;
        Ok(match wanted.answers {
            true => files::answers(&stage),
            false => Vec::new(),
        })
    }

    /// Reads what has come since the last time.
    fn read_on(&mut self) -> Result<(), Unreadable> {
        loop {
            let records = self.tail.more(RECORDS_AT_ONCE)?;
            records.iter().for_each(|record| self.gather.record(record));
            if records.len() < RECORDS_AT_ONCE {
                break;
            }
        }
        // A payload is written before the record that commits to it, so all that the records name are there.
        Ok(self.payloads.more()?)
    }
}
