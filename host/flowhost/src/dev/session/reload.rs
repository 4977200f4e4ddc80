//! What a changed file or the end of a build leads to: the project is read anew, refused, or taken in the smallest way
//! that shows the change: not at all, into the living run, or by another run.
//!
//! Must never let a plugin have more rights than before without a yes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowhost_run::Project;

use super::Session;
use crate::dev::build::{Ended, project_of};
use crate::dev::change::{Build, Change, wider};
use crate::dev::watch::{Wanted, is_source};
use crate::dev::{Told, Why};
use crate::failure::Failure;
use crate::plugin::lock::{self, LOCK_FILE};
use crate::plugin::trust::{Trust, signature_file};
use crate::preflight::{Asking, findings_of};
use crate::project::{self, Loaded};
use crate::report::problems::Texts;

impl Session<'_> {
    pub(super) async fn changed(&mut self, changed: &BTreeSet<PathBuf>) -> Result<(), Failure> {
        // A change of sources says nothing of the plan: the component that is built of them does, when it is there.
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
            false => self.reload(Why::Change).await,
        }
    }

    fn building(&mut self, begun: Option<PathBuf>) {
        if let Some(folder) = begun {
            let folder = self.shown(&folder);
            self.face.tell(&Told::Building { folder });
        }
    }

    pub(super) async fn built(&mut self, ended: Ended) -> Result<(), Failure> {
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
            true => self.reload(Why::Change).await,
            false => Ok(()),
        }
    }

    /// Reads the project anew, and does what follows.
    pub(super) async fn reload(&mut self, why: Why) -> Result<(), Failure> {
        let mut texts = Texts::default();
        // Components are read and inspected: what a run does meanwhile must not wait for the disk.
        let (loaded, refusal) = tokio::task::block_in_place(|| {
            let request = &self.options.request;
            let mut loaded = project::load(self.ambient, self.config, request, &mut texts);
            self.hold_to_lock(&mut loaded);
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

    /// With `--locked`, what would run has to be what the lock beside the plan says, also after a change.
    fn hold_to_lock(&self, loaded: &mut Loaded) {
        let whole = loaded.project.as_ref().filter(|it| it.is_whole());
        // Half a plan is refused for what is wrong with it, and says nothing of its lock.
        let Some(project) = whole.filter(|_| self.options.locked) else {
            return;
        };
        let drift = lock::drift(self.ambient, self.config, project);
        let found = drift.unwrap_or_else(findings_of);
        loaded.findings.extend(found);
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
        if self.options.locked {
            files.insert(self.root.join(LOCK_FILE));
        }
        let mut folders = self.sources.clone();
        if refused {
            // Whatever is missing may come anywhere beside the plan.
            folders.insert(self.root.clone());
        }
        self.watch.want(Wanted { files, folders });
    }

    /// A sound project has come.
    pub(super) fn take(&mut self, mut project: Project, why: Why) -> Result<(), Failure> {
        // The first: nothing was granted before, so that nothing can be wider.
        let Some(current) = &self.project else {
            self.wider = None;
            return self.start(project, why);
        };
        // What a person went back from stays out, and is forgotten when another state of the plugin has come.
        self.held_back.retain(|key, held| {
            let kept = current.members.get(key);
            let (Some(member), Some(kept)) = (project.members.get_mut(key), kept) else {
                return false;
            };
            let is_held = Build::of(member) == *held;
            if is_held {
                member.clone_from(kept);
            }
            is_held
        });
        let change = Change::between(current, &project)?;
        if self.living.is_none() && change == Change::Nothing {
            return match why {
                Why::Again => self.start(project, why),
                _ => Ok(()),
            };
        }
        // All of them are told before anybody is asked: one yes is for the whole change.
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
}
