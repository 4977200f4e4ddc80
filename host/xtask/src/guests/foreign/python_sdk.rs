//! Guests by the Python SDK: a tool, an agent, a guardrail and an MCP adapter, from the sources that stand with
//! its own tests.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Built, read, tools, workshop};
use crate::folders::Folders;
use crate::{process, say};

/// What they are made of.
pub(super) const PARTS: &[&str] = &[
    "sdk-py/src/flowhost",
    "sdk-py/scripts",
    "sdk-py/tests/plugins",
    "tests/guests/foreign/python/requirements.txt",
    "wit",
];

pub(super) fn tool(folders: &Folders) -> Result<Built> {
    build(folders, "tool")
}

pub(super) fn agent(folders: &Folders) -> Result<Built> {
    build(folders, "agent")
}

pub(super) fn guardrail(folders: &Folders) -> Result<Built> {
    build(folders, "guardrail")
}

pub(super) fn mcp_adapter(folders: &Folders) -> Result<Built> {
    build(folders, "mcp-adapter")
}

/// Builds the plugin of this kind as an author does.
fn build(folders: &Folders, kind: &str) -> Result<Built> {
    let (python, sdk) = ensure(folders)?;
    let out = workshop(folders, &format!("py-{kind}"))?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (project, place) = (text(&sdk.join("tests/plugins").join(kind)), text(&out));
    let arguments = [
        "-m",
        "flowhost.build",
        project.as_str(),
        "--out",
        place.as_str(),
    ];
    process::output(
        process::program(&python, &folders.root, &arguments)
            .env("PYTHONPATH", sdk.join("src"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )?;
    let name = format!("compat-py-{kind}");
    Ok(Built {
        component: read(&out.join(format!("{name}.wasm")))?,
        manifest: Some(read(&out.join(format!("{name}.toml")))?),
    })
}

/// A Python with the SDK's packages, and the SDK's folder with its bindings made.
pub(crate) fn ensure(folders: &Folders) -> Result<(PathBuf, PathBuf)> {
    let python = tools::python(folders)?;
    let sdk = folders.root.join("sdk-py");
    process::run(&mut process::program(
        &python,
        &sdk,
        &["scripts/prepare.py"],
    ))
    .context("the Python SDK's bindings cannot be made")?;
    Ok((python, sdk))
}

/// Runs the SDK's own tests.
pub(crate) fn test(folders: &Folders) -> Result<()> {
    if !tools::is_here(tools::PYTHON) {
        say::skipped(
            "the tests of the Python SDK",
            "`python3` is not on this machine",
            "install Python 3.11 or later and run this again",
        );
        return Ok(());
    }
    let (python, sdk) = ensure(folders)?;
    say::step("tests of the Python SDK");
    let arguments = ["-m", "unittest", "discover", "-s", "tests"];
    process::run(
        process::program(python, &sdk, &arguments)
            .env("PYTHONPATH", sdk.join("src"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}
