//! A run that has ended: what it came to, and the files beside its ledger that say so to programs and to people.
//!
//! Whoever verifies the ledger compares each file with the last record of it, so a kill between the two must leave
//! nothing that looks altered: see [`First`].

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_ledger::{Ledger, LedgerError, Reached, Sealed};

use crate::base::failure::{Failure, ledger_failure};
use crate::base::tasks::blocking;
use crate::before::estimate::Estimate;
use crate::calls::driver::Outcome;
use crate::given::process::Process;
use crate::kept::document::RunDocument;
use crate::kept::journal::Journal;
use crate::kept::page::{Follower, views_of};

/// The report's name in a run's folder.
const REPORT: &str = "report.json";

/// Which of a view and its record comes first. A view that is not there is no fault, and neither is one that no record
/// names; one that is another than its record says is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// Of a run that one process has done: no record names the view yet. Nothing is waited for.
    View,
    /// Of a run that was taken up: a record may name what an earlier process wrote there. So that is removed, then the
    /// record is brought to the disk, and then the view is written.
    Record,
}

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

impl Evidence {
    /// Where the run leaves it, before anything of it is signed.
    pub(crate) fn unsealed(host: &Process, run: &str) -> Self {
        let run_dir = host.config.state.run_dir(run);
        Self {
            report: run_dir.join(REPORT),
            report_html: host.config.views.page().map(|page| run_dir.join(page)),
            run_dir,
            sealed: None,
        }
    }
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
    /// The plan's labels, as they are on record.
    pub labels: BTreeMap<String, String>,
    /// What happened.
    pub outcome: Outcome,
    /// What its model calls were expected to cost.
    pub estimate: Estimate,
    /// Where that can be checked.
    pub evidence: Evidence,
}

/// Writes what `run --json` prints beside the ledger, and its hash into it.
pub(crate) async fn write_report(
    host: &Process,
    finished: &Finished,
    (journal, ledger): (&Journal, &Ledger),
    first: First,
) -> Result<(), Failure> {
    // One line: half of the document that is laid out for people is spaces, and there is one for every run.
    let document = serde_json::to_vec(&RunDocument::from(finished));
    let mut bytes = document.map_err(|error| {
        Failure::new(Exit::Internal, "the report cannot be written").caused_by(&error)
    })?;
    bytes.push(b'\n');
    write_view(host, finished, (journal, ledger), (REPORT, &bytes), first).await
}

/// Writes what people read. Made on a thread that may take its time: a page of ten thousand steps must
/// not keep other runs waiting. The note that it names is signed, and brought to the disk, meanwhile: each takes as
/// long as the other for a run of few steps. What `follower` has read of the run beside it is not read again.
pub(crate) async fn write_views(
    host: &Arc<Process>,
    finished: &Finished,
    (journal, ledger): (&Journal, &Ledger),
    first: First,
    follower: Option<Arc<Follower>>,
) -> Result<(), Failure> {
    if host.config.views.page().is_none() {
        return Ok(());
    }
    let made_of = |signed: Reached, follower: Option<Arc<Follower>>| {
        let (made_by, run_dir) = (host.clone(), finished.evidence.run_dir.clone());
        blocking(move || {
            let heard = follower.and_then(|it| it.end());
            views_of(heard, (&run_dir, &signed), || {
                made_by.config.views.of(&run_dir, &signed)
            })
        })
    };
    let unsigned = |error: LedgerError| ledger_failure("the ledger cannot be signed", &error);
    // The page is made of what can be read: not of what the ledger still holds in memory.
    let reached = ledger.flush().await.map_err(unsigned)?;
    let (made, covered) = tokio::join!(made_of(reached.clone(), follower), ledger.checkpoint());
    let (mut made, covered) = (made?, covered.map_err(unsigned)?);
    if !covered.covers(&reached) {
        // Something was recorded in between: a view must not name a note that was never signed.
        let Sealed { size, root, .. } = covered;
        made = made_of(Reached { size, root }, None).await?;
    }
    for (name, bytes) in made {
        write_view(host, finished, (journal, ledger), (&name, &bytes), first).await?;
    }
    Ok(())
}

async fn write_view(
    host: &Process,
    finished: &Finished,
    (journal, ledger): (&Journal, &Ledger),
    (name, bytes): (&str, &[u8]),
    first: First,
) -> Result<(), Failure> {
    let (world, path) = (&host.config.world, finished.evidence.run_dir.join(name));
    let cannot = |error: io::Error| {
        let message = format!("cannot write `{}`", path.display());
        Failure::new(Exit::Internal, message).because(error.to_string())
    };
    if first == First::Record {
        match world.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot(error)),
            _ => {}
        }
        journal.view(name, bytes)?;
        let unwritten = |error: LedgerError| ledger_failure("the ledger cannot be written", &error);
        ledger.flush().await.map_err(unwritten)?;
    }
    world
        .write(&path, bytes, ledger.durability())
        .map_err(cannot)?;
    match first {
        First::View => journal.view(name, bytes),
        First::Record => Ok(()),
    }
}
