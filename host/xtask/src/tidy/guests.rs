//! Guests: each is named by its suite, and each is used by a test, because one that nothing runs
//! proves nothing.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Faults, files_below, read};
use crate::folders::Folders;
use crate::guests::{foreign, plugins, rust_guests};

const SUITES: &[&str] = &["ok_", "limit_", "deny_", "fault_", "compat_"];

const MANIFEST: &str = "tests/guests/Cargo.toml";

/// Where tests, cases and benches stand.
const USERS: &[&str] = &[
    "tests/it",
    "tests/cases",
    "tests/benches",
    "host/flowhost-engine",
    "host/flowhost-caps",
    "host/flowhost",
    "examples",
];

/// Checks names and uses.
pub(super) fn check(folders: &Folders) -> Result<Faults> {
    let mut guests = rust_guests(folders)?;
    let unlisted = unlisted(&guests, &read(&folders.root.join(MANIFEST))?);
    guests.extend(foreign::all_names().map(str::to_owned));
    let mut users = String::new();
    for folder in USERS {
        for path in files_below(
            &folders.root.join(folder),
            &[".rs", ".yaml", ".toml", ".json"],
        )? {
            users.push_str(&read(&path)?);
        }
    }
    let used = words(&users);
    let mut faults = faults(&guests, &used);
    faults.extend(unlisted);
    for plugin in plugins(folders)? {
        if !folders
            .root
            .join("plugins")
            .join(&plugin)
            .join("README.md")
            .is_file()
        {
            faults.push(format!(
                "plugins/{plugin}: has no README.md that says what it asks for and why"
            ));
        }
    }
    Ok(faults)
}

/// Guests that Cargo would make a test program of, without a test in it.
fn unlisted(guests: &[String], manifest: &str) -> Faults {
    guests
        .iter()
        .map(|guest| format!("{{ name = \"{guest}\", test = false }},"))
        .filter(|line| !manifest.contains(line.as_str()))
        .map(|line| format!("{MANIFEST}: `bin` does not list `{line}`"))
        .collect()
}

/// Every word that could be a guest's name.
fn words(text: &str) -> BTreeSet<&str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .collect()
}

fn faults(guests: &[String], used: &BTreeSet<&str>) -> Faults {
    let mut faults = Faults::new();
    for guest in guests {
        if !SUITES.iter().any(|suite| guest.starts_with(suite)) {
            faults.push(format!(
                "tests/guests: `{guest}` belongs to no suite of {SUITES:?}"
            ));
        }
        if !used.contains(guest.as_str()) {
            faults.push(format!(
                "tests/guests: `{guest}` is used by no test, so it proves nothing"
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_guest_that_no_test_names() {
        let guests = ["ok_echo".to_owned(), "ok_echo_more".to_owned()];
        let used = words(r#"load("ok_echo_more")"#);
        assert_eq!(faults(&guests, &used).len(), 1);
    }

    #[test]
    fn refuses_a_guest_that_would_be_linked_as_a_test_program() {
        let guests = ["ok_echo".to_owned()];
        let listed = "bin = [\n    { name = \"ok_echo\", test = false },\n]\n";
        assert!(unlisted(&guests, listed).is_empty());
        assert_eq!(unlisted(&guests, "bin = []").len(), 1);
    }

    #[test]
    fn refuses_a_name_outside_of_the_suites() {
        assert_eq!(faults(&["echo".to_owned()], &words("echo")).len(), 1);
    }
}
