//! The evidence files of a run's stages: who may write them, when, and how much there may be.
//!
//! Owns the lock of a spec, the bounds of its footprint, and the order of writing: the records first (and, of a durable
//! run, signed), then the files that are read from them, each with the record that names it. What the files say
//! is a view's ([`crate::StageViews::stage`]). Must never write outside of the evidence root, and never into the
//! folders of another spec.
//!
//! A kill may come between a stage's end on record and the last of its files. Nothing else of the run goes on before
//! they are written, so only what ended last can be without them: whoever takes the run up writes them before anything
//! of it is begun, from the same records and so with the same bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use cap_std::fs::Dir;
use flowhost_flow::plan::{Evidence, Remember};
use flowhost_flow::planner::StepSummary;
use flowhost_flow::{Exit, StepStatus};
use flowhost_ledger::{Durability, Ledger};

use crate::base::failure::{Failure, ledger_failure};
use crate::base::nofollow;
use crate::base::tasks::blocking;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::given::world::{StageViews, StageWanted};
use crate::kept::journal::Journal;
use crate::kept::memory;
use crate::kept::specs::{self, Put, Spec};

mod write;

use write::{To, write};

/// What the files end with that a person looks at first when a stage did not go well.
const SHOWN: [&str; 3] = ["_synthesis.json", "_verdict.json", "_telemetry.jsonl"];
/// Bytes of a megabyte, as `warn_mb` and `max_mb` count them. Decimal, as disks and people count.
const MEGABYTE: u64 = 1_000_000;

/// Writes the evidence of one run's stages; while it lives, no other run writes that of the same spec.
pub(crate) struct Stages {
    host: Arc<Process>,
    ledger: Ledger,
    spec: Evidence,
    plan_dir: PathBuf,
    run_id: String,
    run_dir: PathBuf,
    /// Bytes of the spec's files. Counted once, under the lock: nobody else writes them while it is held.
    footprint: u64,
    warned: bool,
    /// What is kept of stages beyond the run, by the paths of their steps.
    remembered: BTreeMap<String, Remember>,
    /// Who makes the files; none until the first stage has ended, and while somebody makes some.
    views: Option<Box<dyn StageViews>>,
    /// Released by the system when this is dropped, also when the process dies.
    _lock: std::fs::File,
}

/// Whether a stage ends with this step: a whole step that ran, and no item of one.
pub(crate) fn is_stage(step: &StepSummary) -> bool {
    let whole = !step.path.contains(['[', '!']);
    whole && step.attempts > 0 && step.stage.is_some()
}

/// A stage that an earlier process of the run had ended, and may not have left all of.
pub(crate) struct Left {
    pub(crate) step: StepSummary,
    /// Files of it, and entries of the memory, that are on record: these are there, or somebody has taken them away.
    pub(crate) recorded: BTreeSet<String>,
}

/// The spec's lock, taken before anything of a run is there.
pub(crate) struct Locked {
    spec: Evidence,
    plan_dir: PathBuf,
    footprint: u64,
    remembered: BTreeMap<String, Remember>,
    /// What older runs left, and where it is now.
    archived: Vec<Put>,
    lock: std::fs::File,
}

/// Takes the lock of the plan's spec; none where the plan leaves no such evidence.
///
/// # Errors
/// When another run holds it, when there is too much evidence already, or the folder cannot be written.
pub(crate) fn lock(
    host: &Process,
    project: &Project,
    run: &str,
) -> Result<Option<Locked>, Failure> {
    let Some(spec) = project.plan.evidence.clone() else {
        return Ok(None);
    };
    let plan_dir = project.dir.clone();
    let root = plan_dir.join(&spec.root);
    let unwritable = |error: io::Error| {
        let message = format!("the evidence folder `{}` cannot be written", root.display());
        Failure::new(Exit::Internal, message)
            .because(error.to_string())
            .hint("without its evidence a stage has not happened: clear the way, or name another folder as `evidence.root` in the plan")
    };
    let dir = specs::root(&*host.config.world, &plan_dir, &spec.root).map_err(unwritable)?;
    let lock = specs::take_lock(&dir, &spec.spec_id, run).map_err(unwritable)?;
    let lock = lock.map_err(|holder| {
        let message = format!("the evidence of {} is being written", spec.spec_id);
        let why = match holder.as_str() {
            "" => "another run holds its lock".to_owned(),
            holder => format!("the run {holder} holds its lock"),
        };
        Failure::new(Exit::Internal, message)
            .because(why)
            .hint("wait until that run has ended; a lock ends with its process")
    })?;
    // Before the footprint is counted: archives make room, and a run must not be refused for what is about to go.
    let archived = keep_runs(&dir, &spec, run, &unwritable)?;
    let footprint = footprint(&dir, &spec.spec_id).map_err(unwritable)?;
    if let Some(why) = too_much(&spec, footprint) {
        return Err(Failure::new(Exit::Limit, why).hint(TOO_MUCH_HINT));
    }
    // The path of a step of the outermost plan is its id.
    let steps = project.plan.steps().into_iter();
    let remembered = steps.filter_map(|step| Some((step.id.clone(), step.remember.clone()?)));
    Ok(Some(Locked {
        spec,
        plan_dir,
        footprint,
        remembered: remembered.collect(),
        archived,
        lock,
    }))
}

