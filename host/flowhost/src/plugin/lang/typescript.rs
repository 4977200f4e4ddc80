//! TypeScript: a package with `@flowhost/sdk`, whose own `flowhost-build` bundles it and makes the component.
//! Node runs it, in the author's folder; what comes out is judged here like any other component.

use std::path::{Path, PathBuf};

use flowhost_author::Ingredient;
use flowhost_flow::Exit;
use flowhost_words::PluginKind;
use serde_json::Value;

use super::{File, Made, program};
use crate::ambient::{Ambient, Shown};
use crate::failure::Failure;
use crate::plugin::project::Project;

const GET_NODE: &str = "install Node 20 or later, which brings npm: https://nodejs.org, or your distribution's `nodejs` and `npm` packages";

/// The SDK's build, as `npm install` leaves it.
const BUILD: &str = "node_modules/@flowhost/sdk/dist/build/cli.js";

/// Where it leaves its result: beside what is shipped, and not in its place, so that the last good one stays.
const MADE: &str = "dist/.made";

/// The files of a new project.
pub(super) fn template(kind: PluginKind, name: &str) -> Vec<File> {
    let (source, test) = match kind {
        PluginKind::Tool => (
            include_str!("../../../templates/typescript/tool.ts"),
            include_str!("../../../templates/typescript/tool.test.ts"),
        ),
        PluginKind::Agent => (
            include_str!("../../../templates/typescript/agent.ts"),
            include_str!("../../../templates/typescript/agent.test.ts"),
        ),
        PluginKind::Guardrail => (
            include_str!("../../../templates/typescript/guardrail.ts"),
            include_str!("../../../templates/typescript/guardrail.test.ts"),
        ),
        PluginKind::McpAdapter => (
            include_str!("../../../templates/typescript/mcp-adapter.ts"),
            include_str!("../../../templates/typescript/mcp-adapter.test.ts"),
        ),
    };
    let package = include_str!("../../../templates/typescript/package.json.in");
    let compiler = include_str!("../../../templates/typescript/tsconfig.json");
    let agents = include_str!("../../../templates/typescript/AGENTS.md.in");
    vec![
        File::of("package.json", package, name),
        File::of("tsconfig.json", compiler, name),
        File::of("src/index.ts", source, name),
        File::of("src/index.test.ts", test, name),
        File::of("AGENTS.md", agents, name),
        File::of(".gitignore", "/node_modules\n/dist\n.flowhost/\n", name),
    ]
}

/// Bundles and makes the component; the source map goes beside where it will stand.
pub(super) fn make(ambient: &Ambient, project: &Project) -> Result<Made, Failure> {
    let node = program(ambient, "node", GET_NODE)?;
    let folder = &project.folder;
    if !ambient.is_file(&folder.join(BUILD)) {
        let message = "the packages of this project are not installed";
        return Err(Failure::new(Exit::Internal, message)
            .because(format!("`{BUILD}` is not there"))
            .hint("run `npm install` in the project's folder"));
    }
    let arguments = [BUILD, ".", "--out", MADE, "--no-manifest", "--json"];
    let built = ambient.run(&node, &arguments, folder, &[], Shown::Errors)?;
    if !built.ok {
        let message = "the project does not build; flowhost-build says above what is wrong";
        return Err(Failure::new(Exit::Internal, message));
    }
    let component = ambient.read(&said(&built.stdout, "component")?, u64::from(u32::MAX))?;
    let map = said(&built.stdout, "sourceMap")?;
    if let Some(name) = map.file_name() {
        let bytes = ambient.read(&map, u64::from(u32::MAX))?;
        ambient.write(&folder.join("dist").join(name), &bytes)?;
    }
    Ok(Made { component })
}

/// The packages of the last build: those that something of stands in the bundle, and the engine's. `None`
/// before the first.
pub(super) fn ingredients(
    ambient: &Ambient,
    project: &Project,
) -> Result<Option<Vec<Ingredient>>, Failure> {
    super::listed(ambient, project, MADE, purl)
}

/// A scope's `@` is written out in a package URL.
fn purl(name: &str, version: &str) -> String {
    format!("pkg:npm/{}@{version}", name.replace('@', "%40"))
}

/// A path from the report of a build.
fn said(report: &[u8], key: &str) -> Result<PathBuf, Failure> {
    let report: Option<Value> = serde_json::from_slice(report).ok();
    let path = report.as_ref().and_then(|report| report.get(key)?.as_str());
    path.map(|path| Path::new(path).to_owned()).ok_or_else(|| {
        let message = format!("flowhost-build does not say where its {key} is");
        Failure::new(Exit::Internal, message)
            .hint("the SDK in node_modules is of another version: run `npm install` again")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_another_kind_is_a_failure_with_the_cure() {
        let failure = said(b"built!", "component").unwrap_err();
        assert!(failure.hints[0].contains("npm install"), "{failure:?}");
        let path = said(br#"{"component":"/p/dist/x.wasm"}"#, "component").unwrap();
        assert_eq!(path, Path::new("/p/dist/x.wasm"));
    }

    #[test]
    fn a_package_has_an_address_that_others_can_look_up() {
        let purl = purl("@flowhost/sdk", "0.1.0");
        assert_eq!(purl, "pkg:npm/%40flowhost/sdk@0.1.0");
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
