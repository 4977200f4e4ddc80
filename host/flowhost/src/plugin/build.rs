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
use crate::failure::Failure;
use crate::finding::Finding;

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
    let (bytes, manifest, inspection) = finished(project, made.component)?;
    let name = format!("dist/{}.wasm", manifest.name);
    let path = out.map_or_else(|| project.folder.join(name), |out| ambient.resolve(out));
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
    project: &Project,
    component: Vec<u8>,
) -> Result<(Vec<u8>, Manifest, Inspection), Failure> {
    let inspection = inspected(&component)?;
    let (said, is) = (project.manifest.kind, inspection.role);
    if said != Some(is) {
        let (said, is) = (said.map_or("nothing", PluginKind::wit_name), is.wit_name());
        let message = format!("plugin.toml says `kind = \"{said}\"`, and the component is a {is}");
        return Err(Failure::new(Exit::Internal, message).hint(format!("write `kind = \"{is}\"`")));
    }
    let text = match inspection.role {
        PluginKind::Tool => {
            let tools = describe::tools(&component, &inspection)?;
            with_tools(&project.text, &tools).map_err(disagreement)?
        }
        _ => project.text.clone(),
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
