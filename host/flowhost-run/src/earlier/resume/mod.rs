//! A run that goes on from its ledger alone: after a kill, a loss of power, a signal, or a wait.
//!
//! The order matters. The ledger's lock comes first, so that nobody else can write to the run or resume
//! it; then everything that could be wrong is looked at, and only then something is recorded. From there
//! on it is a run like any other, on the same ledger.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use flowhost_bus::Ulid;
use flowhost_flow::planner::{Note, ReplayError, StepSummary};
use flowhost_flow::{Call, Exit, RunSetup};
use flowhost_ledger::{DataKey, Ledger, LedgerOptions, OpenError};
use flowhost_words::{SECOND_KEYS, with_keys};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::base::failure::{Failure, ledger_failure};
use crate::base::finding::Finding;
use crate::base::tasks::blocking;
use crate::calls::channel::Channel;
use crate::earlier::family::{self, TakenBack};
use crate::given::bundle::{self, BUNDLE, Bundle};
use crate::given::keys::Turned;
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::{Project, at_member};
use crate::given::redaction::redaction;
use crate::host::execute::{Conduct, conduct, journal_of, prepare};
use crate::host::handle::Run;
use crate::host::ledgers;
use crate::kept::finished::Finished;
use crate::kept::page::{Follower, Heard};
use crate::kept::specs;
use crate::kept::stages::{Left, is_stage};
use crate::plugins::wiring;

pub(crate) mod fed;
pub(crate) mod feeding;
pub(crate) mod gate;
pub(crate) mod past;
pub(crate) mod rebuild;
mod recorded;
mod settle;

pub use fed::{Fed, FedError};
use feeding::FedBeside;
pub use gate::{Spoken, Word};
use past::{Beside, Known, Made, Past, Settled};
use rebuild::{AsItWas, Rebuilt, rebuild};
pub(crate) use settle::settle;
pub use settle::{Settlement, Verdict};

/// How to go on.
#[derive(Debug, Clone, Default)]
pub struct ResumeOptions {
    /// The second key to private addresses.
    pub allow_private_network: bool,
    /// The second key to native processes.
    pub allow_process: bool,
    /// Where checkpoints are sent as well.
    pub witness: Option<std::path::PathBuf>,
    /// Plugins that are replaced on purpose, by key: what the run recorded of them is not asked of these.
    pub replaced: Vec<String>,
    /// Goes on only to be cancelled, for this reason: what the plan does after a cancellation is done.
    pub cancel: Option<String>,
}

impl ResumeOptions {
    /// The second keys that it turns.
    const fn turned(&self) -> Turned {
        Turned {
            private_network: self.allow_private_network,
            process: self.allow_process,
        }
    }
}

/// Finds again what a run was made of: that needs the binary's plan loader.
pub trait Kept: Send + Sync + 'static {
    /// The project as it was with these inputs, from what was kept beside the ledger in `run_dir`.
    ///
    /// # Errors
    /// What is missing or was changed.
    fn project(&self, run_dir: &Path, inputs: &Map<String, Value>) -> Result<Project, Failure>;

    /// The key of what the run has sealed; none where it sealed nothing, or the key is gone.
    ///
    /// # Errors
    /// When it cannot be read.
    fn key(&self, run_dir: &Path) -> Result<Option<DataKey>, Failure>;
}

/// A run that was read back.
pub(crate) struct Resumed {
    pub(crate) past: Past,
    pub(crate) rebuilt: Rebuilt,
    pub(crate) fed: Fed,
}

/// What becomes of a call that was open.
pub(crate) enum Fate<'r> {
    /// It is made, for the first time or again: its effect may be repeated.
    Make,
    /// It was to be stopped, and whoever performed it is gone.
    Stopped,
    /// How it ended is recorded.
    Known(&'r Known),
    /// A person said how it ended.
    Settled(Settled),
    /// It may have had its effect, which must not happen twice.
    Doubtful,
}

