//! The toolchains: where they are, how they get there, and whether this machine can have them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{read, source, stamp, write};
use crate::folders::Folders;
use crate::{process, say};

/// What JavaScript guests need on the machine.
pub(super) const NODE: &str = "npm";
/// What C and Python guests need on the machine; C because the compiler comes as a Python package.
pub(super) const PYTHON: &str = "python3";

/// Whether a program is on this machine.
pub(super) fn is_here(program: &str) -> bool {
    process::answers(program, &["--version"])
}

/// A program of the pinned Node packages, installed when it is not there or the lock changed.
pub(super) fn node(folders: &Folders, program: &str) -> Result<PathBuf> {
    let folder = folders.tools().join("js");
    let lock = "js/package-lock.json";
    if !is_fresh(folders, &folder, lock)? {
        // Not `npm ci`: it refuses a lock without the optional packages of platforms that their
        // authors never published.
        say::line("npm install (the JavaScript toolchains, as locked)");
        for name in ["package.json", "package-lock.json"] {
            write(
                &folder.join(name),
                &read(&source(folders, &format!("js/{name}")))?,
            )?;
        }
        let arguments = [
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ];
        process::run(&mut process::program("npm", &folder, &arguments))
            .context("the JavaScript toolchains could not be installed; is there a network?")?;
        remember(folders, &folder, lock)?;
    }
    Ok(folder.join("node_modules/.bin").join(program))
}

/// The Python that has the pinned packages, installed when it is not there or the list changed.
pub(super) fn python(folders: &Folders) -> Result<PathBuf> {
    let folder = folders.tools().join("python");
    let lock = "python/requirements.txt";
    let python = folder.join("bin/python");
    if !is_fresh(folders, &folder, lock)? {
        say::line("pip install (the C and Python toolchains)");
        let place = folder.to_string_lossy();
        process::run(&mut process::program(
            PYTHON,
            &folders.root,
            &["-m", "venv", &place],
        ))
        .context("Python could not make a virtual environment; is its `venv` installed?")?;
        let list = source(folders, lock);
        let list = list.to_string_lossy();
        let arguments = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "-r",
            &list,
        ];
        process::run(&mut process::program(&python, &folders.root, &arguments))
            .context("the C and Python toolchains could not be installed; is there a network?")?;
        remember(folders, &folder, lock)?;
    }
    Ok(python)
}

fn is_fresh(folders: &Folders, folder: &Path, lock: &str) -> Result<bool> {
    let wanted = stamp::of(&[&read(&source(folders, lock))?]);
    Ok(read(&folder.join("installed")).is_ok_and(|found| found == wanted.as_bytes()))
}

fn remember(folders: &Folders, folder: &Path, lock: &str) -> Result<()> {
    let stamp = stamp::of(&[&read(&source(folders, lock))?]);
    write(&folder.join("installed"), stamp.as_bytes())
}
