//! Benchmarks: builds everything as it ships, runs the one benchmark program, and writes what people
//! read (`docs/benchmarks.md`) and what programs read (`docs/benchmarks.json`). It judges nothing:
//! goals stand in the table, and a figure that misses one says so. What could not be measured is a row
//! that says why; the two files are written all the same, and the task fails.

use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::folders::Folders;
use crate::{guests, npm, process, say};

/// What to measure.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Only one group: call, load, memory, runs, substrate, plan, survive, model, authors, mcp or
    /// consensus. Prints the JSON and writes no file.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Also measure the script guests, which takes their toolchains.
    #[arg(long)]
    pub(crate) all: bool,
}

/// How programs are built for release, here and for a release archive. Programs alone: a library that is built for its own
/// sake, too, is compiled in another way, and each program would be linked anew, which takes ten minutes of two cores.
pub(crate) const PROGRAMS: [&str; 4] = ["build", "--release", "--locked", "--bins"];

/// Groups that have a peer in Node.
const WITH_NODE: [&str; 2] = ["call", "mcp"];

/// Measures, and writes the two files.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    guests::run(
        folders,
        &guests::Options {
            all: options.all,
            plugins_only: false,
            no_scripts: false,
        },
    )?;
    if options
        .only
        .as_deref()
        .is_none_or(|group| WITH_NODE.contains(&group))
    {
        node_packages(folders);
    }
    say::step("building for release");
    let packages = ["--package", "flowhost", "--package", "flowhost-benches"];
    let mut build = PROGRAMS.to_vec();
    build.extend(packages);
    process::run(&mut process::cargo(&folders.root, &build))?;
    say::step("measuring (some minutes)");
    let page = folders.root.join("docs/benchmarks.md");
    let mut arguments = vec!["--commit".to_owned(), commit(folders)?];
    if let Some(node) = node() {
        arguments.extend(["--node".to_owned(), node]);
    }
    match &options.only {
        Some(group) => arguments.extend(["--only".to_owned(), group.clone()]),
        None => arguments.extend(["--markdown".to_owned(), page.display().to_string()]),
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let program = folders.target.join("release/flowhost-bench");
    // What it says beside the figures is shown as it comes: which of them are missing, and why.
    let measured = process::program(&program, &folders.root, &arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let json = String::from_utf8(measured.stdout).context("the figures are not UTF-8")?;
    if options.only.is_some() {
        say::line(&json);
    } else if !json.is_empty() {
        std::fs::write(folders.root.join("docs/benchmarks.json"), json)?;
        say::step("wrote docs/benchmarks.md and docs/benchmarks.json");
    }
    ensure!(
        measured.status.success(),
        "not everything was measured, as is said above ({})",
        measured.status
    );
    Ok(())
}

/// The packages of the peers that are written in Node, as their lock names them, beside their scripts. Without them the
/// other benchmarks are measured all the same, and those say what they lack.
fn node_packages(folders: &Folders) {
    const WHAT: &str = "the packages of tests/benches/node";
    if let Err(failure) = npm::ci(&folders.root.join("tests/benches/node"), WHAT) {
        let cure =
            "install Node 20 or later, see that its registry can be reached, and run this again";
        say::skipped(WHAT, format_args!("{failure:#}"), cure);
    }
}

fn commit(folders: &Folders) -> Result<String> {
    let arguments = ["rev-parse", "--short=12", "HEAD"];
    let commit = process::output(&mut process::program("git", &folders.root, &arguments))
        .context("the figures belong to a commit")?;
    Ok(commit.trim().to_owned())
}

/// Node where it is installed: its MCP server is what a user might pick instead.
fn node() -> Option<String> {
    process::answers("node", &["--version"]).then(|| {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':')
            .map(|folder| format!("{folder}/node"))
            .find(|file| std::path::Path::new(file).is_file())
            .unwrap_or_else(|| "node".to_owned())
    })
}