impl Resumed {
    pub(crate) fn fate(&self, call: &Call) -> Fate<'_> {
        let made = self.past.calls.get(&call.id.0);
        let settled = made.and_then(|made| made.settled.clone());
        match (made, settled) {
            // Before a person's word: it was said of what nobody knew, and the record knows.
            (
                Some(Made {
                    result: Some(known),
                    ..
                }),
                _,
            ) => Fate::Known(known),
            (_, Some(Settled::Retry)) => Fate::Make,
            (_, Some(settled)) => Fate::Settled(settled),
            _ if self.rebuilt.cancelled.contains(&call.id) => Fate::Stopped,
            (Some(Made { begun: true, .. }), None)
                if call.effects == flowhost_flow::plan::Effects::Once =>
            {
                Fate::Doubtful
            }
            _ => Fate::Make,
        }
    }

    /// Stages that had ended, of which files may be missing: the one that ended last, where no record says that the run
    /// went on behind it, and those of which a kill kept the end from being recorded. A run that was forked leaves no
    /// files of the past that it began with.
    pub(crate) fn stages(&self) -> Vec<Left> {
        if self.past.processes == 0 {
            return Vec::new(); // it is forked now, and has no past of its own
        }
        let ends = self.rebuilt.notes.iter().filter_map(|note| match note {
            Note::StepEnded(step) => Some(step),
            _ => None,
        });
        let ended: Vec<&StepSummary> = ends.skip(self.past.ends_whole).collect();
        let mut recorded = self.past.viewed.clone();
        if ended.len() > 1 {
            // Files that stages share have to be as the last one leaves them.
            recorded.retain(|name| !specs::is_shared(name));
        }
        let stages = ended.into_iter().filter(|step| is_stage(step));
        stages
            .map(|step| Left {
                step: step.clone(),
                recorded: recorded.clone(),
            })
            .collect()
    }

    /// Whether a person may speak for a call: nobody knows how it ended, or somebody has said so and the run has not gone
    /// on by that yet.
    fn takes_a_word(&self, call: &Call) -> bool {
        let made = self.past.calls.get(&call.id.0);
        let said = made.is_some_and(|made| made.settled.is_some() && made.result.is_none());
        said || matches!(self.fate(call), Fate::Doubtful)
    }

    /// The calls that a person has to speak for before the run can go on.
    pub(crate) fn doubtful(&self) -> Vec<&Call> {
        let open = self.rebuilt.open.values().map(|call| &**call);
        open.filter(|call| matches!(self.fate(call), Fate::Doubtful))
            .collect()
    }
}

/// What could be resumed, with everything that was looked at before.
struct Found {
    ledger: Ledger,
    past: Past,
    fed: Fed,
    project: Project,
    /// The planner as it was, and what was open around it.
    rebuilt: AsItWas,
    heard: Option<Heard>,
}

pub(crate) async fn execute(
    host: &Arc<Process>,
    kept: Arc<dyn Kept>,
    options: &ResumeOptions,
    run: &Run,
) -> Result<Finished, Failure> {
    let found = {
        let (host, options, run) = (host.clone(), options.clone(), run.id().to_owned());
        blocking(move || find(&host, &*kept, &options, &run)).await?
    };
    let Found {
        ledger,
        past,
        fed,
        project,
        rebuilt,
        heard,
    } = found;
    let hash = fed.setup.plan_hash.clone();
    let running = RunOptions {
        allow_private_network: options.allow_private_network,
        allow_process: options.allow_process,
        ..RunOptions::default()
    };
    // Its folder was found by this id, which a host gave it.
    let started_ms = Ulid::from_string(run.id()).map_or(0, |id| id.timestamp_ms());
    let tenant = host.config.state.tenant();
    let channel = Channel::named((tenant, run.id()), started_ms, past.processes);
    let only = fed.setup.only.as_deref();
    let mut prepared = prepare(host, &project, &running, only, run, &channel).await?;
    // What stands in for an adapter on purpose may say its server's tools in other words.
    let shown = past.shown.iter();
    let shown = shown.filter(|(key, _)| !options.replaced.contains(key));
    prepared.ready.shown = shown.map(|(key, it)| (key.clone(), it.clone())).collect();
    let (planner, rebuilt) = rebuilt.map_err(|error| foreign(&error))?;
    let follower = heard.map(|heard| Follower::of_heard(heard, ledger.size()));
    let journal = journal_of(host, &ledger, &project, run.id(), &prepared.revealed);
    let journal = journal.followed(follower.clone());
    journal.knows(past.denials.clone());
    let resumed = Resumed { past, rebuilt, fed };
    // In the index before it is in the ledger, as a run that begins: one that is killed in between is found there.
    {
        let (host, id) = (host.clone(), run.id().to_owned());
        let entered = move || {
            host.index
                .resumed(&id)
                .map_err(|error| index_failure(&error))
        };
        blocking(entered).await?;
    }
    let replaced = options.replaced.iter().filter_map(|key| {
        let member = project.members.get(key)?;
        Some((key.clone(), member.inspection.digest.to_string()))
    });
    let replaced = replaced.collect();
    let told = (replaced, options.turned().of(&project));
    journal.run_resume(&ledger, &resumed, told).await?;
    if let Some(locked) = &prepared.locked {
        locked.told(&journal)?;
    }
    if let Some(reason) = &options.cancel {
        run.cancel(reason);
    }
    let setup = resumed.fed.setup.clone();
    let labels = resumed.past.labels.clone();
    let work = Conduct {
        project,
        prepared,
        setup,
        hash,
        ledger,
        journal,
        started_ms,
        allow_private_network: options.allow_private_network,
        resumed: Some((planner, resumed)),
        // What is still to be done is done: the run that it took from may be gone.
        reuse: None,
        labels,
        warnings: Vec::new(),
        follower,
    };
    conduct(host, work, run).await
}

