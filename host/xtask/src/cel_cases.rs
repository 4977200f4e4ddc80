//! The conformance cases of CEL that others wrote, against the expressions of plans. The cases are no part of
//! this repository: whoever has them names the file, and the test command looks where they usually lie.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::folders::Folders;
use crate::{process, say};

/// Where they lie beside a repository that was handed out with them, below the folder around it.
const BESIDE: &str = "shared/cel/cases.json";

/// Which cases.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// A JSON file of cases, or a folder of such files.
    cases: PathBuf,
    /// Only the counts, not each case that does not hold.
    #[arg(long)]
    quiet: bool,
}

/// Builds the example with the features of the whole workspace, so that nothing is built twice, and runs it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    if !options.cases.exists() {
        bail!(
            "`{}` is not there; name a JSON file of cases, or a folder of such files",
            options.cases.display()
        );
    }
    let build = ["build", "--workspace", "--example", "cel_cases", "--quiet"];
    process::run(&mut process::cargo(&folders.root, &build))?;
    measure(
        folders,
        &std::path::absolute(&options.cases)?,
        options.quiet,
    )
}

/// As [`run`], where the example is built and the cases are where they usually lie.
pub(crate) fn run_beside(folders: &Folders) -> Result<()> {
    say::step("expressions against CEL's own cases");
    let around = folders.root.parent();
    match around.map(|it| it.join(BESIDE)).filter(|it| it.is_file()) {
        Some(cases) => measure(folders, &cases, true),
        None => {
            say::skipped(
                "CEL's conformance cases",
                format_args!("`../{BESIDE}` is not there"),
                "put them there, or run `cargo xtask cel-cases PATH`",
            );
            Ok(())
        }
    }
}

fn measure(folders: &Folders, cases: &Path, quiet: bool) -> Result<()> {
    let example = folders.target.join("debug/examples/cel_cases");
    let mut command = process::program(example, &folders.root, &[]);
    command.arg(cases).args(quiet.then_some("--quiet"));
    process::run(&mut command)
}
