//! The life of `flowhost dev`: what follows from a changed file, a build, a run's event and a key.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::PoolConfig;
use flowhost_flow::Exit;
use flowhost_flow::plan::Body;
use flowhost_run::{
    Earlier, Events, Finished, Heard, Host, Member, Project, Run, RunEvent, RunOptions, Swapped,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::ahead::Ahead;
use super::build::{Builds, Ended, project_of};
use super::change::{Change, wider};
use super::watch::{Wanted, Watch, is_source};
use super::{Face, Key, Told};
use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::host::host;
use crate::kept::Kept;
use crate::output::Output;
use crate::plugin::trust::{Trust, signature_file};
use crate::preflight::Asking;
use crate::project::{self, Loaded, Request};
use crate::report::problems::{Texts, render};
use crate::state::State;

/// How often a living run's times are shown anew. As often as a second changes to the eye, and no load for a
/// terminal over a slow line.
const REFRESH: Duration = Duration::from_millis(200);
/// Builds that `b` can go back through. Each holds a whole project with its components.
const BACK_MAX: usize = 32;

/// Why a run begins though nothing has changed: a person asks for it.
const AGAIN: &str = "again";
/// Why a run begins after `b`.
const BACK: &str = "back";
/// Why a run begins after `s`.
const ONLY: &str = "only";

/// What to run and how.
pub struct Options {
    /// The plan, its inputs and its profiles.
    pub request: Request,
    /// How each run goes.
    pub run: RunOptions,
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
    // A changed plan may have more plugins than the first: room as for any.
    let host = host(ambient, config, state, PoolConfig::default(), None)?;
    let (watch, whole) = Watch::new(ambient);
    let mut session = Session {
        ambient,
        config,
        ahead: Ahead::new(ambient, &host, whole),
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
    session.reload("start").await?;
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
    /// Component and rights of what is being swapped in: the build's end and the watch both bring it.
    coming: BTreeMap<String, (String, String)>,
    /// What plugins were before their last changes, oldest first.
    before: Vec<(String, Member)>,
    /// Digests of builds that a person went back from: they stay out until the file is another one.
    held_back: BTreeMap<String, String>,
    /// A sound project that waits for a yes.
    wider: Option<Project>,
    /// What was refused last, until something sound comes: it is told once.
    refused: Option<String>,
    /// What was read last, to be quoted where a run is refused.
    texts: Texts,
    /// Why another run begins when the living one has ended.
    next: Option<&'static str>,
    /// The page of the last run.
    report: Option<PathBuf>,
    state: &'a State,
    /// The last run of the whole plan that was begun: the next one takes from it what has not changed.
    last: Option<String>,
    /// The last run that was begun, which may have been of one step: the next step alone takes from it what it
    /// needs.
    newest: Option<String>,
}

/// A swap that was tried.
struct Swap {
    key: String,
    member: Box<Member>,
    /// Whether a person went back to it: then what was before it is not kept, or `b` would go in a circle.
    back: bool,
    done: Result<Swapped, Failure>,
}

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
            tokio::select! {
                changed = self.watch.changed() => self.changed(&changed).await?,
                file = self.ahead.next() => self.ahead.begin(file, self.project.as_ref()),
                ended = self.builds.ended() => self.built(ended).await?,
                heard = Living::next(&mut self.living) => self.heard(heard).await?,
                Some(done) = self.swaps.join_next() => self.swapped(done),
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

    /// Ends the living run, whose record then says so.
    async fn end(&mut self, exit: Exit) -> Exit {
        if let Some(living) = self.living.take() {
            living.run.cancel("interrupted");
            if let Ok(finished) = living.run.outcome().await {
                self.face.tell(&Told::finished(&finished));
            }
        }
        exit
    }

    async fn changed(&mut self, changed: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        let mut others = changed.clone();
        for folder in self.sources.clone() {
            let (of_it, rest): (BTreeSet<_>, _) =
                others.into_iter().partition(|it| is_source(it, &folder));
            others = rest;
            if !of_it.is_empty() {
                let begun = self.builds.want(folder);
                self.building(begun);
            }
        }
        match others.is_empty() {
            true => Ok(()),
            false => self.reload("change").await,
        }
    }

    fn building(&mut self, begun: Option<PathBuf>) {
        if let Some(folder) = begun {
            let folder = self.shown(&folder);
            self.face.tell(&Told::Building { folder });
        }
    }

    async fn built(&mut self, ended: Ended) -> Result<(), Failure> {
        let folder = self.shown(&ended.folder);
        let took_ms = ended.took_ms;
        let told = match ended.result {
            Ok(()) => Told::Built { folder, took_ms },
            Err(message) => Told::BuildFailed { folder, message },
        };
        let good = matches!(told, Told::Built { .. });
        self.face.tell(&told);
        let begun = self.builds.begin();
        self.building(begun);
        // The watch will say that the component has changed; asking now saves its wait.
        match good {
            true => self.reload("change").await,
            false => Ok(()),
        }
    }

    /// Reads the project anew, and does what follows.
    async fn reload(&mut self, why: &'static str) -> Result<(), Failure> {
        let mut texts = Texts::default();
        let (loaded, refusal) = tokio::task::block_in_place(|| {
            let request = &self.options.request;
            let loaded = project::load(self.ambient, self.config, request, &mut texts);
            let asking = Asking {
                ambient: self.ambient,
                config: self.config,
                state: self.state,
            };
            let refusal = asking.refusal(&request.plan, &loaded);
            (loaded, refusal)
        });
        self.watch_for(&loaded, &texts, refusal.is_some());
        self.texts = texts;
        if let Some(failure) = refusal {
            self.refuse(&failure);
            return Ok(());
        }
        let Some(project) = loaded.project else {
            debug_assert!(false, "what is not refused is a project");
            return Ok(());
        };
        if self.refused.take().is_some() && self.runs_already(&project)? {
            // Nothing else follows, and the refusal would be the last word.
            let message = "it is as it was before, and nothing is to be done".to_owned();
            self.face.tell(&Told::Said { message });
        }
        self.take(project, why)
    }

    /// Whether a project is the one that was taken last.
    fn runs_already(&self, project: &Project) -> Result<bool, Failure> {
        match &self.project {
            Some(current) => Ok(Change::between(current, project)? == Change::Nothing),
            None => Ok(false),
        }
    }

    fn watch_for(&mut self, loaded: &Loaded, texts: &Texts, refused: bool) {
        let mut files: BTreeSet<PathBuf> = texts
            .files()
            .map(|name| self.ambient.resolve(Path::new(name)))
            .collect();
        files.insert(self.plan.clone());
        let members = loaded.project.iter().flat_map(|it| it.members.values());
        self.sources.clear();
        for member in members {
            files.insert(member.path.clone());
            // Signed or trusted a moment later, it is let in.
            files.insert(signature_file(&member.path));
            self.sources
                .extend(project_of(self.ambient, &member.path, &self.root));
        }
        files.extend(Trust::place(self.config));
        let mut folders = self.sources.clone();
        if refused {
            // Whatever is missing may come anywhere beside the plan.
            folders.insert(self.root.clone());
        }
        self.watch.want(Wanted { files, folders });
    }

    /// A sound project has come.
    fn take(&mut self, mut project: Project, why: &'static str) -> Result<(), Failure> {
        let Some(current) = &self.project else {
            self.wider = None;
            return self.start(project, why);
        };
        for (key, digest) in &self.held_back {
            let kept = current.members.get(key);
            if let (Some(member), Some(kept)) = (project.members.get_mut(key), kept)
                && *member.inspection.digest == **digest
            {
                member.clone_from(kept);
            }
        }
        self.held_back.retain(|key, _| {
            project.members.get(key).is_some_and(|it| {
                let kept = current.members.get(key);
                kept.is_some_and(|kept| kept.inspection.digest == it.inspection.digest)
            })
        });
        let change = Change::between(current, &project)?;
        if self.living.is_none() && change == Change::Nothing {
            return match why {
                AGAIN => self.start(project, why),
                _ => Ok(()),
            };
        }
        let mut widened = false;
        for (key, member) in &project.members {
            let Some(before) = current.members.get(key) else {
                continue;
            };
            let rights = wider(key, before, member);
            if !rights.is_empty() {
                widened = true;
                let plugin = key.clone();
                self.face.tell(&Told::Wider { plugin, rights });
            }
        }
        if widened {
            self.face.tell(&Told::Said {
                message: "y takes them with a new run, n keeps the rights that it has".to_owned(),
            });
            self.wider = Some(project);
            return Ok(());
        }
        self.wider = None;
        match change {
            Change::Nothing => Ok(()),
            Change::Plugins(keys) => self.swap(project, &keys, why),
            Change::Plan => self.start(project, why),
        }
    }

    /// Puts these plugins of `project` into the living run; without one, begins a run with them.
    fn swap(
        &mut self,
        project: Project,
        keys: &[String],
        why: &'static str,
    ) -> Result<(), Failure> {
        let back = why == BACK;
        let Some(living) = &self.living else {
            if !back {
                self.remember(keys);
            }
            return self.start(project, why);
        };
        for key in keys {
            let Some(member) = project.members.get(key) else {
                debug_assert!(false, "a changed plugin is one of the project's");
                continue;
            };
            let digest = member.inspection.digest.to_string();
            let coming = (digest, member.effective.hash.clone());
            if self.coming.insert(key.clone(), coming.clone()) == Some(coming) {
                continue;
            }
            let (run, key, member) = (living.run.clone(), key.clone(), Box::new(member.clone()));
            self.swaps.spawn(async move {
                let done = run.swap(&key, &member).await;
                Swap {
                    key,
                    member,
                    back,
                    done,
                }
            });
        }
        Ok(())
    }

    fn swapped(&mut self, done: Result<Swap, tokio::task::JoinError>) {
        let Swap {
            key,
            member,
            back,
            done,
        } = match done {
            Ok(done) => done,
            Err(error) => {
                self.coming.clear();
                let message = format!("a swap was lost: {error}");
                return self.face.tell(&Told::Said { message });
            }
        };
        let digest = member.inspection.digest.to_string();
        if self.coming.get(&key).is_some_and(|it| it.0 == digest) {
            self.coming.remove(&key);
        }
        match done {
            Ok(swapped) => {
                if !back {
                    self.remember(std::slice::from_ref(&key));
                }
                if let Some(project) = &mut self.project {
                    project.members.insert(key.clone(), *member);
                }
                self.face.tell(&Told::swapped(&key, &digest, &swapped));
            }
            Err(failure) => self.refuse(&failure),
        }
    }

    /// Keeps what these plugins are now, for the way back.
    fn remember(&mut self, keys: &[String]) {
        let members = self.project.iter().flat_map(|project| &project.members);
        let now: Vec<_> = members
            .filter(|(key, _)| keys.contains(key))
            .map(|(key, member)| (key.clone(), member.clone()))
            .collect();
        self.before.extend(now);
        let beyond = self.before.len().saturating_sub(BACK_MAX);
        self.before.drain(..beyond);
    }

    /// Begins a run, at once or when the living one has ended, which is asked to.
    fn start(&mut self, project: Project, why: &'static str) -> Result<(), Failure> {
        self.project = Some(project.clone());
        if let Some(living) = &self.living {
            living.run.cancel("the plan has changed");
            self.next = Some(why);
            return Ok(());
        }
        self.tell_watching(&project);
        let options = RunOptions {
            reuse: self.earlier(why),
            ..self.options.run.clone()
        };
        let run = self.host.start(project.clone(), options)?;
        self.last = Some(run.id().to_owned());
        self.begun(run, &project, why);
        Ok(())
    }

    fn begun(&mut self, run: Run, project: &Project, why: &'static str) {
        self.newest = Some(run.id().to_owned());
        // The plan keeps them by name; a person wrote them in another order.
        let mut steps = project.plan.steps();
        steps.sort_by_key(|step| (step.at.line, step.at.column));
        let steps: Vec<String> = steps.iter().map(|step| step.id.clone()).collect();
        self.face.tell(&Told::RunStarted {
            run: run.id().to_owned(),
            steps,
            why,
        });
        let events = run.events();
        self.living = Some(Living { run, events });
    }

    /// Runs the chosen step alone, as `flowhost run --only` does: what it needs is what the newest run gave.
    fn only(&mut self) -> Result<(), Failure> {
        let (project, step) = match self.alone() {
            Ok(found) => found,
            Err(message) => {
                self.face.tell(&Told::Said { message });
                return Ok(());
            }
        };
        let options = RunOptions {
            only: Some(step.clone()),
            ..self.options.run.clone()
        };
        let needs = project.plan.step(&step).map(|step| &step.needs);
        let needs = needs.is_some_and(|needs| !needs.is_empty());
        let begun = project.clone();
        let run = match self.newest.clone().filter(|_| needs) {
            Some(before) => {
                let kept = Kept::new(self.ambient, self.config, self.state, BTreeMap::new());
                self.host
                    .fork(begun, &before, &step, Arc::new(kept), options)?
            }
            None => self.host.start(begun, options)?,
        };
        self.begun(run, &project, ONLY);
        Ok(())
    }

    /// The project and the step of it that can be run alone now, or why there is none.
    fn alone(&self) -> Result<(Project, String), String> {
        let project = self.project.clone();
        let (Some(project), Some(step)) = (project, self.face.chosen()) else {
            return Err("the plan has problems: a step can be run when they are mended".to_owned());
        };
        if self.living.is_some() {
            return Err("a run goes on: a step is run alone when it has ended".to_owned());
        }
        if !matches!(project.plan.body, Body::Workflow { .. }) {
            return Err(
                "only a workflow has steps that can be run apart from each other".to_owned(),
            );
        }
        match project.plan.step(&step) {
            Some(_) => Ok((project, step)),
            None => Err(format!("the plan has no step `{step}` any more")),
        }
    }

    /// What the last run can give. A person who asks for the same again wants it done.
    fn earlier(&mut self, why: &str) -> Option<Arc<Earlier>> {
        let last = self.last.clone().filter(|_| why != AGAIN)?;
        let kept = Kept::new(self.ambient, self.config, self.state, BTreeMap::new());
        let read = tokio::task::block_in_place(|| self.host.earlier(&last, &kept));
        match read {
            Ok(earlier) => Some(Arc::new(earlier)),
            Err(failure) => {
                let why = failure.causes.join(": ");
                let message = format!("{}, and everything is done: {why}", failure.message);
                self.face.tell(&Told::Said { message });
                None
            }
        }
    }

    fn tell_watching(&mut self, project: &Project) {
        let plugins = project
            .members
            .iter()
            .map(|(key, member)| (key.clone(), member.inspection.digest.to_string()));
        let told = Told::Watching {
            plan: project.file.clone(),
            plugins: plugins.collect(),
            sources: self.sources.iter().map(|it| self.shown(it)).collect(),
        };
        self.face.tell(&told);
    }

    async fn heard(&mut self, heard: Option<Heard>) -> Result<(), Failure> {
        match heard {
            Some(Heard::Event(RunEvent::Note(note))) => {
                if let Some(told) = Told::of_note(&note) {
                    self.face.tell(&told);
                }
                Ok(())
            }
            Some(Heard::Missed(missed)) => {
                let message =
                    format!("{missed} events came too fast to be shown; the ledger has them");
                self.face.tell(&Told::Said { message });
                Ok(())
            }
            Some(Heard::Event(RunEvent::Started | RunEvent::Progress(_))) => Ok(()),
            // A handle that closed without its last event is as ended as one that gave it.
            Some(Heard::Event(RunEvent::Ended)) | None => self.ended().await,
        }
    }

    async fn ended(&mut self) -> Result<(), Failure> {
        let Some(living) = self.living.take() else {
            debug_assert!(false, "only a living run has events");
            return Ok(());
        };
        match living.run.outcome().await {
            Ok(finished) => self.finished(&finished),
            Err(failure) => {
                // It left no record, so that nothing can be taken from it.
                self.newest.clone_from(&self.last);
                self.face.tell(&Told::not_begun(living.run.id(), &failure));
                self.refuse(&failure);
            }
        }
        match (self.next.take(), self.project.clone()) {
            (Some(why), Some(project)) => self.start(project, why),
            _ => Ok(()),
        }
    }

    fn finished(&mut self, finished: &Finished) {
        if finished.outcome.end.exit == Exit::Ok {
            crate::firsts::green(self.ambient);
        }
        self.report.clone_from(&finished.evidence.report_html);
        self.face.tell(&Told::finished(finished));
    }

    fn key(&mut self, key: Key) -> Result<(), Failure> {
        self.face.pressed(key);
        match key {
            Key::Again => match self.project.clone() {
                Some(project) => self.start(project, AGAIN),
                None => Ok(()),
            },
            Key::Yes => match self.wider.take() {
                Some(project) => self.start(project, "rights"),
                None => Ok(()),
            },
            Key::No => {
                if self.wider.take().is_some() {
                    let message = "the rights stay as they were, and so do the plugins".to_owned();
                    self.face.tell(&Told::Said { message });
                }
                Ok(())
            }
            Key::Only => self.only(),
            Key::Back => self.back(),
            Key::Up | Key::Down => {
                self.face.refresh();
                Ok(())
            }
            Key::Open => {
                self.open();
                Ok(())
            }
            Key::Refresh => {
                self.face.refresh();
                Ok(())
            }
            // Ends the loop, before it comes here.
            Key::Quit => Ok(()),
        }
    }

    fn back(&mut self) -> Result<(), Failure> {
        let (Some((key, member)), Some(project)) = (self.before.pop(), self.project.clone()) else {
            let message = "no plugin has changed since the start, so none can go back".to_owned();
            self.face.tell(&Told::Said { message });
            return Ok(());
        };
        let Some(now) = project.members.get(&key) else {
            let message = format!("the plan has no plugin `{key}` any more");
            self.face.tell(&Told::Said { message });
            return Ok(());
        };
        self.held_back
            .insert(key.clone(), now.inspection.digest.to_string());
        let mut project = project;
        project.members.insert(key.clone(), member);
        // It had these rights before: going back asks nobody.
        self.swap(project, &[key], BACK)
    }

    fn open(&mut self) {
        let message = match &self.report {
            Some(page) => format!("report: file://{}", page.display()),
            None => "the report is written when a run has ended; none has yet".to_owned(),
        };
        self.face.tell(&Told::Said { message });
        if let Some(page) = &self.report {
            self.ambient.open_page(page);
        }
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
