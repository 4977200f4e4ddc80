//! A run that takes results from an earlier one: only what changed since is done again.
//!
//! A call's result is taken when the same would be asked of the same: component, rights, configuration,
//! function, input, prompt, schema and seed have one hash ([`keys`]), the plan or the tool says that nothing
//! is lost when it is not done (`effects` is `none` or `idempotent`), what the call met outside of its
//! input ([`touched`]) is as it was or may be taken as it was, and the earlier run did not take its step back.
//! Whatever cannot be told apart for sure is done again. What is taken is recorded with the run and the record
//! that it comes from.

mod keys;
mod touched;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_caps::files::{FileServices, still_shows};
use flowhost_flow::planner::fork::is_part_of;
use flowhost_flow::planner::{CallId, Note, Recorded, Replayer};
use flowhost_flow::{Action, Amounts, Call, CallResult, Exit};
use flowhost_ledger::{Kind, RealDisk, check_run, read_run};

use crate::base::failure::Failure;
use crate::base::tasks::blocking;
use crate::earlier::resume::{Fed, Kept, unreadable};
use crate::given::folders;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::plugins::registry::Registry;
use keys::{Key, Keys};
use touched::Touched;

pub(crate) use touched::{Source, Sources};

/// What an earlier run can give.
pub struct Earlier {
    run: String,
    seed: u64,
    made: HashMap<Key, VecDeque<Made>>,
}

impl std::fmt::Debug for Earlier {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let calls: usize = self.made.values().map(VecDeque::len).sum();
        write!(out, "Earlier({}, {calls} calls)", self.run)
    }
}

impl Earlier {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The seed that it was run with; another one gives nothing.
    #[must_use]
    pub const fn seed(&self) -> u64 {
        self.seed
    }
}

/// A call that was made, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) source: Source,
    pub(crate) result: CallResult,
    pub(crate) used: Amounts,
    touched: Arc<Touched>,
}

/// A result that a run took instead of making the call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReusedCall {
    /// The step's path.
    pub path: String,
    /// The run that made it.
    pub run: String,
    /// The record of its end there.
    pub record: u64,
    /// What it used there, and this run did not.
    pub saved: Amounts,
    /// Milliseconds that it took there.
    pub duration_ms: u64,
}

/// What a run takes from an earlier one, as it goes on.
pub(crate) struct Reuse {
    keys: Keys,
    files: FileServices,
    project: Project,
    made: Mutex<HashMap<Key, VecDeque<Made>>>,
}

impl Reuse {
    pub(crate) fn new(
        host: &Process,
        earlier: &Earlier,
        project: &Project,
        seed: u64,
    ) -> Result<Self, Failure> {
        let made = match seed == earlier.seed {
            true => earlier.made.clone(),
            false => HashMap::new(),
        };
        Ok(Self {
            keys: Keys::of(project),
            files: folders::files(project, &host.config)?,
            project: project.clone(),
            made: Mutex::new(made),
        })
    }

    /// How the same call ended before, if that may stand for it.
    pub(crate) async fn find(self: &Arc<Self>, call: &Call, registry: &Registry) -> Option<Made> {
        // Keys are of the builds that the run began with.
        if registry.all().iter().any(|it| it.revision > 1) || !self.declared(call) {
            return None;
        }
        let key = self.keys.of_call(call)?;
        loop {
            let made = {
                let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
                // In the order in which they were made, and each once: the same question asked twice had two answers.
                made.get_mut(&key)?.pop_front()?
            };
            let (reuse, touched) = (self.clone(), made.touched.clone());
            // Files are read for it. What cannot be compared is made again.
            let same = blocking(move || Ok(reuse.as_it_was(&touched)));
            if same.await.unwrap_or(false) {
                return Some(made);
            }
        }
    }

    /// Whether somebody said that nothing is lost when the call is not made again.
    fn declared(&self, call: &Call) -> bool {
        use flowhost_flow::plan::Effects as OfStep;
        use flowhost_policy::Effects as OfTool;
        if call.part.is_guard() || call.effects == OfStep::Idempotent {
            return true;
        }
        let Some(member) = self.project.members.get(&call.plugin) else {
            return false;
        };
        let tools = &member.manifest.tools;
        let tool = match &call.function {
            Some(name) => tools.iter().find(|tool| tool.name == *name),
            None => tools.first().filter(|_| tools.len() == 1),
        };
        let harmless =
            tool.is_some_and(|it| matches!(it.effects, OfTool::None | OfTool::Idempotent));
        harmless && call.effects == OfStep::Keyed
    }

    /// Whether everything outside that the call met is as it was.
    fn as_it_was(&self, touched: &Touched) -> bool {
        let same_plugins = touched.plugins.iter().all(|(key, component, rights)| {
            self.project.members.get(key).is_some_and(|member| {
                *member.inspection.digest == **component && member.effective.hash == *rights
            })
        });
        let same_files = || {
            touched.looks.iter().all(|look| {
                let member = self.project.members.get(&look.plugin);
                member.is_some_and(|member| {
                    let (files, rights) = (&self.files, &member.effective);
                    still_shows(
                        files,
                        &look.plugin,
                        rights,
                        &look.op,
                        &look.path,
                        &look.answer,
                    )
                })
            })
        };
        touched.apart.is_none() && same_plugins && same_files()
    }
}

