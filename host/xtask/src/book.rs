//! The book: `docs/` as mdBook makes pages of it. Its links, and what its pages tell a reader to type, are held
//! by tests; this holds that mdBook takes its list of pages and can draw each of them.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::folders::Folders;
use crate::{process, say};

/// The version that draws it. Without its features: they are a server, a watcher and a search index.
const MDBOOK: &str = "0.5.4";

/// Installs mdBook below `target/tools` where this version is not there, and draws.
pub(crate) fn run(folders: &Folders) -> Result<()> {
    if !is_installed(folders)? {
        say::step(format_args!("mdBook {MDBOOK}"));
        let root = folders.tools().display().to_string();
        // Unoptimised: it draws eighty pages, and is built more often than it draws.
        let install = [
            "install",
            "mdbook",
            "--version",
            MDBOOK,
            "--locked",
            "--debug",
            "--no-default-features",
            "--root",
            &root,
            "--quiet",
        ];
        process::run(&mut process::cargo(&folders.root, &install))?;
    }
    draw(folders)
}

fn program(folders: &Folders) -> PathBuf {
    let name = format!("mdbook{}", std::env::consts::EXE_SUFFIX);
    folders.tools().join("bin").join(name)
}

/// Whether this version of it is there.
fn is_installed(folders: &Folders) -> Result<bool> {
    let program = program(folders);
    if !program.is_file() {
        return Ok(false);
    }
    let mut version = process::program(&program, &folders.root, &["--version"]);
    Ok(process::output(&mut version)?.contains(MDBOOK))
}

fn draw(folders: &Folders) -> Result<()> {
    say::step("the book");
    process::run(&mut process::program(
        program(folders),
        &folders.root,
        &["build", "docs/book"],
    ))?;
    let index = folders.target.join("book").join("index.html");
    ensure!(
        index.is_file(),
        "mdBook ended well and left no {}",
        index.display()
    );
    say::line(index.display());
    Ok(())
}
