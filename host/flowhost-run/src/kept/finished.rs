//! A run that has ended: what it came to, and the files beside its ledger that say so to programs and to people.
//!
//! A file is written first and its hash recorded after: a record never names what is not there.

use std::path::PathBuf;
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_ledger::{Durability, Ledger, LedgerError, Reached, Sealed};

use crate::base::failure::{Failure, ledger_failure};
use crate::base::tasks::blocking;
use crate::before::estimate::Estimate;
use crate::calls::driver::Outcome;
use crate::host::Inner;
use crate::kept::document::RunDocument;
use crate::kept::journal::Journal;

/// The report's name in a run's folder.
pub(crate) const REPORT: &str = "report.json";

/// Where a finished run left its evidence.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// The ledger's folder.
    pub run_dir: PathBuf,
    /// The report's file.
    pub report: PathBuf,
    /// The report as a page for people, where the run has left one.
    pub report_html: Option<PathBuf>,
    /// What the last checkpoint covers; none in the report that the checkpoint itself covers.
    pub sealed: Option<Sealed>,
}

/// A run that has ended, in whatever way.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The run's ULID.
    pub run: String,
    /// The plan's hash.
    pub plan_hash: String,
    /// The seed that was used.
    pub seed: u64,
    /// What happened.
    pub outcome: Outcome,
    /// What its model calls were expected to cost.
    pub estimate: Estimate,
    /// Where that can be checked.
    pub evidence: Evidence,
}

/// Writes what `run --json` prints beside the ledger, and its hash into it.
pub(crate) fn write_report(
    host: &Inner,
    finished: &Finished,
    journal: &Journal,
    durability: Durability,
) -> Result<(), Failure> {
    // One line: half of the document that is laid out for people is spaces, and there is one for every run.
    let document = serde_json::to_vec(&RunDocument::from(finished));
    let mut bytes = document.map_err(|error| {
        Failure::new(Exit::Internal, "the report cannot be written").caused_by(&error)
    })?;
    bytes.push(b'\n');
    write_view(host, finished, journal, (REPORT, &bytes), durability)
}

/// Writes what people read. Made on a thread that may take its time: a page of ten thousand steps must
/// not keep other runs waiting. The note that it names is signed, and brought to the disk, meanwhile: each takes as
/// long as the other for a run of few steps.
pub(crate) async fn write_views(
    host: &Arc<Inner>,
    finished: &Finished,
    journal: &Journal,
    ledger: &Ledger,
) -> Result<(), Failure> {
    if host.config.views.page().is_none() {
        return Ok(());
    }
    let made_of = |signed: Reached| {
        let (made_by, run_dir) = (host.clone(), finished.evidence.run_dir.clone());
        blocking(move || made_by.config.views.of(&run_dir, &signed))
    };
    let unsigned = |error: LedgerError| ledger_failure("the ledger cannot be signed", &error);
    let reached = ledger.flush().await.map_err(unsigned)?;
    let (made, covered) = tokio::join!(made_of(reached.clone()), ledger.checkpoint());
    let (mut made, covered) = (made?, covered.map_err(unsigned)?);
    if !covered.covers(&reached) {
        // Something was recorded in between: a view must not name a note that was never signed.
        let Sealed { size, root, .. } = covered;
        made = made_of(Reached { size, root }).await?;
    }
    for (name, bytes) in made {
        write_view(
            host,
            finished,
            journal,
            (&name, &bytes),
            ledger.durability(),
        )?;
    }
    Ok(())
}

fn write_view(
    host: &Inner,
    finished: &Finished,
    journal: &Journal,
    (name, bytes): (&str, &[u8]),
    durability: Durability,
) -> Result<(), Failure> {
    let path = finished.evidence.run_dir.join(name);
    host.config
        .world
        .write(&path, bytes, durability)
        .map_err(|error| {
            let message = format!("cannot write `{}`", path.display());
            Failure::new(Exit::Internal, message).because(error.to_string())
        })?;
    journal.view(name, bytes)
}
