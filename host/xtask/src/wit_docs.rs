//! `docs/wit.md`: the contract for people, made from `wit/` and never by hand. The files are written to be read, so
//! they are shown as they are, each package below a heading of its own.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::folders::{Folders, names};
use crate::say;
use crate::wit_lock::{folders_in, name_of};

/// Write, or check.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Fail when the page is not what `wit/` says, and write nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

/// Writes the page, or checks it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let page = folders.root.join("docs").join("wit.md");
    let text = text(&folders.root.join("wit"))?;
    if options.check {
        let there = std::fs::read_to_string(&page).context("cannot read docs/wit.md")?;
        ensure!(
            there == text,
            "docs/wit.md is not what wit/ says; `cargo xtask wit-docs` writes it anew"
        );
        return Ok(());
    }
    std::fs::write(&page, text).context("cannot write docs/wit.md")?;
    say::step("wrote docs/wit.md");
    Ok(())
}

fn text(wit: &Path) -> Result<String> {
    let mut page = String::from(
        "# The contract\n\nWhat a component can import from the host and what it exports, package by package, as the files in `wit/` say it. \
         `types` has what\nall of them share, `roles` what a plugin is. What each import needs in a profile is in [writing a plugin](writing-a-plugin.md#what-each-function-needs).\n",
    );
    for package in folders_in(wit)? {
        for version in folders_in(&wit.join(&package))? {
            let folder = wit.join(&package).join(&version);
            write!(page, "\n## flowhost:{package}@{version}\n")?;
            for file in names(&folder, |path| Some(name_of(path)))? {
                let path = folder.join(&file);
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                write!(page, "\n```wit\n{}\n```\n", text.trim())?;
            }
        }
    }
    Ok(page)
}
