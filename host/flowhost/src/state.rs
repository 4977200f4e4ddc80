//! How a person names a run, and which runs there are.

use std::path::PathBuf;

use flowhost_evidence::runs::{self, RunEntry};
use flowhost_flow::Exit;
use flowhost_ledger::{RealDisk, RunIndex, Source, check_run, open_archive};
pub use flowhost_run::State;

use crate::ambient::Ambient;
use crate::failure::Failure;

/// How a person names the newest run.
const LATEST: &str = "latest";

/// Finds runs in the folders of a state root.
pub trait FindRuns {
    /// Names of all runs, oldest first: ULIDs sort by time.
    ///
    /// # Errors
    /// When the folder is there and cannot be listed.
    fn runs(&self, ambient: &Ambient) -> Result<Vec<String>, Failure>;

    /// The run that a person means: an id, an unambiguous beginning of one, or `latest`.
    ///
    /// # Errors
    /// When there is none, when it was removed or is gone, or when more than one is meant. `latest` is refused where the
    /// newest run is gone: an older one is not what was meant.
    fn resolve_run(&self, ambient: &Ambient, wanted: &str) -> Result<String, Failure>;

    /// The run that was removed on purpose and whose id begins so, by the index of runs.
    fn removed_run(&self, wanted: &str) -> Option<RunEntry>;

    /// The run whose id begins so, that the index of runs has, and whose folder is gone.
    fn gone_run(&self, wanted: &str) -> Option<String>;

    /// The files of the run that a person means, to be read: those in its folder, or in its archive where it was
    /// removed.
    ///
    /// # Errors
    /// As [`FindRuns::resolve_run`], for a run that was removed without an archive; when the archive is not here, or
    /// not the one that the index of runs names; when the folder holds another run.
    fn files_of_run(&self, ambient: &Ambient, wanted: &str) -> Result<RunFiles, Failure>;
}

/// Where a run can be read.
#[derive(Debug)]
pub struct RunFiles {
    /// Its id.
    pub run: String,
    /// What its files are in.
    pub source: Box<dyn Source>,
    /// Where they are in that.
    pub dir: PathBuf,
    /// Whether that is an archive.
    pub archived: bool,
}