const TOO_MUCH_HINT: &str = "`flowhost evidence prune SPEC` archives the files of older runs, and `evidence.keep_runs` in the \
     plan does so before each run; or raise `evidence.max_mb`";

/// Puts what older runs left into archives, where the plan says how many stay as they are. Under the spec's lock.
fn keep_runs(
    dir: &Dir,
    spec: &Evidence,
    run: &str,
    unwritable: &dyn Fn(io::Error) -> Failure,
) -> Result<Vec<Put>, Failure> {
    let Some(keep) = spec.keep_runs else {
        return Ok(Vec::new());
    };
    let dir = dir.try_clone().map_err(unwritable)?;
    let folder = Spec::within(dir, &spec.spec_id);
    // What cannot be listed cannot be written either: a file in the place of a folder.
    let survey = folder.survey().map_err(unwritable)?;
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    // A run that goes on may be older than others, and still needs its files.
    let old = survey.beyond(keep).iter().filter(|old| old.run_id != run);
    old.map(|old| folder.prune(old)).collect()
}

fn too_much(spec: &Evidence, footprint: u64) -> Option<String> {
    let most = spec.max_mb.saturating_mul(MEGABYTE);
    (footprint > most).then(|| {
        format!(
            "the evidence of {} holds {footprint} bytes, more than its {} MB",
            spec.spec_id, spec.max_mb
        )
    })
}

/// Bytes of the spec's files.
fn footprint(dir: &Dir, spec_id: &str) -> io::Result<u64> {
    let mut bytes = 0_u64;
    for kind in ["commands", "consensus"] {
        let folder = match nofollow::open(dir, &format!("{kind}/{spec_id}")) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in folder.entries()? {
            let entry = entry?;
            // What a killed writer left gets another's name, or is written anew.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let data = entry.metadata()?;
            bytes = bytes.saturating_add(if data.is_file() { data.len() } else { 0 });
        }
    }
    Ok(bytes)
}

impl Locked {
    /// Records where the files of older runs are now.
    ///
    /// # Errors
    /// When the ledger takes no more.
    pub(crate) fn told(&self, journal: &Journal) -> Result<(), Failure> {
        for put in &self.archived {
            journal.archived(&self.spec.root, put)?;
        }
        Ok(())
    }

    /// For the run whose ledger this is.
    pub(crate) fn of(self, host: &Arc<Process>, ledger: &Ledger, run: &str) -> Stages {
        Stages {
            host: host.clone(),
            ledger: ledger.clone(),
            run_dir: host.config.state.run_dir(run),
            run_id: run.to_owned(),
            spec: self.spec,
            plan_dir: self.plan_dir,
            footprint: self.footprint,
            warned: false,
            remembered: self.remembered,
            views: None,
            _lock: self.lock,
        }
    }
}

impl Stages {
    /// Why no stage may start any more.
    pub(crate) fn refuses(&self) -> Option<flowhost_flow::Failure> {
        let why = too_much(&self.spec, self.footprint)?;
        let failure = flowhost_flow::Failure::new(flowhost_flow::FailureClass::Limit, why);
        Some(failure.with_hint(TOO_MUCH_HINT))
    }

    /// Brings the records that files are read from to where they can be read.
    async fn readable(&self) -> Result<(), Failure> {
        let brought = match self.ledger.durability() {
            // A signature covers what they were read from.
            Durability::Durable => self.ledger.checkpoint().await.map(drop),
            // A note would have to bring to the disk what it signs, which this run leaves to the system.
            Durability::Relaxed => self.ledger.flush().await.map(drop),
        };
        brought.map_err(|error| ledger_failure("the ledger takes no more", &error))
    }

    /// A stage has ended: writes its files, and gives what the person should know: where they are when
    /// it did not go well, and that there are many of them.
    ///
    /// # Errors
    /// When one cannot be made or written; the run must stop.
    pub(crate) async fn ended(
        &mut self,
        journal: &Journal,
        step: &StepSummary,
    ) -> Result<Vec<String>, Failure> {
        self.leave(journal, step, None).await
    }

