//! Packages from the npm registry, as a lock names them, and not again while it stays as it is. No script of theirs is
//! run on this machine.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{process, say};

/// Installs what `package-lock.json` in `place` names beside it, `what` it is for, unless it is there already.
///
/// # Errors
/// When `npm` is not on this machine, or cannot install it.
pub(crate) fn ci(place: &Path, what: &str) -> Result<()> {
    let lock = place.join("package-lock.json");
    let lock =
        std::fs::read(&lock).with_context(|| format!("{} cannot be read", lock.display()))?;
    // Inside of what is installed, so that it goes where that goes.
    let mark = place.join("node_modules/.installed");
    if std::fs::read(&mark).is_ok_and(|installed| installed == lock) {
        return Ok(());
    }
    ensure!(
        process::answers("npm", &["--version"]),
        "`npm` is not on this machine"
    );
    say::line(format_args!("npm ci ({what}, as locked)"));
    let arguments = [
        "ci",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ];
    process::run(&mut process::program("npm", place, &arguments))
        .with_context(|| format!("{what} could not be installed; is there a network?"))?;
    std::fs::write(&mark, lock).with_context(|| format!("cannot write {}", mark.display()))
}
