//! `flowhost runs rm RUN…` and `flowhost runs prune`: runs go, and the index of runs says so.

use std::path::PathBuf;

use flowhost::failure::Failure;
use flowhost::host::signing_key;
use flowhost::output::{counted, neutral, one_line};
use flowhost::state::FindRuns as _;
use flowhost_evidence::runs::{GONE, RunEntry, UNFINISHED, WAITING};
use flowhost_evidence::text::bytes;
use flowhost_flow::Exit;
use flowhost_ledger::{Archived, RemoveError, RunIndex, archive_path, timestamp};
use serde_json::{Value, json};

use crate::cli::{PruneArgs, RmArgs};
use crate::commands::runs_list::there;
use crate::commands::tables::plain_table;
use crate::commands::{Context, runs_show::seconds};

/// `runs rm`: all of them, or, when one cannot go, none.
pub(super) fn remove(args: &RmArgs, context: &Context) -> Result<Exit, Failure> {
    let entries = there(context)?;
    let mut meant = Vec::new();
    for wanted in &args.runs {
        let run = meant_by(wanted, &entries, context)?;
        // Each is looked at before the first goes.
        may_go(run, args.force)?;
        if !meant.iter().any(|it: &RunEntry| it.run_id == run.run_id) {
            // One that was named twice goes once: the second time it would not be there.
            meant.push(run.clone());
        }
    }
    take(&meant, false, None, context)
}

/// The run of this name: one that is there, one that was archived, or one whose folder is gone.
fn meant_by<'e>(
    wanted: &str,
    entries: &'e [RunEntry],
    context: &Context,
) -> Result<&'e RunEntry, Failure> {
    let run = context
        .state
        .resolve_run(&context.ambient, wanted)
        .or_else(|failure| {
            let archived = context
                .state
                .removed_run(wanted)
                .filter(|run| run.removed.as_ref().is_some_and(|it| it.archive.is_some()));
            let archived = archived.map(|run| run.run_id);
            let gone = || context.state.gone_run(wanted);
            archived.or_else(gone).ok_or(failure)
        })?;
    entries.iter().find(|it| it.run_id == run).ok_or_else(|| {
        Failure::new(Exit::Internal, format!("the run {run} cannot be removed"))
            .because("the index of runs does not know it: somebody else put its folder there")
            .hint("`flowhost verify DIR` of the state folder says more")
    })
}

fn may_go(run: &RunEntry, force: bool) -> Result<(), Failure> {
    let id = &run.run_id;
    let refused = |why: &str, hint: String| {
        let what = format!("the run {id} cannot be removed");
        Err(Failure::new(Exit::Internal, what).because(why).hint(hint))
    };
    match run.status.as_str() {
        UNFINISHED => refused(
            "another process is at work on it",
            format!("`flowhost runs cancel {id}` ends it, `flowhost runs watch {id}` follows it"),
        ),
        WAITING if !force && run.removed.is_none() => refused(
            "it waits for a person, and could still go on",
            format!("`flowhost runs show {id}` says for what; `--force` removes it all the same"),
        ),
        _ => Ok(()),
    }
}

/// `runs prune`.
pub(super) fn perform(args: &PruneArgs, context: &Context) -> Result<Exit, Failure> {
    let mut entries = there(context)?;
    // What `verify` says of a run that somebody took is not taken back in passing.
    let is_gone = |run: &RunEntry| run.status == GONE;
    if let Some(run) = entries.iter().find(|run| is_gone(run))
        && !context.output.json
    {
        let run = &run.run_id;
        let text = match entries.iter().filter(|run| is_gone(run)).count() {
            1 => format!(
                "note: the run {run} is gone and stays in the index; `flowhost runs rm {run}` takes it out\n"
            ),
            count => format!(
                "note: {count} runs are gone and stay in the index; `flowhost runs rm {run}` takes one out\n"
            ),
        };
        context.output.message(&context.state.told(&text));
    }
    entries.retain(|run| !is_gone(run));
    let (go, wait) = candidates(entries, args, context.ambient.now_ms());
    if !context.output.json && wait > 0 {
        let text = match wait {
            1 => "note: 1 run waits for a person and stays\n".to_owned(),
            _ => format!("note: {wait} runs wait for a person and stay\n"),
        };
        context.output.message(&text);
    }
    if args.dry_run {
        return Ok(shown(&go, wait, context));
    }
    take(&go, !args.no_archive, Some(wait), context)
}

