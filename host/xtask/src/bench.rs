//! Benchmarks: builds everything as it ships, runs the one benchmark program, and writes what people
//! read (`docs/benchmarks.md`) and what programs read (`docs/benchmarks.json`). It judges nothing:
//! goals stand in the table, and a figure that misses one says so.

use anyhow::{Context, Result};
use clap::Args;

use crate::folders::Folders;
use crate::{guests, process, say};

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
    let json = process::output(&mut process::program(&program, &folders.root, &arguments))?;
    if options.only.is_some() {
        say::line(&json);
        return Ok(());
    }
    std::fs::write(folders.root.join("docs/benchmarks.json"), json)?;
    say::step("wrote docs/benchmarks.md and docs/benchmarks.json");
    Ok(())
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
