//! Runs that begin with each other's past have effects in common, and each of them may take one back: a fork that fails
//! does so with what the run before it had done. That run's own records do not say so.
//!
//! An effect is known by the run that made it and the path of its step, which a fork keeps. Which runs are of one family
//! the index says, and what each took back its own records; one that is gone says nothing any more. Where the index has no
//! fork, which is known without reading it, there is nothing to look for. Nothing is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use flowhost_flow::StepStatus;
use flowhost_flow::planner::fork::is_part_of;
use flowhost_ledger::records::Record;
use flowhost_ledger::{Kind, ReadError, RunIndex, read_run};

use crate::base::failure::Failure;
use crate::base::state::State;
use crate::earlier::resume::unreadable;
use crate::given::process::Process;

/// The end of a compensation's path, behind that of its step.
pub(crate) const COMPENSATION: &str = "!compensate";

/// What another run took back.
#[derive(Debug)]
pub(crate) struct TakenBack {
    pub(crate) step: String,
    /// The run that did.
    pub(crate) by: String,
    /// The step at which that run was forked; none where it is the one that the others begin with.
    pub(crate) fork_at: Option<String>,
    /// The event by which the step ended in the run that was asked about, by its record: a fork takes events, and the end
    /// of the step is recorded behind the last of them.
    pub(crate) ended: u64,
}

/// What other runs took back of what `run` has done or began with, the newest run last. Blocks on the disk.
pub(crate) fn taken_back(host: &Process, run: &str) -> Result<Vec<TakenBack>, Failure> {
    if !host.index.may_have_forks() {
        return Ok(Vec::new());
    }
    let state = &host.config.state;
    let family = family(state, run)?;
    if family.is_empty() {
        return Ok(Vec::new());
    }
    let effects = |run: &str| Effects::read(&state.run_dir(run), run);
    let own = effects(run).map_err(|error| unreadable(&error))?;
    let mut taken = Vec::new();
    for other in family {
        let theirs = match effects(&other) {
            Ok(theirs) => theirs,
            Err(error) => {
                tracing::debug!(run = other.as_str(), %error, "what it took back is not known");
                continue;
            }
        };
        for (step, stands) in &theirs.back {
            let same = own.origin(step) == theirs.origin(step);
            let Some(ended) = own.ended.get(step) else {
                continue;
            };
            // What this run took back itself its own records say.
            if *stands || !same || own.back.contains_key(step) {
                continue;
            }
            taken.push(TakenBack {
                step: step.clone(),
                by: other.clone(),
                fork_at: theirs.fork_at.clone(),
                ended: *ended,
            });
        }
    }
    Ok(taken)
}

/// The other runs that begin with the past of this one, or it with theirs, at any remove; in the order in which they
/// began.
fn family(state: &State, run: &str) -> Result<BTreeSet<String>, Failure> {
    let mut forks: Vec<(String, String)> = Vec::new();
    let index = RunIndex::read(state.root(), state.tenant());
    for record in index
        .map_err(|error| unreadable(&error))?
        .into_iter()
        .flatten()
    {
        let record = record.map_err(|error| unreadable(&error))?;
        if record.kind() == Some(Kind::RunStart)
            && let (Some(fork), Some(parent)) = (record.text("run_id"), record.text("parent"))
        {
            forks.push((fork.to_owned(), parent.to_owned()));
        }
    }
    let mut all = BTreeSet::from([run.to_owned()]);
    loop {
        let before = all.len();
        for (fork, parent) in &forks {
            if all.contains(fork) || all.contains(parent) {
                all.extend([fork.clone(), parent.clone()]);
            }
        }
        if all.len() == before {
            break;
        }
    }
    all.remove(run);
    Ok(all)
}

/// What a run's records say of its effects.
struct Effects {
    run: String,
    fork_at: Option<String>,
    /// Paths of the past that it began with, and the run that made the call.
    began_with: BTreeMap<String, String>,
    /// The last event of the planner.
    event: u64,
    /// Steps that ended well, and the event by which they did.
    ended: BTreeMap<String, u64>,
    /// Steps that it took back, or began to: whether their effect stands, as the run said of it.
    back: BTreeMap<String, bool>,
}