    /// Leaves what is missing of stages that an earlier process had ended, as it would have been; gives what the person
    /// should know.
    ///
    /// # Errors
    /// As [`Stages::ended`].
    pub(crate) async fn left(
        &mut self,
        journal: &Journal,
        stages: Vec<Left>,
    ) -> Result<Vec<String>, Failure> {
        let mut messages = Vec::new();
        for Left { step, recorded } in stages {
            let told = self.leave(journal, &step, Some(recorded)).await?;
            let told = told.into_iter();
            messages.extend(told.map(|message| format!("{}: {message}", step.path)));
        }
        Ok(messages)
    }

    /// Writes what a stage leaves; of one that an earlier process had ended, what is not among these.
    async fn leave(
        &mut self,
        journal: &Journal,
        step: &StepSummary,
        recorded: Option<BTreeSet<String>>,
    ) -> Result<Vec<String>, Failure> {
        self.readable().await?;
        let remembered = self.remembered.get(&step.path).cloned();
        let wanted = StageWanted {
            spec_id: self.spec.spec_id.clone(),
            run_id: self.run_id.clone(),
            step_id: step.step_id.clone(),
            footprint_bytes: self.footprint,
            costs: None,
            answers: remembered.is_some(),
        };
        let (host, run_dir) = (self.host.clone(), self.run_dir.clone());
        let (plan_dir, root) = (self.plan_dir.clone(), self.spec.root.clone());
        let (path, journal_of_files) = (step.path.clone(), journal.clone());
        // As durable as the records that they are read from: what a loss of power takes of a relaxed run it may
        // take of its views too.
        let durability = self.ledger.durability();
        let views = self.views.take();
        let written = blocking(move || {
            let mut views = match views {
                Some(views) => views,
                None => host.config.views.stages(&run_dir)?,
            };
            let dir = specs::root(&*host.config.world, &plan_dir, &root);
            let dir = dir.map_err(|error| unwritten(&root, &error))?;
            let to = To {
                dir: &dir,
                root: &root,
                durability,
                journal: &journal_of_files,
            };
            let made = write(&mut *views, &to, &path, wanted, recorded.as_ref())?;
            Ok((made, views, recorded.unwrap_or_default()))
        });
        let (made, views, recorded) = written.await?;
        self.views = Some(views);
        self.footprint = made.footprint;
        let mut messages = Vec::new();
        if let Some(wanted) = remembered {
            let (host, journal, step) = (self.host.clone(), journal.clone(), step.clone());
            let (run, spec) = (self.run_id.clone(), self.spec.spec_id.clone());
            let kept = blocking(move || {
                let stage = memory::Stage {
                    run: &run,
                    spec: &spec,
                    step: &step,
                    wanted: &wanted,
                };
                let said = made.said.into_iter();
                let said = said.filter(|said| !recorded.contains(&stage.entry(&said.agent)));
                memory::keep(&host, &journal, &stage, said.collect())
            });
            messages.extend(kept.await?);
        }
        if step.status != StepStatus::Ok {
            // The latest synthesis, which has no time in its name, is there a second time with one.
            let told = made.paths.iter().filter(|path| {
                specs::has_time(path) && SHOWN.iter().any(|end| path.ends_with(end))
            });
            let root = self.plan_dir.join(&self.spec.root);
            let told: Vec<String> = told
                .map(|path| root.join(path).display().to_string())
                .collect();
            messages.push(format!("what the stage came to: {}", told.join(", ")));
        }
        let warn = self.spec.warn_mb.saturating_mul(MEGABYTE);
        if self.footprint > warn && !std::mem::replace(&mut self.warned, true) {
            messages.push(format!(
                "the evidence of {} holds {} bytes, more than {} MB; over {} MB no stage starts",
                self.spec.spec_id, self.footprint, self.spec.warn_mb, self.spec.max_mb
            ));
        }
        Ok(messages)
    }
}

fn unwritten(path: &str, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("the evidence `{path}` cannot be written"),
    )
    .because(error.to_string())
    .hint("without its evidence a stage has not happened: make room or give the folder back, and run it again")
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test lays out what is found")]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_writer_left_is_no_evidence() {
        let folder = tempfile::tempdir().unwrap();
        for (path, bytes) in [("commands/S/a.json", 3), ("consensus/S/.b.json.tmp", 5)] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![b'x'; bytes]).unwrap();
        }
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        assert_eq!(footprint(&dir, "S").unwrap(), 3);
    }
}
