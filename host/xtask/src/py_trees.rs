//! Behaviour trees as `py_trees` answers them: the reference that `flowhost-flow` is compared with.
//!
//! The document lies in the repository, so that the comparison itself runs everywhere; this task makes
//! it anew with `py_trees` in an environment of its own below `target/`, and says whether it still is
//! what the library answers.

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::folders::Folders;
use crate::{process, say};

/// The version whose answers the document holds.
const LIBRARY: &str = "py_trees==2.6.0";
const DOCUMENT: &str = "host/flowhost-flow/src/planner/tree/py_trees.json";

/// Compare, or write.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Write the document instead of comparing with it.
    #[arg(long)]
    accept: bool,
}

/// Runs the script in its environment.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let home = folders.root.join("target").join("py_trees");
    let python = home.join("bin").join("python");
    if !python.exists() {
        say::step(format_args!("an environment with {LIBRARY}"));
        let path = home.to_string_lossy().into_owned();
        process::run(&mut process::program(
            "python3",
            &folders.root,
            &["-m", "venv", &path],
        ))?;
    }
    let install = ["-m", "pip", "install", "--quiet", LIBRARY];
    process::run(&mut process::program(&python, &folders.root, &install))?;
    let fresh = home.join("py_trees.json");
    let (script, out) = ("tests/py_trees/statuses.py", fresh.to_string_lossy());
    process::run(&mut process::program(
        &python,
        &folders.root,
        &[script, &out],
    ))?;
    let document = folders.root.join(DOCUMENT);
    if options.accept {
        std::fs::copy(&fresh, &document).with_context(|| format!("cannot write {DOCUMENT}"))?;
        return Ok(());
    }
    let read = |path: &std::path::Path| {
        std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
    };
    if read(&fresh)? != read(&document)? {
        bail!(
            "{DOCUMENT} is not what {LIBRARY} answers; `cargo xtask py-trees --accept` writes it anew"
        );
    }
    Ok(())
}
