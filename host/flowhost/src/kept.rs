//! Reads a run back from what was kept of it: the texts beside its ledger, the components in the state
//! folder. The plan loader that resolved the project when the run began resolves it again, from these.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flowhost_engine::{Inspected, ShapeLimits};
use flowhost_flow::{Exit, RunSetup};
use flowhost_ledger::{DataKey, SEALED_KEY};
use flowhost_run::bundle::{self, BUNDLE, Bundle, component_path};
use flowhost_run::{Fed, NOT_RESUMED, Project, State};
use flowhost_words::{PluginKind, with_article};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::host::seal_key;
use crate::plugin::trust::signature_file;
use crate::project::{self, Given, Loaded};
use crate::report::problems::Texts;
use crate::sources::{COMPONENT_BYTES_MAX, DOCUMENT_BYTES_MAX, KeptRun};

/// Bytes of a bundle: a plan, its parts and its profiles, each of which has its own bound.
pub const BUNDLE_BYTES_MAX: u64 = 1 << 30;

/// What to do about a document that is not there, or not the one that it was.
pub const BRING_BACK: &str = "bring the file back from a backup; without it the run can be shown and verified, and neither go on nor be replayed";

/// Finds what was kept.
#[derive(Debug, Clone)]
pub struct Kept {
    ambient: Ambient,
    config: Config,
    state: State,
    /// Components that are taken instead of the kept ones, by plugin.
    replaced: BTreeMap<String, PathBuf>,
    /// What was found last: a run that goes on is asked for its project before its lock is taken, which says how large
    /// the host must be, and again under it.
    last: Arc<Mutex<Option<Last>>>,
}

/// A project, and what it was made of.
#[derive(Debug)]
struct Last {
    bundle_sha256: [u8; 32],
    inputs: Map<String, Value>,
    project: Project,
}

impl Kept {
    /// Finds it below `state`; `replaced` names components that the person wants instead, by plugin.
    #[must_use]
    pub fn new(
        ambient: &Ambient,
        config: &Config,
        state: &State,
        replaced: BTreeMap<String, PathBuf>,
    ) -> Self {
        Self {
            ambient: ambient.clone(),
            config: config.clone(),
            state: state.clone(),
            replaced,
            last: Arc::default(),
        }
    }

    /// The document of what the run was made of.
    fn bytes(&self, run_dir: &Path) -> Result<Vec<u8>, Failure> {
        let bytes = self.ambient.read(&run_dir.join(BUNDLE), BUNDLE_BYTES_MAX);
        let bytes = bytes.map_err(|error| {
            let lost = lost(error.to_string()).because(error.source.to_string());
            lost.hint(BRING_BACK)
        })?;
        bundle::vouch(run_dir, &bytes).map_err(|why| lost(why).hint(BRING_BACK))?;
        Ok(bytes)
    }

    /// The project as it was, for a run that begins with this one's past; `typed` counts instead of the inputs
    /// that were recorded.
    ///
    /// # Errors
    /// When what was kept cannot be read.
    pub fn forked(
        &self,
        run_dir: &Path,
        inputs: Map<String, Value>,
        typed: &[(String, String)],
    ) -> Result<Loaded, Failure> {
        let (ambient, kept) = self.run(run_dir, &self.bytes(run_dir)?)?;
        let (given, mut texts) = (Given::Forked(inputs), Texts::default());
        let config = &self.config;
        Ok(project::load_again(
            &ambient, config, &kept, given, typed, &mut texts,
        ))
    }

    /// What the run's planner was made with, as its first record has it.
    ///
    /// # Errors
    /// When the record does not say it.
    pub fn setup(&self, run_dir: &Path) -> Result<RunSetup, Failure> {
        let key = data_key(&self.ambient, &self.state, run_dir)?;
        Ok(Fed::setup(run_dir, key.as_ref())?)
    }

    /// What was kept, and where its names are relative to.
    fn run(&self, run_dir: &Path, bytes: &[u8]) -> Result<(Ambient, KeptRun), Failure> {
        let mut bundle = Bundle::read(bytes)
            .map_err(|why| lost(format!("`{}`: {why}", run_dir.join(BUNDLE).display())))?;
        self.stand_in(&mut bundle)?;
        let ambient = match bundle.cwd.as_os_str().is_empty() {
            true => self.ambient.clone(),
            false => self.ambient.at(bundle.cwd.clone()),
        };
        let kept = KeptRun {
            bundle,
            state: self.state.clone(),
            stand_ins: BTreeMap::new(),
        };
        Ok((ambient, kept))
    }

