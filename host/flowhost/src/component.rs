//! A component that a person names, looked at without a plan and without compiling it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_engine::{Inspection, ShapeLimits, inspect};
use flowhost_flow::Exit;
use flowhost_policy::Manifest;

use crate::failure::Failure;
use crate::finding::Finding;
use crate::remote::Pin;
use crate::sources::Sources;

/// What can be seen of it.
#[derive(Debug)]
pub struct Seen {
    /// Its file.
    pub path: PathBuf,
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// What it is.
    pub inspection: Inspection,
    /// What it says of itself, if it has a manifest.
    pub manifest: Option<Manifest>,
}

/// Looks at `source`: a path relative to `dir`, `builtin:NAME`, or a place that the operator lists, with what
/// is there now.
///
/// # Errors
/// When there is none, it is no component, or its manifest is wrong.
pub fn look(sources: &Sources<'_>, source: &str, dir: &Path) -> Result<Seen, Failure> {
    let (path, bytes) = sources
        .component(source, dir, Pin::Newest)
        .map_err(|found| of(&found))?;
    let shown = sources.shown(&path);
    let inspection = inspect(&bytes, &ShapeLimits::default()).map_err(|error| {
        Failure::new(Exit::Internal, format!("`{shown}` is refused")).caused_by(&error)
    })?;
    let found = sources.manifest(&path, inspection.manifest.as_deref());
    let manifest = found
        .map_err(|found| of(&found))?
        .map(|(file, text)| Manifest::parse(&text, &file))
        .transpose();
    let manifest = manifest.map_err(|problems| {
        let findings = problems.into_iter().map(Into::into).collect();
        Failure::findings(&format!("the manifest of `{shown}`"), findings)
    })?;
    Ok(Seen {
        path,
        bytes,
        inspection,
        manifest,
    })
}

fn of(finding: &Finding) -> Failure {
    Failure::new(Exit::Internal, finding.to_string()).hint(finding.hint.clone())
}