/// The runs that go, oldest first, and how many would but for waiting for a person.
fn candidates(entries: Vec<RunEntry>, args: &PruneArgs, now_ms: u64) -> (Vec<RunEntry>, usize) {
    // As text in the form of the index: its times are compared as they are written there, and sort as they pass.
    let before = args
        .older_than
        .map(|ms| timestamp(now_ms.saturating_sub(ms).saturating_mul(1_000)));
    let mut meant: Vec<RunEntry> = entries
        .into_iter()
        .filter(|run| run.removed.is_none() && args.filter.means(run))
        .collect();
    let newest = args.keep.unwrap_or(0);
    // Before the age is looked at: the newest stay, also where they are old. Both options together remove what
    // neither keeps.
    meant.truncate(meant.len().saturating_sub(newest));
    // A run that has not ended is as young as can be.
    meant.retain(|run| {
        let ended = run.ended.as_ref();
        ended.is_some_and(|ended| before.as_ref().is_none_or(|before| ended < before))
    });
    let (wait, go): (Vec<_>, Vec<_>) = meant.into_iter().partition(|run| run.status == WAITING);
    (go, wait.len())
}

/// What would go, and how many would but for waiting for a person.
fn shown(go: &[RunEntry], wait: usize, context: &Context) -> Exit {
    if context.output.json {
        let document = json!({ "dry_run": true, "runs": go, "waiting": wait });
        context.output.document(&document);
    } else if go.is_empty() {
        context.output.message("no run would be removed\n");
    } else {
        let mut table = plain_table(&["run", "ended", "status", "plan"]);
        for run in go {
            table.add_row([
                run.run_id.clone(),
                seconds(run.ended.as_deref().unwrap_or_default()),
                one_line(&run.status),
                one_line(&run.plan),
            ]);
        }
        context.output.result(&format!("{}\n", table.trim_fmt()));
        let text = format!("{} would be removed\n", counted(go.len(), "run"));
        context.output.message(&text);
    }
    Exit::Ok
}

/// What became of one run.
struct Taken {
    run: String,
    archive: Option<(PathBuf, Archived)>,
    /// Its folder was gone before.
    gone: bool,
}

impl Taken {
    fn document(&self) -> Value {
        let Some((path, archive)) = &self.archive else {
            return match self.gone {
                true => json!({ "run_id": self.run, "gone": true }),
                false => json!({ "run_id": self.run }),
            };
        };
        json!({
            "run_id": self.run, "archive": path.display().to_string(),
            "archive_sha256": archive.sha256, "archive_bytes": archive.bytes,
        })
    }

    fn line(&self) -> String {
        match &self.archive {
            Some((path, archive)) => format!(
                "removed {}, archived in {} ({}, SHA-256 {})\n",
                self.run,
                path.display(),
                bytes(archive.bytes),
                archive.sha256
            ),
            None if self.gone => format!(
                "took {} out of the index of runs: its folder is gone\n",
                self.run
            ),
            None => format!("removed {}\n", self.run),
        }
    }
}

