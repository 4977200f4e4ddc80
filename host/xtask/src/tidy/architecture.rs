//! ARCHITECTURE.md is true as far as a program can tell: each room of the house has its paragraph, each
//! paragraph its room, what it points at is there, and it stays a page.
//!
//! Which crate may know which is `edges`; which sentence is still the best one only a reader can say.

use std::path::Path;

use anyhow::Result;

use super::{Faults, read};
use crate::folders::names;

const PAGE: &str = "ARCHITECTURE.md";

/// Lines of the page: one that is longer is not read before the first change.
const LINES_MAX: usize = 200;

/// Checks the page against the tree.
pub(super) fn check(root: &Path) -> Result<Faults> {
    let page = read(&root.join(PAGE))?;
    let mut faults = Faults::new();
    let lines = page.lines().count();
    if lines > LINES_MAX {
        faults.push(format!(
            "{PAGE}: has {lines} lines, and {LINES_MAX} are the most"
        ));
    }
    let rooms: Vec<&str> = headed(&page).collect();
    let is_crate = |path: &Path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        path.join("Cargo.toml").is_file().then_some(name)
    };
    for name in names(&root.join("host"), is_crate)? {
        let room = format!("host/{name}");
        if !rooms.contains(&room.as_str()) {
            faults.push(format!("{PAGE}: no paragraph begins with **`{room}`**"));
        }
    }
    let gone = rooms.iter().copied().chain(pointed_at(&page));
    let gone = gone.filter(|path| !root.join(path).exists());
    faults.extend(gone.map(|path| format!("{PAGE}: names `{path}`, which does not exist")));
    Ok(faults)
}

/// The rooms that a paragraph begins with: **`host/flowhost-run`**.
fn headed(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter_map(|line| {
        let rest = line.strip_prefix("**`")?;
        Some(rest.split_once("`**")?.0)
    })
}

/// Files that the page points at, as code or as links.
fn pointed_at(page: &str) -> impl Iterator<Item = &str> {
    let code = page.split('`').skip(1).step_by(2);
    let code = code.filter(|text| text.contains('/') && text.contains(".rs"));
    let links = page.split("](").skip(1);
    let links = links.filter_map(|rest| rest.split_once(')').map(|(link, _)| link));
    code.chain(links.filter(|link| !link.contains("://")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "**`host/a`** does, and `**` is no room.\nSee `host/a/src/lib.rs`, `all/rights` and \
                        [one](docs/adr/0001.md) or [two](https://example.com).\n";

    #[test]
    fn a_room_is_what_a_paragraph_begins_with() {
        assert_eq!(headed(TEXT).collect::<Vec<_>>(), ["host/a"]);
    }

    #[test]
    fn places_are_sources_and_links_of_this_house() {
        let found: Vec<&str> = pointed_at(TEXT).collect();
        assert_eq!(found, ["host/a/src/lib.rs", "docs/adr/0001.md"]);
    }

    #[test]
    fn a_page_without_a_room_is_a_fault() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("host/a")).unwrap();
        std::fs::write(root.path().join("host/a/Cargo.toml"), "").unwrap();
        std::fs::write(root.path().join(PAGE), "**`host/b`** is gone.\n").unwrap();
        let faults = check(root.path()).unwrap();
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
