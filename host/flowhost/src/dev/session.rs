//! The life of `flowhost dev`: what follows from a changed file, a build, a run's event and a key.

mod keys;
mod reload;
mod runs;
mod swap;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flowhost_engine::PoolConfig;
use flowhost_flow::Exit;
use flowhost_run::{Events, Heard, Host, Member, Project, Run, RunOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ahead::Ahead;
use super::build::Builds;
use super::change::Build;
use super::watch::Watch;
use super::{Face, Key, Told, Why};
use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::host::host;
use crate::output::Output;
use crate::project::Request;
use crate::report::problems::{Texts, render};
use crate::state::State;
use swap::Swap;

/// How often a living run's times are shown anew. As often as a second changes to the eye, and no load for a
/// terminal over a slow line.
const REFRESH: Duration = Duration::from_millis(200);
/// What to run and how.
pub struct Options {
    /// The plan, its inputs and its profiles.
    pub request: Request,
    /// How each run goes.
    pub run: RunOptions,
    /// Whether what runs has to be what the lock beside the plan says.
    pub locked: bool,
}

/// Who shows it, and what they hear from the person and the log.
pub struct Faces {
    /// Who shows it.
    pub face: Box<dyn Face>,
    /// What the person asks for; without a keyboard it never comes.
    pub keys: mpsc::Receiver<Key>,
    /// Lines of the log, where they must not go to standard error by themselves.
    pub logs: mpsc::Receiver<String>,
    /// Why the process should end, said by a signal.
    pub stop: mpsc::Receiver<Exit>,
}

/// Watches and runs until the person has enough, and gives how the process ends.
///
/// # Errors
/// When there is no such plan, or the host cannot be built. Whatever is wrong with what is there is told
/// and waited for.
pub async fn session(
    ambient: &Ambient,
    config: &Config,
    state: &State,
    options: Options,
    faces: Faces,
) -> Result<Exit, Failure> {
    let plan = ambient.resolve(&options.request.plan);
    if !ambient.is_file(&plan) {
        let message = format!("`{}` is not a plan", options.request.plan.display());
        return Err(Failure::new(Exit::Internal, message)
            .because("the file does not exist")
            .hint("name the plan's file: flowhost dev plan.yaml"));
    }
    // One pool for all runs, and a changed plan may have more plugins than the first: room as for any.
    let host = host(ambient, config, state, PoolConfig::default(), None)?;
    let (watch, whole) = Watch::new(ambient);
    let mut session = Session {
        ambient,
        config,
        ahead: Ahead::new(ambient, config, &host, options.locked, whole),
        host,
        root: plan.parent().unwrap_or(ambient.cwd()).to_owned(),
        plan,
        options,
        face: faces.face,
        watch,
        builds: Builds::new(ambient),
        sources: BTreeSet::new(),
        project: None,
        living: None,
        swaps: JoinSet::new(),
        coming: BTreeMap::new(),
        before: Vec::new(),
        held_back: BTreeMap::new(),
        wider: None,
        refused: None,
        texts: Texts::default(),
        next: None,
        report: None,
        state,
        last: None,
        newest: None,
    };
    session.reload(Why::Start).await?;
    session.go(faces.keys, faces.logs, faces.stop).await
}

struct Session<'a> {
    ambient: &'a Ambient,
    config: &'a Config,
    host: Host,
    /// The plan's file and folder.
    plan: PathBuf,
    root: PathBuf,
    options: Options,
    face: Box<dyn Face>,
    watch: Watch,
    ahead: Ahead,
    builds: Builds,
    /// Folders that plugins are built from.
    sources: BTreeSet<PathBuf>,
    /// What is good: the project that runs, with every swap that was made.
    project: Option<Project>,
    living: Option<Living>,
    swaps: JoinSet<Swap>,
    /// What is being swapped in: the build's end and the watch both bring it.
    coming: BTreeMap<String, Build>,
    /// What plugins were before their last changes, oldest first.
    before: Vec<(String, Member)>,
    /// What a person went back from: it stays out until the component or its rights are others, since who narrows a
    /// profile meanwhile wants that to hold.
    held_back: BTreeMap<String, Build>,
    /// A sound project that waits for a yes.
    wider: Option<Project>,
    /// What was refused last, until something sound comes: it is told once.
    refused: Option<String>,
    /// What was read last, to be quoted where a run is refused.
    texts: Texts,
    /// Why another run begins when the living one has ended.
    next: Option<Why>,
    /// The page of the last run.
    report: Option<PathBuf>,
    state: &'a State,
    /// The last run of the whole plan that was begun: the next one takes from it what has not changed.
    last: Option<String>,
    /// The last run that was begun, which may have been of one step: the next step alone takes from it what it
    /// needs.
    newest: Option<String>,
}

/// The run that goes on.
struct Living {
    run: Run,
    events: Events,
}

impl Living {
    /// The next event; none after the last.
    async fn next(living: &mut Option<Self>) -> Option<Heard> {
        match living {
            Some(living) => living.events.next().await,
            None => std::future::pending().await,
        }
    }
}

impl Session<'_> {
    async fn go(
        &mut self,
        mut keys: mpsc::Receiver<Key>,
        mut logs: mpsc::Receiver<String>,
        mut stop: mpsc::Receiver<Exit>,
    ) -> Result<Exit, Failure> {
        let mut refresh = tokio::time::interval(REFRESH);
        loop {
            // Any of these is dropped when another one comes first, and asked again: each keeps what it has heard. A
            // channel that is closed, as that of keys without a keyboard is, matches nothing and is left out.
            tokio::select! {
                changed = self.watch.changed() => self.changed(&changed).await?,
                file = self.ahead.next() => self.ahead.begin(file, self.project.as_ref()),
                ended = self.builds.ended() => self.built(ended).await?,
                heard = Living::next(&mut self.living) => self.heard(heard).await?,
                Some(done) = self.swaps.join_next() => self.swapped(done)?,
                Some(line) = logs.recv() => self.face.tell(&Told::Log { line }),
                _ = refresh.tick() => self.face.refresh(),
                Some(key) = keys.recv() => {
                    if key == Key::Quit {
                        return Ok(self.end(Exit::Ok).await);
                    }
                    self.key(key)?;
                }
                Some(exit) = stop.recv() => return Ok(self.end(exit).await),
            }
        }
    }

    /// Ends the living run, whose record then says so. Nothing is heard meanwhile: calls at work have a grace, which
    /// ends by itself.
    async fn end(&mut self, exit: Exit) -> Exit {
        if let Some(living) = self.living.take() {
            living.run.cancel("interrupted");
            if let Ok(finished) = living.run.outcome().await {
                self.face.tell(&Told::finished(&finished));
            }
        }
        exit
    }

    fn refuse(&mut self, failure: &Failure) {
        let message = render(&Output::default(), failure, &self.texts);
        // Whatever is saved beside a plan that is not sound has it read again, and a log of this session in its
        // folder would go on for ever.
        if self.refused.as_ref() != Some(&message) {
            self.refused = Some(message.clone());
            self.face.tell(&Told::Refused { message });
        }
    }

    /// A folder as the person would name it.
    fn shown(&self, folder: &Path) -> String {
        let below = folder.strip_prefix(self.ambient.cwd());
        let shown = below.unwrap_or(folder).display().to_string();
        if shown.is_empty() {
            ".".to_owned()
        } else {
            shown
        }
    }
}
