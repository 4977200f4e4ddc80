//! One per process: what it lends ([`Process`]), and the runs that are going on.
//!
//! Nothing of a run is in here beyond its handle. What a run needs of the process it is lent; what it
//! brings (folders, budget, bus, secrets) comes with its own scope, so that runs cannot meet. This room holds the
//! others together: of them only what goes on with an earlier run names more of it than a run's handle.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowhost_engine::Inspected;
use flowhost_flow::Exit;
use futures::FutureExt as _;
use tokio::sync::watch;

use self::handle::Run;
use self::rest::{Course, Rests};
use crate::base::failure::Failure;
use crate::base::tasks;
use crate::earlier::fork::Of;
use crate::earlier::resume::{self, Kept, ResumeOptions, Settlement, Spoken};
use crate::earlier::reuse::{self, Earlier};
use crate::given::options::RunOptions;
use crate::given::process::Process;
use crate::given::project::Project;
use crate::given::world::HostConfig;
use crate::kept::finished::Finished;

pub mod asks;
pub(crate) mod elsewhere;
pub(crate) mod execute;
pub(crate) mod handle;
pub(crate) mod introduce;
pub(crate) mod ledgers;
mod opening;
pub(crate) mod requests;
pub(crate) mod rest;

/// A process that runs plans. Clones are the same host.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    process: Arc<Process>,
    /// By their ids, in the order in which they came. A run that goes on and is resumed all the same is there twice,
    /// until the second has found that it cannot have the ledger: what is asked of it is asked of the first.
    runs: Mutex<BTreeMap<String, Vec<Run>>>,
    /// How many of them there are and were, for who waits for none.
    course: watch::Sender<Course>,
    /// Somebody looks for what other processes ask of the runs.
    heeded: AtomicBool,
}

impl Host {
    /// Builds the engine. No folder is made and nothing is compiled.
    ///
    /// # Errors
    /// When the engine cannot be built.
    pub fn new(config: HostConfig) -> Result<Self, Failure> {
        Ok(Self(Arc::new(Inner {
            process: Arc::new(Process::new(config)?),
            runs: Mutex::default(),
            course: watch::Sender::default(),
            heeded: AtomicBool::default(),
        })))
    }

