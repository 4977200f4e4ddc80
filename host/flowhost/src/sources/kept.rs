//! What a run kept of its sources, in the place of files that may have changed or gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_engine::Inspected;
use flowhost_run::State;
use flowhost_run::bundle::{Bundle, Kept, component_path};
use sha2::{Digest as _, Sha256};

use super::{COMPONENT_BYTES_MAX, Sources};
use crate::finding::Finding;

/// What a run was made of: it stands in for the files that it was read from, which may have changed or gone.
#[derive(Debug, Clone)]
pub struct KeptRun {
    /// Texts and plugins.
    pub bundle: Bundle,
    /// Where components lie by digest.
    pub state: State,
    /// Components that stand in for those that the run had, by plugin, with their files.
    pub stand_ins: BTreeMap<String, (PathBuf, Inspected)>,
}

impl KeptRun {
    /// The text that the run had under this name.
    pub(crate) fn text(&self, file: &str) -> Result<&str, Finding> {
        let files = &self.bundle.files;
        // A run that was begun at the root by an earlier host has its files by names from there.
        let text = files
            .get(file)
            .or_else(|| files.get(file.strip_prefix('/')?));
        text.map(String::as_str).ok_or_else(|| {
            let message = format!("`{file}` is not among the files that the run kept");
            Finding::new("", message).cure("`bundle.json` in the run's folder lists them")
        })
    }

    /// What the run kept of a plugin.
    pub(crate) fn plugin(&self, key: &str) -> Result<&Kept, Finding> {
        let plugin = self.bundle.plugins.get(key);
        plugin.ok_or_else(|| Finding::new("", format!("the run had no plugin `{key}`")))
    }
}

impl Sources<'_> {
    /// A component that a run kept, with its path.
    ///
    /// # Errors
    /// When it has gone, or is none any more.
    pub(crate) fn kept_component(
        &self,
        kept: &KeptRun,
        plugin: &str,
    ) -> Result<(PathBuf, Inspected), Finding> {
        // Not held against the digest: that it is another is why somebody named it.
        if let Some((path, component)) = kept.stand_ins.get(plugin) {
            return Ok((path.clone(), component.clone()));
        }
        let digest = &kept.plugin(plugin)?.component;
        let path = component_path(&kept.state, digest);
        let missing = || {
            let message = format!("the component {digest} is not kept any more");
            let cure = format!("put it back as `{}`", path.display());
            Finding::new("", message).cure(cure)
        };
        match self.ambient.component(&path, COMPONENT_BYTES_MAX) {
            // The name says which it was, and only its bytes which it is: the folder is the operator's, but a backup
            // or a hand may have put another there.
            Ok(component) if *component.digest == **digest => Ok((path, component)),
            // A file that was changed often is no component any more; that it was changed says more than what the
            // parser stumbles over.
            Err(error) if !self.is_another(&path, digest) => {
                Err(self.unusable(&path, error, missing))
            }
            _ => {
                let message = format!(
                    "`{}` is not the component that the run had: it was changed",
                    self.shown(&path)
                );
                Err(Finding::new("", message).cure("bring the file back from a backup"))
            }
        }
    }

    /// Whether a file is there, and is not the one of this digest.
    fn is_another(&self, path: &Path, digest: &str) -> bool {
        let bytes = self.ambient.read(path, COMPONENT_BYTES_MAX);
        bytes.is_ok_and(|bytes| format!("sha256:{}", hex::encode(Sha256::digest(bytes))) != digest)
    }
}
