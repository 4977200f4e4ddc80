//! From sources to a component with its manifest inside: the language's tools make it, the component says
//! which tools it has, and the manifest is held against what it imports.

use std::path::{Path, PathBuf};

use flowhost_author::{ManifestError, WrapError, with_manifest, with_tools};
use flowhost_engine::{Inspection, ShapeLimits, inspect};
use flowhost_flow::Exit;
use flowhost_policy::{Manifest, Problem};
use flowhost_words::PluginKind;

use super::describe;
use super::project::Project;
use crate::ambient::Ambient;
use crate::component::without_manifest;
use crate::failure::Failure;
use crate::finding::Finding;
use crate::host::compiler;
use crate::sources::{COMPONENT_BYTES_MAX, Sources};

/// What came out.
#[derive(Debug)]
pub struct Built {
    /// Where the component was written.
    pub path: PathBuf,
    /// The manifest inside it.
    pub manifest: Manifest,
    /// What the component is.
    pub inspection: Inspection,
}

/// Builds a project and writes its component: to `out`, else to `dist/NAME.wasm` in the project. What was
/// there stays when anything fails.
///
/// # Errors
/// When a tool is missing, the project does not build, or manifest and component disagree.
pub fn build(ambient: &Ambient, project: &Project, out: Option<&Path>) -> Result<Built, Failure> {
    let made = project.lang.make(ambient, project)?;
    let (text, manifest) = (&project.text, &project.manifest);
    let finished = finished(ambient, text, manifest, made.component)?;
    written(ambient, finished, &project.folder, out)
}

/// Puts the manifest that stands beside a component inside it, and writes that as [`build`] does: the file itself
/// stays as it is.
///
/// # Errors
/// When it has one inside, or none beside it, or the two disagree.
pub fn wrap(
    ambient: &Ambient,
    sources: &Sources<'_>,
    file: &Path,
    out: Option<&Path>,
) -> Result<Built, Failure> {
    let path = ambient.resolve(file);
    let bytes = ambient.read(&path, COMPONENT_BYTES_MAX)?;
    let inspection = inspected(&bytes)?;
    if inspection.manifest.is_some() {
        let message = format!("`{}` has its manifest inside already", sources.shown(&path));
        return Err(Failure::new(Exit::Internal, message).hint("nothing is left to do for it"));
    }
    let found = sources.manifest(&path, None);
    let found = found.map_err(|finding| {
        Failure::new(Exit::Internal, finding.to_string()).hint(finding.hint.clone())
    })?;
    let Some((from, text)) = found else {
        return Err(without_manifest(sources, &path, &bytes, &inspection));
    };
    let manifest = Manifest::parse(&text, &from).map_err(wrong)?;
    let finished = finished(ambient, &text, &manifest, bytes)?;
    written(
        ambient,
        finished,
        path.parent().unwrap_or(ambient.cwd()),
        out,
    )
}

/// A component with its manifest inside.
type Finished = (Vec<u8>, Manifest, Inspection);

fn written(
    ambient: &Ambient,
    (bytes, manifest, inspection): Finished,
    folder: &Path,
    out: Option<&Path>,
) -> Result<Built, Failure> {
    let name = format!("dist/{}.wasm", manifest.name);
    let path = out.map_or_else(|| folder.join(name), |out| ambient.resolve(out));
    if let Some(folder) = path.parent() {
        ambient.create_dir(folder)?;
    }
    ambient.write(&path, &bytes)?;
    Ok(Built {
        path,
        manifest,
        inspection,
    })
}

/// The component with its manifest inside, checked as a host checks it.
fn finished(
    ambient: &Ambient,
    text: &str,
    manifest: &Manifest,
    component: Vec<u8>,
) -> Result<Finished, Failure> {
    let inspection = inspected(&component)?;
    let (said, is) = (manifest.kind, inspection.role);
    if said != Some(is) {
        let (said, is) = (said.map_or("nothing", PluginKind::wit_name), is.wit_name());
        let file = &manifest.file;
        let message =
            format!("{file} says `kind = \"{said}\"`, and the component is of kind \"{is}\"");
        return Err(Failure::new(Exit::Internal, message).hint(format!("write `kind = \"{is}\"`")));
    }
    let text = match inspection.role {
        PluginKind::Tool => {
            let tools = describe::tools(&component, &inspection, compiler(ambient)?)?;
            with_tools(text, &tools).map_err(disagreement)?
        }
        _ => text.to_owned(),
    };
    let bytes = with_manifest(component, &text).map_err(unfit)?;
    let inspection = inspected(&bytes)?;
    let manifest = Manifest::parse(&text, "plugin.toml").map_err(wrong)?;
    Ok((bytes, manifest, inspection))
}

fn inspected(bytes: &[u8]) -> Result<Inspection, Failure> {
    inspect(bytes, &ShapeLimits::default()).map_err(|error| {
        Failure::new(Exit::Internal, "a host would refuse this component").caused_by(&error)
    })
}

fn wrong(problems: Vec<Problem>) -> Failure {
    let findings = problems.into_iter().map(Finding::from).collect();
    Failure::findings("the manifest", findings)
}

fn disagreement(error: ManifestError) -> Failure {
    match error {
        ManifestError::Wrong(problems) => wrong(problems)
            .hint("what is wrong with [[tools]] stands in the code: its types and doc comments"),
        ManifestError::Disagrees(_) => {
            Failure::new(Exit::Internal, "plugin.toml and the code disagree")
                .caused_by(&error)
                .hint("remove [[tools]] from plugin.toml: the build writes it from the code")
        }
    }
}

fn unfit(error: WrapError) -> Failure {
    match error {
        WrapError::Manifest(problems) => wrong(problems),
        WrapError::Mismatch(mismatch) => {
            let message = "plugin.toml does not ask for what the component uses";
            Failure::new(Exit::Internal, message)
                .because(mismatch.to_string())
                .hint(mismatch.cure())
        }
        other => Failure::new(Exit::Internal, "no manifest can be put inside").caused_by(&other),
    }
}
