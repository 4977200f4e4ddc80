//! The runs of this host that worked on a spec in one evidence folder: how the newest of them ended, and which files they have
//! on record.
//!
//! Files tell nothing of a run whose files are gone, and the index of runs does not say where a run's evidence lies: two plans
//! may have the same spec in two folders. Must never let one folder's run stand for another's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowhost::failure::Failure;
use flowhost::kept::BUNDLE_BYTES_MAX;
use flowhost::output::neutral;
use flowhost_evidence::packet::{Newest, Recorded, Spec as Told};
use flowhost_evidence::runs::RunEntry;
use flowhost_flow::plan::Plan;
use flowhost_run::bundle::{BUNDLE, Bundle};
use flowhost_run::specs::stage_and_time;

use super::ledgers;
use super::runs_list::listed;
use super::spec_files::{Gathered, newest_runs};
use crate::commands::Context;

/// The runs of a spec.
pub(super) struct SpecRuns {
    /// Newest first.
    runs: Vec<RunEntry>,
    /// Whether the folder is the one that these runs wrote to, and no copy of it.
    are_of_folder: bool,
    /// The runs that files name.
    named: BTreeSet<String>,
}

impl SpecRuns {
    /// Where nothing is known of any run but what files say.
    pub(super) fn unknown(gathered: &Gathered) -> Self {
        Self {
            runs: Vec::new(),
            are_of_folder: false,
            named: newest_runs(&gathered.files).into_values().collect(),
        }
    }

    /// The runs of the spec `id` whose evidence is in the folder `evidence`; where that is a copy, the runs of the one
    /// that it was copied from.
    pub(super) fn find(
        id: &str,
        evidence: &Path,
        gathered: &Gathered,
        context: &Context,
    ) -> Result<Self, Failure> {
        let unknown = Self::unknown(gathered);
        let mut runs = listed(context)?;
        // All of them: a stage of which no file is left may have had its last run long ago.
        runs.retain(|it| it.spec.as_deref() == Some(id));
        runs.reverse();
        let canonical = |path: PathBuf| context.ambient.canonical(&path).unwrap_or(path);
        let folder = canonical(context.ambient.resolve(evidence));
        // Of a run that is removed nobody knows where its files are: it may be of this folder.
        let is_here =
            |run: &RunEntry| folder_of(run, context).is_none_or(|it| canonical(it) == folder);
        let (here, elsewhere): (Vec<_>, Vec<_>) = runs.into_iter().partition(is_here);
        if !here.is_empty() {
            return Ok(Self {
                runs: here,
                are_of_folder: true,
                ..unknown
            });
        }
        let is_copy = elsewhere
            .iter()
            .any(|it| unknown.named.contains(&it.run_id));
        Ok(match is_copy {
            true => Self {
                runs: elsewhere,
                ..unknown
            },
            false => unknown,
        })
    }

    /// How the newest run stands; none where runs that are not here have left newer files.
    pub(super) fn newest(self, told: &Told<'_>) -> Option<Newest> {
        let run = self.runs.into_iter().next()?;
        // Ids of runs are in the order of time.
        let is_newest = told.stages.iter().all(|it| it.run_id <= run.run_id);
        is_newest.then_some(Newest {
            run_id: run.run_id,
            status: run.status,
        })
    }

    /// The files of stages that these runs have on record. A copy of a folder may have been made before the later runs:
    /// of it, those of the runs that it names.
    pub(super) fn recorded(&self, id: &str, gathered: &Gathered, context: &Context) -> Recorded {
        let of_folder = self.runs.iter().filter(|_| self.are_of_folder);
        let ids: BTreeSet<&str> = of_folder
            .map(|it| it.run_id.as_str())
            .chain(self.named.iter().map(String::as_str))
            .collect();
        let folder = format!("consensus/{id}/");
        let mut recorded = Recorded::new();
        for run in ids {
            let paths = ledgers::paths_of(run, context).unwrap_or_else(|why| {
                let note = format!("note: what the run {run} has on record is not known: {why}\n");
                context.output.message(&neutral(&note));
                BTreeSet::new()
            });
            for path in paths {
                // One that is in an archive is not gone, also where a packet does not tell of its run.
                let is_kept = gathered.files.contains_key(&path);
                let is_away = !is_kept && gathered.archived.contains(&path);
                if path.starts_with(&folder) && stage_and_time(&path).is_some() && !is_away {
                    recorded.entry(path).or_insert_with(|| run.to_owned());
                }
            }
        }
        recorded
    }
}

/// The evidence folder of a run, by the plan that is kept of it; none where that is not kept.
fn folder_of(run: &RunEntry, context: &Context) -> Option<PathBuf> {
    let file = context.state.run_dir(&run.run_id).join(BUNDLE);
    let bytes = context.ambient.read(&file, BUNDLE_BYTES_MAX).ok()?;
    let bundle = Bundle::read(&bytes).ok()?;
    // An older host did not say where it was.
    if bundle.cwd.as_os_str().is_empty() {
        return None;
    }
    let (plan, _) = Plan::survey(bundle.files.get(&bundle.plan)?, &bundle.plan);
    let root = plan?.evidence?.root;
    let plan = bundle.cwd.join(&bundle.plan);
    Some(plan.parent()?.join(root))
}