/// Reads what a run can give. Blocks on the disk.
///
/// # Errors
/// When its records cannot be read or do not say it.
pub(crate) fn earlier(host: &Process, kept: &dyn Kept, run: &str) -> Result<Earlier, Failure> {
    let cannot = |failure: Failure| Failure {
        message: format!("nothing can be reused of run {run}"),
        ..failure
    };
    let dir = host.config.state.run_dir(run);
    let key = kept.key(&dir).map_err(cannot)?;
    let fed = Fed::read(&dir, key.as_ref()).map_err(|error| cannot(error.into()))?;
    let project = kept.project(&dir, &fed.setup.inputs).map_err(cannot)?;
    let foreign = |why: String| cannot(Failure::new(Exit::Internal, "").because(why));
    let (met, sources) = met(host, kept, run).map_err(cannot)?;
    let keys = Keys::of(&project);
    let mut replayer = Replayer::new(project.plan.clone(), fed.setup.clone())
        .map_err(|error| foreign(error.to_string()))?;
    let mut asked = BTreeMap::<CallId, Box<Call>>::new();
    let (mut ended, mut undone) = (Vec::new(), Vec::new());
    for record in &fed.events {
        if let Recorded::CallFinished { call: id } = &record.event
            && let (Some(call), Some(end)) = (asked.remove(id), fed.ends.get(id))
            // A failure is looked at again.
            && !matches!(end.result, CallResult::Failed(_))
            && let (Some(key), Some(source)) = (keys.of_call(&call), sources.get(&id.0))
        {
            let made = Made {
                source: source.clone(),
                result: end.result.clone(),
                used: source.used,
                touched: met.of(source),
            };
            ended.push((call.path.clone(), key, made));
        }
        let actions = replayer.feed(record, &fed.ends);
        for action in actions.map_err(|error| foreign(error.to_string()))? {
            match action {
                Action::Call(call) => drop(asked.insert(call.id, call)),
                Action::Note(Note::CompensationStarted { path }) => undone.push(path),
                _ => {}
            }
        }
    }
    // However that ended: what was to be taken back is no result to build on.
    ended.retain(|(path, ..)| !undone.iter().any(|step| is_part_of(path, step)));
    let mut made = HashMap::<Key, VecDeque<Made>>::new();
    for (_, key, call) in ended {
        made.entry(key).or_default().push_back(call);
    }
    Ok(Earlier {
        run: run.to_owned(),
        seed: fed.setup.seed,
        made,
    })
}

/// Where the end of each call of a run stands.
pub(crate) fn sources(
    run: &str,
    dir: &Path,
    key: Option<&flowhost_ledger::DataKey>,
) -> Result<Sources, Failure> {
    touched::read(run, dir, key).map(|calls| calls.sources)
}

/// What calls met, by the runs that made them.
#[derive(Default)]
struct Met {
    touched: HashMap<(String, u64), Arc<Touched>>,
    /// Runs of which a call without a record met nothing.
    of_one_build: BTreeSet<String>,
}

impl Met {
    fn of(&self, source: &Source) -> Arc<Touched> {
        let touched = self.touched.get(&(source.run.clone(), source.call));
        match touched {
            Some(touched) => touched.clone(),
            None if self.of_one_build.contains(&source.run) => Arc::default(),
            None => Arc::new(Touched::unknown()),
        }
    }
}

/// What the calls of a run met, those that it took itself from others included: what they met stands with
/// the run that made them.
fn met(host: &Process, kept: &dyn Kept, run: &str) -> Result<(Met, Sources), Failure> {
    let state = &host.config.state;
    let mut all = Met::default();
    let mut add = |run: &str, dir: &Path| -> Result<Sources, Failure> {
        check_run(&RealDisk, dir, state.tenant(), run).map_err(|error| unreadable(&error))?;
        let calls = touched::read(run, dir, kept.key(dir)?.as_ref())?;
        let touched = calls.touched.into_iter();
        all.touched
            .extend(touched.map(|(call, it)| ((run.to_owned(), call), Arc::new(it))));
        if calls.of_one_build {
            all.of_one_build.insert(run.to_owned());
        }
        Ok(calls.sources)
    };
    let sources = add(run, &state.run_dir(run))?;
    let mut others: Vec<&str> = sources.values().map(|it| it.run.as_str()).collect();
    others.sort_unstable();
    others.dedup();
    for other in others.into_iter().filter(|it| *it != run) {
        let dir = state.run_dir(other);
        // One that is gone gives nothing: its calls are made again.
        if let Err(failure) = add(other, &dir) {
            tracing::debug!(
                run = other,
                why = failure.message,
                "its calls are made again"
            );
        }
    }
    Ok((all, sources))
}

/// Number and hash, hexadecimal, of the record of the event of this place among a run's events.
pub(crate) fn hash_of_event(dir: &Path, event: usize) -> Result<Option<(u64, String)>, Failure> {
    let records = read_run(dir).map_err(|error| crate::earlier::resume::unreadable(&error))?;
    let mut left = event;
    for record in records {
        let record = record.map_err(|error| crate::earlier::resume::unreadable(&error))?;
        if record.kind() == Some(Kind::PlannerEvent) {
            if left == 0 {
                return Ok(Some((record.seq, hex::encode(record.leaf))));
            }
            left -= 1;
        }
    }
    Ok(None)
}
