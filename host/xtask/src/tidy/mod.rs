//! House rules that no compiler knows, each with its reason in the message. All faults at once.

mod architecture;
mod docs;
mod edges;
mod functions;
mod guests;
mod npm;
mod once;
mod seams;
mod silence;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::folders::Folders;
use crate::say;

/// What is wrong, and why it matters.
type Faults = Vec<String>;

/// Checks every rule.
pub(crate) fn run(folders: &Folders) -> Result<()> {
    let mut faults = sources::check(&folders.root)?;
    faults.extend(seams::check(&folders.root)?);
    faults.extend(silence::check(&folders.root)?);
    faults.extend(functions::check(&folders.root)?);
    faults.extend(edges::check(folders)?);
    faults.extend(guests::check(folders)?);
    faults.extend(npm::check(&folders.root)?);
    faults.extend(once::check(folders)?);
    faults.extend(docs::check(&folders.root)?);
    faults.extend(architecture::check(&folders.root)?);
    if faults.is_empty() {
        say::line("the house is tidy");
        return Ok(());
    }
    faults.sort();
    bail!(
        "{} house rules are broken\n{}",
        faults.len(),
        faults.join("\n")
    )
}

/// Every file below a folder whose name ends with one of `endings`, without build output.
fn files_below(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(_) if !folder.exists() => continue,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot list {}", folder.display()));
            }
        };
        for entry in entries {
            let path = entry?.path();
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy())
                .unwrap_or_default();
            if path.is_dir() && !matches!(name.as_ref(), "target" | "node_modules" | ".flowhost") {
                waiting.push(path.clone());
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                files.push(path.clone());
            }
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether a file is part of what is built, and no test.
fn is_code(name: &str) -> bool {
    name.contains("/src/") && !name.contains("/tests/") && !name.ends_with("tests.rs")
}

/// The lines of a file before its tests.
fn code(text: &str) -> Vec<&str> {
    let tests = |line: &&str| line.trim() == "mod tests {";
    text.lines().take_while(|line| !tests(line)).collect()
}

/// The path as a person at the root would type it.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root)
        .unwrap_or(path)
        .display()
        .to_string()
}