impl Effects {
    fn read(dir: &Path, run: &str) -> Result<Self, ReadError> {
        let mut effects = Self {
            run: run.to_owned(),
            fork_at: None,
            began_with: BTreeMap::new(),
            event: 0,
            ended: BTreeMap::new(),
            back: BTreeMap::new(),
        };
        for record in read_run(dir)? {
            let record = record?;
            if record.kind() == Some(Kind::PlannerEvent) {
                effects.event = record.seq;
                continue;
            }
            let wanted = matches!(
                record.kind(),
                Some(
                    Kind::RunStart
                        | Kind::CallReuse
                        | Kind::StepStart
                        | Kind::StepEnd
                        | Kind::RunSettle
                )
            );
            if wanted && let Ok(Some(said)) = record.read() {
                effects.take(said);
            }
        }
        Ok(effects)
    }

    fn take(&mut self, said: Record) {
        match said {
            Record::RunStart(start) => self.fork_at.clone_from(&start.fork_at),
            Record::CallReuse(reuse) if reuse.counts == Some(true) => {
                self.began_with
                    .insert(reuse.at.path.clone(), reuse.run_id.clone());
            }
            Record::StepStart(start) => {
                if let Some(step) = start.at.path.strip_suffix(COMPENSATION) {
                    self.back.insert(step.to_owned(), false);
                }
            }
            Record::StepEnd(end) => match end.at.path.strip_suffix(COMPENSATION) {
                Some(step) => {
                    let stands = end.status == StepStatus::Failed.word();
                    self.back.insert(step.to_owned(), stands);
                }
                None if end.status == StepStatus::Ok.word() => {
                    self.ended.insert(end.at.path.clone(), self.event);
                }
                None => {}
            },
            // Behind the end of the run a person took it back by hand. Before, the compensation's own end follows.
            Record::RunSettle(word) if word.r#as == "done" => {
                if let Some(step) = word.path.strip_suffix(COMPENSATION) {
                    self.back.insert(step.to_owned(), false);
                }
            }
            _ => {}
        }
    }

    /// The run that made the effect of a step.
    fn origin(&self, step: &str) -> &str {
        let mut past = self.began_with.iter();
        let made = past.find(|(path, _)| is_part_of(path, step));
        made.map_or(self.run.as_str(), |(_, run)| run.as_str())
    }
}

/// The steps and the newest run that took one of them back, in words, and the command that does them anew; none where
/// nothing was taken back. `at` is the step at which it is to go on, where somebody named it.
pub(crate) fn told(taken: &[&TakenBack], at: Option<&str>) -> Option<(String, Option<String>)> {
    let last = taken.last()?;
    let steps: BTreeSet<&str> = taken.iter().map(|it| it.step.as_str()).collect();
    let steps: Vec<String> = steps.into_iter().map(|step| format!("`{step}`")).collect();
    let by = &last.by;
    let why = format!(
        "run {by}, which has the same past, took back {}: what was done is gone",
        steps.join(", ")
    );
    let at = at.or(last.fork_at.as_deref());
    let command = at.map(|at| {
        let at = flowhost_words::shell_word(at);
        format!("flowhost runs fork {by} --at {at}")
    });
    Some((why, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(step: &str, by: &str) -> TakenBack {
        TakenBack {
            step: step.to_owned(),
            by: by.to_owned(),
            fork_at: Some("ship it".to_owned()),
            ended: 1,
        }
    }

    #[test]
    fn what_was_taken_back_is_told_with_the_run_that_does_it_anew() {
        assert_eq!(told(&[], None), None);
        let (charge, reserve) = (taken("charge", "A"), taken("reserve", "B"));
        let (why, command) = told(&[&charge, &reserve], None).unwrap();
        assert!(
            why.contains("run B") && why.contains("`charge`, `reserve`"),
            "{why}"
        );
        assert_eq!(command.unwrap(), "flowhost runs fork B --at 'ship it'");
        let (_, command) = told(&[&charge], Some("pack")).unwrap();
        assert_eq!(command.unwrap(), "flowhost runs fork A --at pack");
    }
}