/// Takes the run's lock and looks at everything that could be wrong.
fn find(
    host: &Process,
    kept: &dyn Kept,
    options: &ResumeOptions,
    run: &str,
) -> Result<Found, Failure> {
    let state = &host.config.state;
    let dir = state.run_dir(run);
    let mut opened = LedgerOptions::new(&dir, state.tenant(), run, host.config.key.clone());
    opened.witness.clone_from(&options.witness);
    opened.durability = past::durability(&dir);
    opened.seal = kept.key(&dir)?;
    opened.listener = ledgers::listener(host);
    let ledger = open(host, &opened)?;
    let (loaded, hash) = (OnceLock::new(), OnceLock::new());
    let plan = |setup: &RunSetup| {
        let project = loaded.get_or_init(|| kept.project(&dir, &setup.inputs));
        let project: &Project = project.as_ref().ok()?;
        if options.replaced.is_empty() {
            let known = hash.get_or_init(|| wiring::plan_hash(project));
            // Of what is not the same nothing is fed; it is refused below.
            known.as_ref().ok().filter(|it| **it == setup.plan_hash)?;
        }
        Some(project.plan.clone())
    };
    let (seal, listener) = (opened.seal.as_ref(), host.config.views.listener());
    let Beside { past, fed, heard } = past::read_beside(&dir, seal, listener, &plan)?;
    if let Some(status) = &past.ended {
        return Err(cannot(format!("it has ended: {status}")).hint(
            "`flowhost runs show RUN` says how; start its plan again with `flowhost run PLAN`",
        ));
    }
    begun_whole(&past)?;
    let made_of = made_of(host, &dir, &past)?;
    let FedBeside { fed, rebuilt } = fed;
    let fed = fed?;
    let project = match loaded.into_inner() {
        Some(project) => project?,
        None => kept.project(&dir, &fed.setup.inputs)?,
    };
    is_same(&project, &past, options, &made_of, hash.into_inner())?;
    has_keys(&project, &past, options, run)?;
    // One that is only to come to its end is let: it could neither go on nor end else.
    if options.cancel.is_none() {
        stands(host, run)?;
    }
    if opened.seal.is_none() {
        is_exact(&project, &fed)?;
    }
    let rebuilt = rebuilt.unwrap_or_else(|| rebuild(project.plan.clone(), &fed));
    Ok(Found {
        ledger,
        past,
        fed,
        rebuilt,
        heard: heard.map(|heard| heard.of_plan(&project)),
        project,
    })
}