    /// Keeps the components that stand in for others from now on, as the run's own were kept: the run may be
    /// resumed again. The rights of a plugin stay those that it had.
    fn stand_in(&self, bundle: &mut Bundle) -> Result<(), Failure> {
        for (key, path) in &self.replaced {
            let names: Vec<String> = bundle.plugins.keys().map(|it| format!("`{it}`")).collect();
            let Some(plugin) = bundle.plugins.get_mut(key) else {
                return Err(lost(format!("its plan has no plugin `{key}`"))
                    .hint(format!("its plugins: {}", names.join(", "))));
            };
            let (bytes, component) = stand_in(&self.ambient, key, path)?;
            // One that is gone or was changed does not say what it was; the plan does, when it is read below.
            let had = component_path(&self.state, &plugin.component);
            if let Ok((_, had)) = stand_in(&self.ambient, key, &had)
                && *had.digest == *plugin.component
            {
                of_kind(key, path, had.role, component.role)?;
            }
            plugin.component = component.digest.to_string();
            let kept = component_path(&self.state, &plugin.component);
            // By its digest: where it is there already, it need not be the same any more, which may be why another is named.
            let there = self.ambient.read(&kept, COMPONENT_BYTES_MAX);
            if !there.is_ok_and(|there| *there == *bytes) {
                // Whoever lost a component may have lost the folder of them all.
                self.ambient.create_dir(&self.state.components_dir())?;
                self.ambient.write(&kept, &bytes)?;
            }
            let signature = signature_file(path);
            if self.ambient.is_file(&signature) {
                let text = self.ambient.read(&signature, DOCUMENT_BYTES_MAX)?;
                self.ambient.write(&signature_file(&kept), &text)?;
            }
        }
        Ok(())
    }
}

impl flowhost_run::Kept for Kept {
    fn project(&self, run_dir: &Path, inputs: &Map<String, Value>) -> Result<Project, Failure> {
        let bytes = self.bytes(run_dir)?;
        let bundle_sha256: [u8; 32] = Sha256::digest(&bytes).into();
        // Held while the project is read: whoever asks meanwhile gets the same instead of reading it again.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.bundle_sha256 == bundle_sha256
            && last.inputs == *inputs
        {
            return Ok(last.project.clone());
        }
        let (ambient, kept) = self.run(run_dir, &bytes)?;
        let mut texts = Texts::default();
        let Loaded { project, findings } =
            project::load_kept(&ambient, &self.config, &kept, inputs, &mut texts);
        match project {
            Some(project) if findings.is_empty() => {
                *last = Some(Last {
                    bundle_sha256,
                    inputs: inputs.clone(),
                    project: project.clone(),
                });
                Ok(project)
            }
            _ => {
                let mut failure = lost("what was kept of it is not whole any more");
                failure.findings = findings;
                let run = run_dir.file_name().unwrap_or_default().to_string_lossy();
                Err(failure.hint(format!(
                    "a run that has not ended goes on with another component by `flowhost runs resume {run} --plugin NAME=PATH`, \
                     on purpose, and is ended with one by `flowhost runs cancel {run} --plugin NAME=PATH`"
                )))
            }
        }
    }

    fn key(&self, run_dir: &Path) -> Result<Option<DataKey>, Failure> {
        data_key(&self.ambient, &self.state, run_dir)
    }
}

/// The component in a file that stands in for a plugin's, and its bytes.
///
/// # Errors
/// When it cannot be read, or is no component.
pub fn stand_in(
    ambient: &Ambient,
    plugin: &str,
    path: &Path,
) -> Result<(Arc<[u8]>, Inspected), Failure> {
    let bytes: Arc<[u8]> = ambient.read(path, COMPONENT_BYTES_MAX)?.into();
    let inspected = Inspected::new(bytes.clone(), &ShapeLimits::default());
    let inspected = inspected.map_err(|error| {
        let what = format!("`{}` cannot stand in for `{plugin}`", path.display());
        Failure::new(Exit::Internal, what).caused_by(&error)
    })?;
    Ok((bytes, inspected))
}

/// That the component in a file is of the plugin's kind: one of another is called in another way, and would fail only once
/// it is.
///
/// # Errors
/// When it is not.
pub fn of_kind(
    plugin: &str,
    path: &Path,
    wanted: PluginKind,
    kind: PluginKind,
) -> Result<(), Failure> {
    if kind == wanted {
        return Ok(());
    }
    let what = format!("`{}` cannot stand in for `{plugin}`", path.display());
    let (is, wanted) = (with_article(kind.as_str()), with_article(wanted.as_str()));
    Err(Failure::new(Exit::Internal, what)
        .because(format!("it is {is}, and `{plugin}` is {wanted}"))
        .hint("name a component of the same kind"))
}

/// The key of what the run in `run_dir` has sealed; none where it sealed nothing, or the key is gone.
///
/// # Errors
/// When it cannot be read.
pub fn data_key(
    ambient: &Ambient,
    state: &State,
    run_dir: &Path,
) -> Result<Option<DataKey>, Failure> {
    if !ambient.is_file(&run_dir.join(SEALED_KEY)) {
        return Ok(None);
    }
    // What a run sealed is bound to its name, so that no other run's key opens it.
    let run = run_dir.file_name().and_then(|name| name.to_str());
    let host_key = seal_key(ambient, state)?;
    DataKey::of_run(run_dir, &host_key, run.unwrap_or_default()).map_err(|error| {
        let what = "the key of what the run has sealed cannot be read";
        Failure::new(Exit::Internal, what).because(error.to_string())
    })
}

fn lost(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Internal, NOT_RESUMED).because(why)
}
