//! Python: a folder with the package `flowhost` in a virtual environment, whose own build runs componentize-py.
//! What comes out is judged here like any other component.

use std::path::{Path, PathBuf};

use flowhost_author::Ingredient;
use flowhost_flow::Exit;
use flowhost_words::PluginKind;
use serde_json::Value;

use super::{File, Made, program};
use crate::ambient::{Ambient, Shown};
use crate::failure::Failure;
use crate::plugin::project::Project;

const GET_PYTHON: &str = "install Python 3.11 or later: https://www.python.org, or your distribution's `python3` and `python3-venv` packages";

/// What makes the environment that a build needs.
const INSTALL: &str = "run `python3 -m venv .venv` and `.venv/bin/pip install sdk/flowhost-0.1.0-py3-none-any.whl` in the project's folder";

/// Where the build leaves its result: beside what is shipped, and not in its place, so that the last good one
/// stays.
const MADE: &str = "dist/.made";

/// The files of a new project.
pub(super) fn template(kind: PluginKind, name: &str) -> Vec<File> {
    let (source, test) = match kind {
        PluginKind::Tool => (
            include_str!("../../../templates/python/tool.py"),
            include_str!("../../../templates/python/tool.test.py"),
        ),
        PluginKind::Agent => (
            include_str!("../../../templates/python/agent.py"),
            include_str!("../../../templates/python/agent.test.py"),
        ),
        PluginKind::Guardrail => (
            include_str!("../../../templates/python/guardrail.py"),
            include_str!("../../../templates/python/guardrail.test.py"),
        ),
        PluginKind::McpAdapter => (
            include_str!("../../../templates/python/mcp-adapter.py"),
            include_str!("../../../templates/python/mcp-adapter.test.py"),
        ),
    };
    let project = include_str!("../../../templates/python/pyproject.toml.in");
    let agents = include_str!("../../../templates/python/AGENTS.md.in");
    let ignored = "/.venv\n/dist\n.flowhost/\n__pycache__\n";
    vec![
        File::of("pyproject.toml", project, name),
        File::of("src/plugin.py", source, name),
        File::of("tests/test_plugin.py", test, name),
        File::of("AGENTS.md", agents, name),
        File::of(".gitignore", ignored, name),
    ]
}

/// Makes the component.
pub(super) fn make(ambient: &Ambient, project: &Project) -> Result<Made, Failure> {
    let python = interpreter(ambient, &project.folder)?;
    let folder = &project.folder;
    // Asked by itself: a build without it would end with a trace of Python that names no cure.
    let there = ["-c", "import flowhost.build"];
    if !ambient
        .run(&python, &there, folder, &[], Shown::Nothing)?
        .ok
    {
        let message = "this project's Python does not have the package flowhost";
        return Err(Failure::new(Exit::Internal, message)
            .because(format!("`{}` was asked", python.display()))
            .hint(INSTALL));
    }
    let arguments = [
        "-m",
        "flowhost.build",
        ".",
        "--out",
        MADE,
        // It is put inside here, where it is held against the component.
        "--no-manifest",
        "--json",
    ];
    let built = ambient.run(&python, &arguments, folder, &[], Shown::Errors)?;
    if !built.ok {
        let message = "the project does not build; flowhost.build says above what is wrong";
        return Err(Failure::new(Exit::Internal, message));
    }
    // What it made is the author's own: only the host's limits, which come next, say what is too large.
    let component = ambient.read(&folder.join(component(&built.stdout)?), u64::from(u32::MAX))?;
    Ok(Made { component })
}

/// The packages of the last build: those that stand in the component. `None` before the first.
pub(super) fn ingredients(
    ambient: &Ambient,
    project: &Project,
) -> Result<Option<Vec<Ingredient>>, Failure> {
    super::listed(ambient, project, MADE, purl)
}

/// One package has one spelling in a package URL, whatever its author's is.
fn purl(name: &str, version: &str) -> String {
    let name = name.to_ascii_lowercase().replace('_', "-");
    format!("pkg:pypi/{name}@{version}")
}

/// The project's own environment, else the one that is active, else the machine's Python.
fn interpreter(ambient: &Ambient, folder: &Path) -> Result<PathBuf, Failure> {
    let active = ambient.var("VIRTUAL_ENV").map(PathBuf::from);
    let environments = [Some(folder.join(".venv")), active];
    let mut candidates = environments
        .into_iter()
        .flatten()
        .map(|environment| environment.join("bin/python"));
    match candidates.find(|python| ambient.is_file(python)) {
        Some(python) => Ok(python),
        None => program(ambient, "python3", GET_PYTHON),
    }
}

/// The component's path from the report of a build.
fn component(report: &[u8]) -> Result<PathBuf, Failure> {
    let report: Option<Value> = serde_json::from_slice(report).ok();
    let path = report
        .as_ref()
        .and_then(|report| report.get("component")?.as_str());
    path.map(|path| Path::new(path).to_owned()).ok_or_else(|| {
        let message = "flowhost.build does not say where its component is";
        Failure::new(Exit::Internal, message).hint(INSTALL)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_another_kind_is_a_failure_with_the_cure() {
        let failure = component(b"built!").unwrap_err();
        assert!(failure.hints[0].contains("pip install"), "{failure:?}");
        let path = component(br#"{"component":"/p/dist/x.wasm"}"#).unwrap();
        assert_eq!(path, Path::new("/p/dist/x.wasm"));
    }

    #[test]
    fn a_package_has_an_address_that_others_can_look_up() {
        let purl = purl("typing_extensions", "4.15.0");
        assert_eq!(purl, "pkg:pypi/typing-extensions@4.15.0");
    }

    #[test]
    fn every_template_names_its_project_and_leaves_no_mark() {
        for kind in PluginKind::ALL {
            for file in template(kind, "word-count") {
                assert!(!file.text.contains("{{name}}"), "{}", file.path);
            }
        }
    }
}