impl FindRuns for State {
    fn runs(&self, ambient: &Ambient) -> Result<Vec<String>, Failure> {
        match ambient.list(&self.runs_dir()) {
            Ok(names) => Ok(names.into_iter().filter(|name| is_run_id(name)).collect()),
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    fn resolve_run(&self, ambient: &Ambient, wanted: &str) -> Result<String, Failure> {
        let runs = self.runs(ambient)?;
        if wanted == LATEST
            && let Some(newest) = newest_gone(self, &runs)
        {
            return Err(gone(self, &newest).hint(
                "`latest` means no older run in its place: name the one that is meant; `flowhost runs list` shows them",
            ));
        }
        pick(&runs, wanted).map_err(|message| {
            if let Some(run) = self.removed_run(wanted) {
                return removed(&run);
            }
            if let Some(run) = self.gone_run(wanted) {
                return gone(self, &run);
            }
            Failure::new(Exit::Internal, message)
                .because(format!("runs are kept in `{}`", self.runs_dir().display()))
                .hint("`flowhost runs list` shows them; `--state DIR` looks elsewhere")
        })
    }

    fn removed_run(&self, wanted: &str) -> Option<RunEntry> {
        listed_as(self, wanted, |run| run.removed.is_some())
    }

    fn gone_run(&self, wanted: &str) -> Option<String> {
        let found = listed_as(self, wanted, |run| run.removed.is_none());
        // Of all that were not removed: a beginning that fits one that is there, too, names neither.
        found.map(|run| run.run_id).filter(|run| is_gone(self, run))
    }

    fn files_of_run(&self, ambient: &Ambient, wanted: &str) -> Result<RunFiles, Failure> {
        // A run that is there before one that was removed: a beginning that fits both means what one can see in the
        // list.
        let refused = match self.resolve_run(ambient, wanted) {
            Ok(run) => {
                is_its_own(self, &run)?;
                return Ok(RunFiles {
                    dir: self.run_dir(&run),
                    run,
                    source: Box::new(RealDisk),
                    archived: false,
                });
            }
            Err(refused) => refused,
        };
        let removed = self.removed_run(wanted);
        let archived = removed.and_then(|run| Some((run.run_id, run.removed?.archive?)));
        let Some((run, sha256)) = archived else {
            return Err(refused);
        };
        let archive = open_archive(self.root(), self.tenant(), &run, &sha256);
        let archive = archive.map_err(|error| {
            let what = format!("the run {run} was removed, and cannot be read from its archive");
            Failure::new(Exit::Internal, what).caused_by(&error).hint(
                "bring the file back to where it was; `flowhost verify FILE` checks it where it is",
            )
        })?;
        Ok(RunFiles {
            run,
            source: Box::new(archive),
            dir: PathBuf::new(),
            archived: true,
        })
    }
}

/// That the folder of a run holds the ledger of that run: what another one did is no answer to what this one did.
///
/// # Errors
/// When it holds another's.
pub fn is_its_own(state: &State, run: &str) -> Result<(), Failure> {
    let checked = check_run(&RealDisk, &state.run_dir(run), state.tenant(), run);
    checked.map_err(|error| {
        let what = format!("the folder of run {run} holds another run");
        Failure::new(Exit::Internal, what)
            .because(error.to_string())
            .hint(format!(
                "bring the run's own folder back to its place; `flowhost verify {run}` says what lies there now"
            ))
    })
}

/// The one run of the index whose id begins so and that `is_it` takes.
fn listed_as(state: &State, wanted: &str, is_it: impl Fn(&RunEntry) -> bool) -> Option<RunEntry> {
    // ULIDs are written in capitals and read in either (Crockford's base 32).
    let upper = wanted.to_ascii_uppercase();
    // An index that cannot be read knows of no run: this only finds better words for a run that is not there.
    let mut found = runs::list(state.root(), state.tenant())
        .unwrap_or_default()
        .into_iter()
        .filter(|run| !upper.is_empty() && run.run_id.starts_with(&upper) && is_it(run));
    let first = found.next();
    // Of several, none was named.
    first.filter(|_| found.next().is_none())
}

/// Whether a run that the index has, and does not call removed, has no folder.
#[must_use]
pub fn is_gone(state: &State, run: &str) -> bool {
    !RunIndex::has_folder(state.root(), state.tenant(), run)
}

/// That the folder of a run is gone, and nobody removed the run on purpose.
#[must_use]
pub fn gone(state: &State, run: &str) -> Failure {
    let dir = state.run_dir(run);
    Failure::new(Exit::Internal, format!("the run {run} is gone"))
        .because(format!(
            "`{}` is not there, and no `runs rm` or `runs prune` removed it",
            dir.display()
        ))
        .hint(format!(
            "bring the folder back from a backup, or start the plan again; `flowhost runs rm {run}` takes the run out of \
             the index of runs"
        ))
}

/// The newest run of the index, if it is newer than all that have a folder, and gone.
fn newest_gone(state: &State, folders: &[String]) -> Option<String> {
    // The end of the index is enough, and where it cannot be read, it says nothing against a run that is there.
    let newest = runs::newest(state.root(), state.tenant()).ok()?;
    let newest = newest.into_iter().filter(|run| run.removed.is_none());
    let newest = newest.map(|run| run.run_id).max()?;
    let is_newer = folders.last().is_none_or(|last| *last < newest);
    (is_newer && is_gone(state, &newest)).then_some(newest)
}

/// That a run is not there any more, and what is.
fn removed(run: &RunEntry) -> Failure {
    let id = &run.run_id;
    let removed = run.removed.as_ref();
    let at = removed.map_or("", |it| it.at.split('.').next().unwrap_or(&it.at));
    let failure =
        Failure::new(Exit::Internal, format!("the run {id} was removed")).because(format!(
            "on {} UTC, by `runs prune` or `runs rm`",
            at.replace('T', " ")
        ));
    match removed.is_some_and(|it| it.archive.is_some()) {
        true => failure.hint(format!(
            "`flowhost runs restore {id}` brings it back out of its archive; `runs show`, `runs report`, `verify`, \
             `policy suggest`, `evidence export` and `evidence prove` read it there"
        )),
        false => failure.hint("nothing of it was kept but its lines in the index of runs"),
    }
}

fn is_run_id(name: &str) -> bool {
    // Other names in that folder are half-made runs and what a person put there.
    name.len() == 26
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn pick(runs: &[String], wanted: &str) -> Result<String, String> {
    if wanted == LATEST {
        return runs
            .last()
            .cloned()
            .ok_or_else(|| "no run is recorded yet".to_owned());
    }
    let upper = wanted.to_ascii_uppercase();
    let mut matches = runs
        .iter()
        .filter(|run| !upper.is_empty() && run.starts_with(&upper));
    match (matches.next(), matches.count()) {
        (Some(run), 0) => Ok(run.clone()),
        (Some(_), more) => Err(format!("`{wanted}` is the beginning of {} runs", more + 1)),
        (None, _) => Err(format!("no run is recorded as `{wanted}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs() -> Vec<String> {
        [
            "01KA0000000000000000000000",
            "01KA0000000000000000000001",
            "01KB0000000000000000000000",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    #[test]
    fn refuses_a_beginning_that_means_two_runs_or_none() {
        assert!(pick(&runs(), "01KA").unwrap_err().contains("2 runs"));
        assert!(pick(&runs(), "01KC").is_err());
        assert!(pick(&runs(), "").is_err());
        assert!(pick(&[], "latest").is_err());
    }

    #[test]
    fn finds_a_run_by_its_beginning_in_any_case_or_as_the_latest() {
        assert_eq!(
            pick(&runs(), "01kb").as_deref(),
            Ok("01KB0000000000000000000000")
        );
        assert_eq!(
            pick(&runs(), "latest").as_deref(),
            Ok("01KB0000000000000000000000")
        );
    }

    #[test]
    fn takes_no_other_folder_for_a_run() {
        assert!(!is_run_id("../../../../../../../../et"));
        assert!(!is_run_id("notes"));
    }
}
