//! What a run was made of, kept beside its ledger: plan, sub-plans, prompts, schemas, profiles and
//! manifests as they were read, and which component each plugin was.
//!
//! A run can so be explained (and later resumed and replayed) after the working copy has changed. It is
//! one document and not a file for each text, because each file costs a wait for the disk before the
//! first step; every text carries its own SHA-256, and the ledger has that of the whole. Components are
//! too large to lie in every run's folder: they are kept once, by digest, below the state root.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::project::Project;
use crate::state::State;

/// The document's name in a run's folder.
pub const BUNDLE: &str = "bundle.json";

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

#[derive(Serialize)]
struct Document<'a> {
    format: &'static str,
    /// The plan's own file, one of `files`.
    plan: &'a str,
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
        };
        (key.as_str(), plugin)
    });
    serde_json::to_vec_pretty(&Document {
        format: FORMAT,
        plan: &project.file,
        files: files.collect(),
        plugins: plugins.collect(),
    })
}

/// Where the component of each plugin is kept, with its bytes.
pub(crate) fn components(project: &Project, state: &State) -> Vec<(PathBuf, Arc<[u8]>)> {
    let folder = state.components_dir();
    let kept = project.members.values().map(|member| {
        let digest = member.inspection.digest.trim_start_matches("sha256:");
        (folder.join(format!("{digest}.wasm")), member.bytes.clone())
    });
    kept.collect()
}
