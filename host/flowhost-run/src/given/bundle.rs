//! What a run was made of, kept beside its ledger: plan, sub-plans, prompts, schemas, profiles and
//! manifests as they were read, and which component each plugin was.
//!
//! A run can so be explained (and later resumed and replayed) after the working copy has changed. It is
//! one document and not a file for each text, because each file costs a wait for the disk before the
//! first step; every text carries its own SHA-256, and the ledger has that of the whole. Components are
//! too large to lie in every run's folder: they are kept once, by digest, below the state root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_ledger::records::Record;
use flowhost_ledger::{Durability, read_run};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::base::failure::Failure;
use crate::base::state::State;
use crate::given::project::Project;
use crate::given::world::World;

/// The document's name in a run's folder.
pub use flowhost_ledger::PLAN_BUNDLE as BUNDLE;

/// The document's own format.
const FORMAT: &str = "flowhost-bundle/1";

/// The texts that a project was read from, by the name that messages use for each.
#[derive(Debug, Clone, Default)]
pub struct Texts(BTreeMap<String, Arc<str>>);

impl Texts {
    /// Remembers a text.
    pub fn add(&mut self, file: &str, text: impl Into<Arc<str>>) {
        self.0.insert(file.to_owned(), text.into());
    }

    /// The names of the files that were read.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The text of a file that was read.
    #[must_use]
    pub fn get(&self, file: &str) -> Option<&Arc<str>> {
        self.0.get(file)
    }

    /// Every text with its file, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(file, text)| (file.as_str(), &**text))
    }
}

/// Records among which the document is named: it stands right behind the run's start.
const FIRST_RECORDS: usize = 8;

/// That these bytes are the document that the first records of the run in `run_dir` name; of a run whose records name
/// none, whoever needs them says so. Blocks on the disk.
///
/// # Errors
/// A sentence, when the document was changed or the records cannot be read.
pub fn vouch(run_dir: &Path, bytes: &[u8]) -> Result<(), String> {
    let records = read_run(run_dir).map_err(|error| error.to_string())?;
    for record in records.take(FIRST_RECORDS) {
        let record = record.map_err(|error| error.to_string())?;
        if let Ok(Some(Record::ViewWrite(view))) = record.read()
            && view.path == BUNDLE
        {
            return match view.sha256 == hex::encode(Sha256::digest(bytes)) {
                true => Ok(()),
                false => Err(changed(&run_dir.join(BUNDLE))),
            };
        }
    }
    Ok(())
}

/// What is said of a document that is not the one that the run's records name.
pub(crate) fn changed(path: &Path) -> String {
    format!(
        "`{}` is not what the run was made of: it was changed",
        path.display()
    )
}

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    /// The plan's own file, one of `files`.
    plan: &'a str,
    /// Where names were relative to.
    cwd: &'a Path,
    /// The folders that `dir` inputs named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    folders: &'a BTreeMap<String, PathBuf>,
    files: Vec<File<'a>>,
    plugins: BTreeMap<&'a str, Plugin<'a>>,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    sha256: String,
    text: &'a str,
}

#[derive(Serialize)]
struct Plugin<'a> {
    component: &'a str,
    profile: &'a str,
    rights: &'a str,
    /// The file of its manifest, one of `files`; none where the component has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    manifest: Option<&'a str>,
}

/// The document as it is read again.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The plan's own file, one of `files`.
    pub plan: String,
    /// Where names were relative to; empty in what an older host kept.
    pub cwd: PathBuf,
    /// The folders that `dir` inputs named.
    pub folders: BTreeMap<String, PathBuf>,
    /// Texts by the name that messages use for each.
    pub files: BTreeMap<String, String>,
    /// Plugins by their keys.
    pub plugins: BTreeMap<String, Kept>,
}

/// What is kept of a plugin.
#[derive(Debug, Clone, Deserialize)]
pub struct Kept {
    /// SHA-256 of the component, `sha256:…`.
    pub component: String,
    /// The profile's file.
    pub profile: String,
    /// Hash of the effective rights.
    pub rights: String,
    /// The manifest's file.
    #[serde(default)]
    pub manifest: Option<String>,
}

#[derive(Deserialize)]
struct Stored {
    format: String,
    plan: String,
    #[serde(default)]
    cwd: PathBuf,
    #[serde(default)]
    folders: BTreeMap<String, PathBuf>,
    files: Vec<StoredFile>,
    plugins: BTreeMap<String, Kept>,
}

