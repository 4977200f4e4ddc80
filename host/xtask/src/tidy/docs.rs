//! The manual names every limit, every right, every capability, every command of the program and
//! every house task: each list stands in one place in the code, and is walked here.

use std::path::Path;

use anyhow::Result;
use clap::CommandFactory;
use flowhost_policy::{LIMITS, RIGHTS, Right};

use super::{Faults, read};
use crate::folders::names;

/// Checks the manual against the lists.
pub(super) fn check(root: &Path) -> Result<Faults> {
    let mut faults = Faults::new();
    let limits = page(root, "docs/limits.md")?;
    let profile = page(root, "docs/profile.md")?;
    for limit in LIMITS {
        if !limits.contains(&format!("`{}`", limit.key)) {
            faults.push(format!(
                "docs/limits.md: does not explain the limit `{}`",
                limit.key
            ));
        }
    }
    for right in &RIGHTS {
        let named = |row: &&str| names_right(row, right);
        let row = profile
            .lines()
            .filter(|line| line.starts_with('|'))
            .find(named);
        let Some(row) = row else {
            let key = right.key;
            faults.push(format!(
                "docs/profile.md: its table has no row for the right `{key}`"
            ));
            continue;
        };
        let missing = right
            .keys
            .iter()
            .filter(|key| !row.contains(&format!("`{key}`")));
        faults.extend(missing.map(|key| {
            format!(
                "docs/profile.md: the row of `{}` does not name its key `{key}`",
                right.key
            )
        }));
    }
    faults.extend(capabilities(root)?);
    faults.extend(commands(root)?);
    faults.extend(tasks(root)?);
    Ok(faults)
}

fn page(root: &Path, name: &str) -> Result<String> {
    read(&root.join(name))
}

/// Whether a row of the table of keys is the right's: `log`, `[env]`, `[[http]]`.
fn names_right(row: &str, right: &Right) -> bool {
    let first = row.split('|').nth(1).unwrap_or_default();
    let mut words = first.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.any(|word| word == right.key)
}

/// One page for each WIT package that is a capability.
fn capabilities(root: &Path) -> Result<Faults> {
    let packages = names(&root.join("wit"), |path| {
        path.is_dir().then(|| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        })?
    })?;
    let shared = ["types", "roles"];
    Ok(packages
        .iter()
        .filter(|package| !shared.contains(&package.as_str()))
        .filter(|package| {
            !root
                .join(format!("docs/capabilities/{package}.md"))
                .is_file()
        })
        .map(|package| format!("docs/capabilities: has no page for `{package}`"))
        .collect())
}

/// Each variant of the program's `Command` is a command, unless it is hidden.
fn commands(root: &Path) -> Result<Faults> {
    let manual = page(root, "docs/cli.md")?;
    let program = read(&root.join("host/flowhost/src/cli.rs"))?;
    Ok(variants(&program, "enum Command {")
        .iter()
        .filter(|command| !manual.contains(&format!("flowhost {command}")))
        .map(|command| format!("docs/cli.md: does not name the command `flowhost {command}`"))
        .collect())
}

/// The variants of an enum in lower case, without those below a `hide = true`.
fn variants(source: &str, start: &str) -> Vec<String> {
    let body = source.split_once(start).map_or("", |(_, rest)| rest);
    let mut hidden = false;
    let mut found = Vec::new();
    for line in body.lines().take_while(|line| *line != "}") {
        let Some(line) = line.strip_prefix("    ") else {
            continue;
        };
        hidden |= line.contains("hide = true");
        if line.starts_with(|letter: char| letter.is_ascii_uppercase()) {
            let name = line.split(|letter: char| !letter.is_alphanumeric()).next();
            found.extend(name.filter(|_| !hidden).map(str::to_lowercase));
            hidden = false;
        }
    }
    found
}

fn tasks(root: &Path) -> Result<Faults> {
    let guide = page(root, "CONTRIBUTING.md")?;
    let program = crate::Arguments::command();
    Ok(program
        .get_subcommands()
        .filter(|task| !guide.contains(&format!("cargo xtask {}", task.get_name())))
        .map(|task| {
            format!(
                "CONTRIBUTING.md: does not name `cargo xtask {}`",
                task.get_name()
            )
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::variants;

    #[test]
    fn hidden_commands_and_their_fields_are_none() {
        let source = "enum Command {\n    /// Run\n    Run(Args),\n    #[command(hide = true)]\n    Inner,\n    Completion {\n        shell: Shell,\n    },\n}\nenum Other {\n    No,\n}";
        assert_eq!(variants(source, "enum Command {"), ["run", "completion"]);
    }
}