    /// Starts a run, which goes on by itself whatever becomes of the handle.
    ///
    /// # Errors
    /// When the system gives no randomness for the run's id.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(&self, project: Project, options: RunOptions) -> Result<Run, Failure> {
        let process = self.process().clone();
        let started_ms = process.config.world.now_ms();
        let id = flowhost_flow::hash::run_id(started_ms, process.entropy()?);
        let run = match options.on_request {
            true => Run::on_request(&id),
            false => Run::new(&id),
        };
        Ok(self.go(run.clone(), async move {
            execute::execute(&process, project, &options, None, started_ms, &run).await
        }))
    }

    /// Starts a run of `project` that begins with the past of the run `of`, up to the first start of the step
    /// `at`, and is live from there.
    ///
    /// # Errors
    /// As [`Host::start`]. The run itself ends at once, and nothing is recorded, when the step never ran or
    /// what was recorded does not lead to it.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn fork(
        &self,
        project: Project,
        of: &str,
        at: &str,
        kept: Arc<dyn Kept>,
        options: RunOptions,
    ) -> Result<Run, Failure> {
        let process = self.process().clone();
        let started_ms = process.config.world.now_ms();
        let id = flowhost_flow::hash::run_id(started_ms, process.entropy()?);
        let (run, at) = (Run::new(&id), at.to_owned());
        let of = of.to_owned();
        let fork = Some(Of { kept, run: of, at });
        Ok(self.go(run.clone(), async move {
            execute::execute(&process, project, &options, fork, started_ms, &run).await
        }))
    }

    /// What an earlier run can give to one that is started with it ([`RunOptions::reuse`]). Blocks on the
    /// disk.
    ///
    /// # Errors
    /// When its records cannot be read, or what it was made of is gone.
    pub fn earlier(&self, run: &str, kept: &dyn Kept) -> Result<Earlier, Failure> {
        reuse::earlier(self.process(), kept, run).map_err(|failure| failure.named("RUN", run))
    }

    /// Records what a person says of a call that nobody knows the end of. Gives the number of the call, and
    /// how many others wait for a word. Blocks on the disk.
    ///
    /// # Errors
    /// When the run goes on, has ended, or no such step waits.
    pub fn settle(
        &self,
        run: &str,
        kept: &dyn Kept,
        said: &Settlement,
    ) -> Result<(u64, usize), Failure> {
        resume::settle(self.process(), kept, run, said).map_err(|failure| failure.named("RUN", run))
    }

    /// Records what somebody outside says to a gate. Gives its number. Blocks on the disk.
    ///
    /// # Errors
    /// When the run goes on, has ended, or no such gate waits; when it was spoken to before, or its time is
    /// up.
    pub fn speak(&self, run: &str, kept: &dyn Kept, said: &Spoken) -> Result<u64, Failure> {
        resume::gate::answer(self.process(), kept, run, said)
            .map_err(|failure| failure.named("RUN", run))
    }

    /// Lets a run go on as a task of its own.
    fn go(
        &self,
        run: Run,
        work: impl Future<Output = Result<Finished, Failure>> + Send + 'static,
    ) -> Run {
        let inner = self.0.clone();
        {
            let mut runs = self.runs_mut();
            let same = runs.entry(run.id().to_owned()).or_default();
            same.push(run.clone());
            inner.course.send_modify(Course::begin);
            // Under the lock of the runs, under which whoever looks sees that none is left, and ends. The lock orders
            // the two, so that the flag need not.
            if !inner.heeded.swap(true, Ordering::Relaxed) {
                tasks::spawn(asks::heed(inner.clone()));
            }
        }
        let handle = run.clone();
        tasks::spawn(async move {
            let outcome = AssertUnwindSafe(work).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|_panic| {
                Err(
                    Failure::new(Exit::Internal, "the host failed while it ran the plan")
                        .hint("this is a bug of the host; please report it"),
                )
            });
            let outcome = outcome.map_err(|failure| failure.named("RUN", run.id()));
            inner.let_go(&run);
            inner.course.send_modify(Course::end);
            // Behind that: whoever waits for the outcome finds no run any more.
            run.ended(outcome);
        });
        handle
    }

    /// Goes on with a run from its ledger: one that was killed or interrupted, or that waited for a person. It
    /// goes on by itself whatever becomes of the handle.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn resume(&self, run: &str, kept: Arc<dyn Kept>, options: ResumeOptions) -> Run {
        let (process, run) = (self.process().clone(), Run::new(run));
        // What was asked of a process that is gone. Of one that has it still, it was asked of that.
        if self.run(run.id()).is_none() {
            asks::forget(&process, run.id());
        }
        self.go(run.clone(), async move {
            resume::execute(&process, kept, &options, &run).await
        })
    }

    /// For who compiles again and again: a compiler waits for the next component, which holds some memory.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn keep_compiler_ready(&self) {
        self.0.process.engine.keep_compiler_ready();
    }

    /// The times at which the host has come to rest from now on, for who serves for long: each is one for
    /// [`Host::give_back`].
    #[must_use]
    pub fn rests(&self) -> Rests {
        Rests::new(self.0.course.subscribe())
    }

    /// Gives back what is kept because the next run may come soon, which begins a little later for it: see
    /// [`Engine::rest`]. Takes some milliseconds.
    pub fn give_back(&self) {
        if let Err(error) = self.0.process.engine.rest() {
            tracing::warn!(%error, "memory is not given back");
        }
    }

    /// Compiles a component that a run may soon want: whoever loads it meanwhile waits for this and has it compiled no
    /// second time. Dropped, it goes no further. What is wrong with the component is told to who loads it.
    pub async fn compile_ahead(&self, component: &Inspected) {
        if let Err(error) = self.0.process.engine.load_inspected(component).await {
            tracing::debug!(%error, "a component was not compiled ahead");
        }
    }

    /// The runs that are going on, oldest first.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        let oldest = |same: &Vec<Run>| same.first().cloned();
        self.runs_mut().values().filter_map(oldest).collect()
    }

    /// The run of this id, while it goes on.
    #[must_use]
    pub fn run(&self, id: &str) -> Option<Run> {
        self.0.going_on(id)
    }

    pub(crate) fn process(&self) -> &Arc<Process> {
        &self.0.process
    }

    fn runs_mut(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Run>>> {
        self.0.runs_mut()
    }
}

impl Inner {
    /// The run of this id, while it goes on.
    fn going_on(&self, id: &str) -> Option<Run> {
        self.runs_mut().get(id)?.first().cloned()
    }

    /// A handle of a run has come to its end, and no other of the same run.
    fn let_go(&self, run: &Run) {
        let mut runs = self.runs_mut();
        let Some(same) = runs.get_mut(run.id()) else {
            debug_assert!(false, "a run is let go of once");
            return;
        };
        same.retain(|it| !Arc::ptr_eq(&it.0, &run.0));
        if same.is_empty() {
            runs.remove(run.id());
        }
    }

    fn runs_mut(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody needs to look for what is asked any more: from then on, the next run looks again.
    fn rests(&self) -> bool {
        let runs = self.runs_mut();
        let rests = runs.is_empty();
        if rests {
            self.heeded.store(false, Ordering::Relaxed);
        }
        rests
    }
}