#[derive(Deserialize)]
struct StoredFile {
    name: String,
    sha256: String,
    text: String,
}

impl Bundle {
    /// Reads a document. Each text must have the hash that stands beside it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let stored: Stored =
            serde_json::from_slice(bytes).map_err(|error| format!("it is not valid: {error}"))?;
        if stored.format != FORMAT {
            return Err(format!("its format is `{}`, not `{FORMAT}`", stored.format));
        }
        let mut files = BTreeMap::new();
        for StoredFile { name, sha256, text } in stored.files {
            if hex::encode(Sha256::digest(text.as_bytes())) != sha256 {
                return Err(format!("the text of `{name}` is not the one it was"));
            }
            files.insert(name, text);
        }
        Ok(Self {
            plan: stored.plan,
            cwd: stored.cwd,
            folders: stored.folders,
            files,
            plugins: stored.plugins,
        })
    }

    /// Which plugins of a project are not what the document says, and in what.
    pub(crate) fn differences(&self, project: &Project) -> Vec<(String, String)> {
        let mut differ = Vec::new();
        for (key, member) in &project.members {
            let Some(said) = self.plugins.get(key) else {
                continue;
            };
            let (component, rights) = (&*member.inspection.digest, &member.effective.hash);
            if said.component != component {
                let was = &said.component;
                let what = format!("its component was {was}, and is {component}");
                differ.push((key.clone(), what));
            } else if said.rights != *rights {
                let was = &said.rights;
                differ.push((
                    key.clone(),
                    format!("its rights were {was}, and are {rights}"),
                ));
            }
        }
        differ
    }
}

/// The document of a project.
pub(crate) fn document(project: &Project) -> Result<Vec<u8>, serde_json::Error> {
    let files = project.texts.0.iter().map(|(name, text)| File {
        name,
        sha256: hex::encode(Sha256::digest(text.as_bytes())),
        text,
    });
    let plugins = project.members.iter().map(|(key, member)| {
        let plugin = Plugin {
            component: &member.inspection.digest,
            profile: &member.profile.file,
            rights: &member.effective.hash,
            manifest: project
                .texts
                .get(&member.manifest.file)
                .map(|_| member.manifest.file.as_str()),
        };
        (key.as_str(), plugin)
    });
    serde_json::to_vec_pretty(&Document {
        format: FORMAT,
        plan: &project.file,
        cwd: &project.cwd,
        folders: &project.folders,
        files: files.collect(),
        plugins: plugins.collect(),
    })
}

/// Where the component of a digest is kept.
#[must_use]
pub fn component_path(state: &State, digest: &str) -> PathBuf {
    let digest = digest.trim_start_matches("sha256:");
    state.components_dir().join(format!("{digest}.wasm"))
}

/// The component of a plugin, as it is kept.
pub(crate) struct KeptComponent {
    /// Where; its name is its digest.
    pub(crate) path: PathBuf,
    pub(crate) bytes: Arc<[u8]>,
    /// Who vouched for it, so that a run that goes on or is done again can be asked for it too.
    pub(crate) signature: Option<(PathBuf, Arc<str>)>,
}

/// The component of each plugin, as it is kept.
pub(crate) fn components(project: &Project, state: &State) -> Vec<KeptComponent> {
    let kept = project.members.values().map(|member| {
        let path = component_path(state, &member.inspection.digest);
        let beside = path.with_extension("wasm.sig");
        KeptComponent {
            path,
            bytes: member.inspection.bytes().clone(),
            signature: member.signature.clone().map(|text| (beside, text)),
        }
    });
    kept.collect()
}

/// Keeps a component below its digest; every run that comes later relies on it.
pub(crate) fn keep_component(world: &dyn World, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if world.is_file(path) {
        return Ok(()); // its name is its digest, and it was written whole or not at all
    }
    let cannot = |what: String, error: std::io::Error| {
        Failure::new(Exit::Internal, what).because(error.to_string())
    };
    let folder = path.parent().unwrap_or(path);
    world
        .folder(folder)
        .map_err(|error| cannot(format!("cannot create `{}`", folder.display()), error))?;
    world
        .write(path, bytes, Durability::Durable)
        .map_err(|error| cannot(format!("cannot write `{}`", path.display()), error))
}