/// That a forked run has all of the past that it begins with.
fn begun_whole(past: &Past) -> Result<(), Failure> {
    let Some(step) = &past.fork_at else {
        return Ok(());
    };
    match past.fork_reached {
        true => Ok(()),
        false => Err(cannot(format!(
            "it was forked at `{step}`, and killed before its past was recorded as far as that"
        ))
        .hint("fork it again; nothing of it was live yet")),
    }
}

fn open(host: &Process, options: &LedgerOptions) -> Result<Ledger, Failure> {
    Ledger::reopen(options).map_err(|error| match error {
        OpenError::Locked(dir) => locked(host, &dir),
        OpenError::Io(error) if error.kind() == std::io::ErrorKind::NotFound => {
            cannot(format!("its folder `{}` is gone", options.dir.display())).hint(
                "bring it back from a backup; the index of runs still says that there was one",
            )
        }
        error => cannot("its ledger cannot be used")
            .caused_by(&error)
            .hint(fed::DAMAGED),
    })
}

/// That somebody else writes to the run.
fn locked(host: &Process, dir: &Path) -> Failure {
    at_work(host.config.world.lock_holder(dir))
}

/// Why a run that a process has, by its number where that is known, is not resumed.
#[must_use]
pub fn at_work(process: Option<u32>) -> Failure {
    let who = match process {
        Some(process) => format!("process {process} is at work on it"),
        None => "another process is at work on it".to_owned(),
    };
    cannot(who).hint("`flowhost runs watch RUN` follows it until it waits for somebody, or ends")
}

/// The document of what the run was made of, if it is the one that its first records name.
fn made_of(host: &Process, dir: &Path, past: &Past) -> Result<Bundle, Failure> {
    let Some(recorded) = &past.bundle_sha256 else {
        return Err(cannot("its records do not say what it was made of")
            .because("a host of the first wave made it, or it was killed before its first step")
            .hint("start its plan again with `flowhost run PLAN`"));
    };
    let path = dir.join(BUNDLE);
    let bytes = host.config.world.read(&path).map_err(|error| {
        let why = format!("`{}` cannot be read: {error}", path.display());
        cannot(why).hint("bring the file back from a backup")
    })?;
    if hex::encode(Sha256::digest(&bytes)) == *recorded {
        return Bundle::read(&bytes).map_err(|why| cannot(format!("`{}`: {why}", path.display())));
    }
    Err(cannot(bundle::changed(&path)).hint("bring the file back from a backup"))
}

/// That the project is the one that the run began with, but for what is replaced on purpose. `hash` is its plan's, where
/// that is known.
fn is_same(
    project: &Project,
    past: &Past,
    options: &ResumeOptions,
    made_of: &Bundle,
    hash: Option<Result<String, Failure>>,
) -> Result<(), Failure> {
    if let Some(key) = options
        .replaced
        .iter()
        .find(|key| !project.members.contains_key(*key))
    {
        return Err(cannot(format!("the plan has no plugin `{key}`")));
    }
    let swapped: Vec<&String> = past
        .swapped
        .iter()
        .filter(|key| !options.replaced.contains(key))
        .collect();
    if let Some(key) = swapped.first() {
        return Err(cannot(format!(
            "its plugin `{key}` was swapped for another while it ran"
        ))
        .hint(format!(
            "say with which one it goes on: `--plugin {key}=PATH`"
        )));
    }
    if !options.replaced.is_empty() {
        return Ok(());
    }
    let hash = hash.unwrap_or_else(|| wiring::plan_hash(project))?;
    if hash == past.plan_hash {
        return Ok(());
    }
    let findings: Vec<Finding> = made_of
        .differences(project)
        .into_iter()
        .map(|(key, what)| at_member(project, &key, &what))
        .collect();
    let mut failure = cannot("what was kept of it does not give the plan that it began with");
    failure.findings = findings;
    Err(failure.hint(
        "a profile that comes with flowhost may have changed with its version; resume it with the version that \
         began it, or start the plan again",
    ))
}

