//! Rules for single source files.

use std::path::Path;

use anyhow::Result;

use super::{Faults, files_below, read, shown};

/// Longest source file, in lines: one that needs a table of contents wants splitting. A little above the 700
/// that we aim at, so that a file is not to be split for the one line of a mend.
const LINES_MAX: usize = 720;

/// The folders that hold our sources.
const ROOTS: &[&str] = &["host", "sdk-rust", "plugins", "tests"];

/// Checks every Rust file.
pub(super) fn check(root: &Path) -> Result<Faults> {
    let mut faults = Faults::new();
    for folder in ROOTS {
        for path in files_below(&root.join(folder), &[".rs"])? {
            let found = faults_of(&read(&path)?);
            faults.extend(
                found
                    .into_iter()
                    .map(|fault| format!("{}: {fault}", shown(root, &path))),
            );
        }
    }
    Ok(faults)
}

fn faults_of(text: &str) -> Faults {
    let mut faults = Faults::new();
    if !text.starts_with("//! ") {
        faults.push(
            "does not open with `//!` that says what it owns, never does, and why".to_owned(),
        );
    }
    let lines = text.lines().count();
    if lines > LINES_MAX {
        faults.push(format!(
            "has {lines} lines, and {LINES_MAX} are the most: split it"
        ));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(fault) = fault_of_line(line.trim_start()) {
            faults.push(format!("line {}: {fault}", number + 1));
        }
    }
    faults
}

fn fault_of_line(line: &str) -> Option<&'static str> {
    // Put together, so that this file does not find itself.
    let allow = [concat!("#[al", "low("), concat!("#![al", "low(")];
    let promise = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X:"),
    ];
    if allow.iter().any(|start| line.starts_with(start)) {
        Some("an exception is `#[expect(lint, reason = …)]`, which ends when it is not needed")
    } else if line.starts_with("//") && promise.iter().any(|word| line.contains(word)) {
        Some("a promise in a comment is kept by nobody: do it, or open an issue")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_file_without_its_purpose() {
        assert_eq!(faults_of("fn main() {}\n").len(), 1);
    }

    #[test]
    fn refuses_a_bare_exception_and_a_promise() {
        let text = format!(
            "//! Purpose.\n{}dead_code)]\n// {}: later\n",
            concat!("#[al", "low("),
            concat!("TO", "DO")
        );
        assert_eq!(faults_of(&text).len(), 2);
    }

    #[test]
    fn refuses_a_file_that_wants_splitting() {
        let text = format!("//! Purpose.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(faults_of(&text).len(), 1);
    }
}
