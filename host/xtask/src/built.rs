//! The host, and a test program by itself, built as the test command builds it.
//!
//! Which features a crate is built with depends on the packages that Cargo is asked for: a test of one package
//! alone has the runtime compiled anew, for minutes. So the whole workspace is asked for, and only the one kind of
//! test program is built. With optimisation nothing is there to be shared, and one package alone is built.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::folders::Folders;
use crate::test::ENGINE_TARGETS;
use crate::{process, say};

/// What Cargo says of a thing that it has built; of its other messages nothing is read.
#[derive(Deserialize)]
struct Artifact {
    manifest_path: PathBuf,
    target: Target,
    profile: Profile,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds the host alone: [`Folders::host`].
pub(crate) fn host(folders: &Folders) -> Result<()> {
    say::step("building the host");
    let build = ["build", "--package", "flowhost"];
    process::run(&mut process::cargo(&folders.root, &build))
}

/// How a test program is built.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How<'a> {
    /// With the features of the whole workspace, as the test command has built most of it already.
    Shared,
    /// With optimisation, and of one package alone.
    Optimised { package: &'a str },
}

/// Builds the tests of this target (`--lib`, or `--test` and a name) and gives a command that runs those of `name`, in
/// their package's folder as Cargo does.
pub(crate) fn tests(
    folders: &Folders,
    target: &[&str],
    name: &str,
    how: How<'_>,
) -> Result<Command> {
    let mut arguments = vec![
        "test",
        "--no-run",
        "--message-format=json-render-diagnostics",
    ];
    arguments.extend(target);
    match how {
        How::Shared => arguments.extend(["--workspace", ENGINE_TARGETS]),
        How::Optimised { package } => arguments.extend(["--release", "--package", package]),
    }
    let shown = format!("cargo {}", arguments.join(" "));
    let built = process::cargo(&folders.root, &arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !built.status.success() {
        bail!("`{shown}` failed ({})", built.status);
    }
    let (program, manifest) = String::from_utf8(built.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|it| it.profile.test && it.target.name == name)
        .find_map(|it| Some((it.executable?, it.manifest_path)))
        .with_context(|| format!("`{shown}` has built no tests of `{name}`"))?;
    let package = manifest.parent().unwrap_or(&folders.root);
    Ok(process::program(program, package, &[]))
}
