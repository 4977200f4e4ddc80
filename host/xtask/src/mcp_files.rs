//! The foreign server of `examples/mcp-files`, from the npm registry into `target/mcp-files`, as the example's
//! own lock names it: the test of the example copies it from there.

use anyhow::{Context, Result};

use crate::folders::Folders;
use crate::{npm, process, say};

/// What names the server.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// Installs it where it is missing or the lock has changed. Without `npm` the test shows what a person sees
/// who has not installed it.
pub(crate) fn ensure(folders: &Folders) -> Result<()> {
    if !process::answers("npm", &["--version"]) {
        say::skipped(
            "the foreign server of examples/mcp-files",
            "`npm` is not on this machine",
            "install Node 20 or later and run this again",
        );
        return Ok(());
    }
    let (example, place) = (
        folders.root.join("examples/mcp-files"),
        folders.root.join("target/mcp-files"),
    );
    std::fs::create_dir_all(&place)
        .with_context(|| format!("cannot create {}", place.display()))?;
    for name in FILES {
        let wanted = std::fs::read(example.join(name))
            .with_context(|| format!("examples/mcp-files/{name} cannot be read"))?;
        std::fs::write(place.join(name), wanted)
            .with_context(|| format!("cannot write {name} into {}", place.display()))?;
    }
    npm::ci(&place, "the server of examples/mcp-files")
}