/// That this process has turned the second keys that the run had and its rights ask for. Without one it would be denied
/// what it has begun and what takes its effects back, and be over by that.
fn has_keys(
    project: &Project,
    past: &Past,
    options: &ResumeOptions,
    run: &str,
) -> Result<(), Failure> {
    let missing = options.turned().missing(project, |key| past.had(key));
    if missing.is_empty() {
        return Ok(());
    }
    let (verb, done) = match options.cancel {
        Some(_) => ("cancel", "cancelled"),
        None => ("resume", "resumed"),
    };
    // All that it had, because the command is to be typed as it stands.
    let mut keys = missing.clone();
    keys.extend(
        SECOND_KEYS
            .into_iter()
            .filter(|key| options.turned().has(key)),
    );
    let command = with_keys(&format!("flowhost runs {verb} {run}"), &keys);
    let failure = Failure::new(Exit::Denied, format!("the run cannot be {done}"));
    Err(failure
        .because(format!(
            "its rights need `{}`, which it had, and this process was started without",
            missing.join("` and `")
        ))
        .hint(format!(
            "`{command}` is the whole command; nothing was done, and nothing was recorded"
        )))
}

/// That no other run took back what this one has done: a fork of it does so with all of its past when it fails.
fn stands(host: &Process, run: &str) -> Result<(), Failure> {
    let taken = family::taken_back(host, run)?;
    let taken: Vec<&TakenBack> = taken.iter().collect();
    let Some((why, command)) = family::told(&taken, None) else {
        return Ok(());
    };
    let anew = command.map(|command| format!("`{command}` does it anew; "));
    Err(cannot(why).hint(format!(
        "{}`flowhost runs cancel {run}` ends this one, and takes back by its plan what it did",
        anew.unwrap_or_default()
    )))
}

/// What stands in the place of what was taken out of a payload before it was stored. An agent may have written the same
/// by itself: a run that is refused for it can be started anew, and one that went on with half of a value could not be
/// taken back.
const TAKEN_OUT: &str = "[redacted:";

/// That the planner is fed what it was fed, and not what was left of it: a plan that redacts its records,
/// and seals nothing, keeps only that.
fn is_exact(project: &Project, fed: &Fed) -> Result<(), Failure> {
    if !redaction(project).payloads {
        return Ok(());
    }
    let inputs = serde_json::to_string(&fed.setup.inputs).unwrap_or_default();
    let mut found = inputs.contains(TAKEN_OUT).then(|| "an input".to_owned());
    for (call, end) in &fed.ends {
        let told = serde_json::to_string(&end.result).unwrap_or_default();
        if told.contains(TAKEN_OUT) {
            found.get_or_insert_with(|| format!("the result of call {}", call.0));
        }
    }
    let Some(what) = found else {
        return Ok(());
    };
    Err(cannot(format!(
        "{what} was redacted before it was recorded, and its exact value is gone"
    ))
    .hint("bring the host's sealing key back, or start the plan again"))
}

/// What failed where a run does not go on. Whoever wanted it to go on for something else says that instead.
pub const NOT_RESUMED: &str = "the run cannot be resumed";

fn cannot(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Internal, NOT_RESUMED).because(why)
}

pub(crate) fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, NOT_RESUMED).caused_by(error)
}

pub(crate) fn unreadable_because(why: &str) -> Failure {
    cannot(why)
}

fn foreign(error: &ReplayError) -> Failure {
    cannot("its records are not those of the plan that was kept with it").because(error.to_string())
}

fn index_failure(error: &(dyn std::error::Error + 'static)) -> Failure {
    ledger_failure("the index of runs cannot be written", error)
}

/// What is recorded of a resumption.
pub(crate) struct Told {
    pub(crate) again: Vec<String>,
    pub(crate) known: Vec<String>,
    pub(crate) replaced: BTreeMap<String, String>,
}

impl Resumed {
    pub(crate) fn told(&self, replaced: BTreeMap<String, String>) -> Told {
        let (mut again, mut known) = (Vec::new(), Vec::new());
        for call in self.rebuilt.open.values() {
            let begun = self
                .past
                .calls
                .get(&call.id.0)
                .is_some_and(|made| made.begun);
            match self.fate(call) {
                Fate::Make if begun => again.push(call.id.0.to_string()),
                Fate::Known(_) => known.push(call.id.0.to_string()),
                _ => {}
            }
        }
        Told {
            again,
            known,
            replaced,
        }
    }
}