/// Removes the runs one after another; ends at the first that cannot go, and says which ones went, and how many wait for a
/// person and stay where that was looked at.
fn take(
    runs: &[RunEntry],
    archives: bool,
    wait: Option<usize>,
    context: &Context,
) -> Result<Exit, Failure> {
    let (ambient, state) = (&context.ambient, &context.state);
    let key = signing_key(ambient, &context.config, state)?;
    let index = RunIndex::new(state.root(), state.tenant(), key);
    let mut taken = Vec::new();
    let mut failed = None;
    if !runs.is_empty() {
        let mut removal = index.removal().map_err(|error| refused(&error))?;
        for run in runs {
            let gone = run.status == GONE;
            let taken_away = match gone {
                true => removal.forget(&run.run_id).map(|()| None),
                false => removal.remove(&run.run_id, archives),
            };
            match taken_away {
                Ok(archived) => {
                    let path = archive_path(state.root(), state.tenant(), &run.run_id);
                    taken.push(Taken {
                        run: run.run_id.clone(),
                        archive: archived.map(|archived| (path, archived)),
                        gone,
                    });
                }
                Err(error) => {
                    failed = Some(refused(&error).because(match taken.len() {
                        0 => "nothing was removed".to_owned(),
                        n => format!("{} before it", counted(n, "run") + " went"),
                    }));
                    // What is wrong with one (a full disk, a lock) is likely to be wrong with the next.
                    break;
                }
            }
        }
    }
    if !context.output.json {
        for it in &taken {
            context.output.result(&neutral(&it.line()));
        }
        if runs.is_empty() {
            context.output.message("no run was removed\n");
        }
    }
    // After those that went have been told.
    if let Some(failure) = failed {
        return Err(failure);
    }
    if context.output.json {
        let removed: Vec<Value> = taken.iter().map(Taken::document).collect();
        let mut document = json!({ "dry_run": false, "removed": removed });
        if let (Some(wait), Some(fields)) = (wait, document.as_object_mut()) {
            fields.insert("waiting".to_owned(), wait.into());
        }
        context.output.document(&document);
    }
    Ok(Exit::Ok)
}

fn refused(error: &RemoveError) -> Failure {
    let failure = Failure::new(Exit::Internal, "a run cannot be removed").caused_by(error);
    match error {
        RemoveError::NotEnded(run) | RemoveError::InUse(run) => failure.hint(format!(
            "`flowhost runs cancel {run}` ends it, `flowhost runs watch {run}` follows it"
        )),
        RemoveError::Removed(_) => {
            failure.hint("`flowhost runs list --removed` shows what was removed")
        }
        _ => failure.hint("`flowhost verify DIR` of the state folder says what is wrong with it"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::cli::FilterArgs;

    fn run(id: &str, ended: Option<u64>, status: &str, plan: &str) -> RunEntry {
        RunEntry {
            run_id: id.to_owned(),
            started: timestamp(0),
            ended: ended.map(|hours| timestamp(hours * 3_600_000_000)),
            status: status.to_owned(),
            plan: plan.to_owned(),
            plan_hash: String::new(),
            records: None,
            labels: BTreeMap::new(),
            spec: None,
            removed: None,
            warning: None,
        }
    }

    fn args(keep: Option<usize>, older_than_hours: Option<u64>, plan: Option<&str>) -> PruneArgs {
        PruneArgs {
            keep,
            older_than: older_than_hours.map(|hours| hours * 3_600_000),
            filter: FilterArgs {
                status: Vec::new(),
                plan: plan.map(str::to_owned),
                labels: Vec::new(),
            },
            no_archive: false,
            dry_run: false,
        }
    }

    fn pruned(args: &PruneArgs) -> (Vec<String>, usize) {
        let runs = vec![
            run("a", Some(1), "ok", "x"),
            run("b", Some(2), WAITING, "x"),
            run("c", Some(3), "failed", "y"),
            run("d", None, UNFINISHED, "x"),
            run("e", Some(5), "ok", "x"),
        ];
        let (go, wait) = candidates(runs, args, 6 * 3_600_000);
        (go.into_iter().map(|run| run.run_id).collect(), wait)
    }

    #[test]
    fn a_run_at_work_and_one_that_waits_stay_whatever_is_asked() {
        let (go, wait) = pruned(&args(Some(0), None, None));
        assert_eq!((go.join(""), wait), ("ace".to_owned(), 1));
    }

    #[test]
    fn a_run_goes_only_if_all_bounds_let_it() {
        assert_eq!(pruned(&args(Some(2), None, None)).0.join(""), "ac");
        assert_eq!(pruned(&args(None, Some(3), None)).0.join(""), "a");
        assert_eq!(pruned(&args(Some(4), Some(1), None)).0.join(""), "a");
        assert_eq!(pruned(&args(Some(1), None, Some("x"))).0.join(""), "a");
        assert_eq!(pruned(&args(Some(9), None, None)).0.join(""), "");
    }
}
