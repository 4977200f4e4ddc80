//! Where things are. Everything that a task writes is below `target/`, `dist/` or a named file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folders of the repository.
pub(crate) struct Folders {
    /// The root of the repository.
    pub(crate) root: PathBuf,
    /// Cargo's target folder of the host.
    pub(crate) target: PathBuf,
}

impl Folders {
    /// Finds the repository from this crate's own place in it.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("xtask is not two folders below the root")?
            .to_path_buf();
        Ok(Self {
            target: root.join("target"),
            root,
        })
    }

    /// The host's executable, where Cargo builds it.
    pub(crate) fn host(&self) -> PathBuf {
        let name = format!("flowhost{}", std::env::consts::EXE_SUFFIX);
        self.target.join("debug").join(name)
    }

    /// Cargo's target folder of the guests: their own, so that they never wait for a host build.
    pub(crate) fn guests_build(&self) -> PathBuf {
        self.target.join("guests-build")
    }

    /// Components and manifests of the shipped plugins.
    pub(crate) fn plugins_out(&self) -> PathBuf {
        self.target.join("plugins")
    }

    /// The packed SDKs, one folder for each language.
    pub(crate) fn sdk_out(&self) -> PathBuf {
        self.target.join("sdk")
    }

    /// Components of the test guests.
    pub(crate) fn guests_out(&self) -> PathBuf {
        self.target.join("guests")
    }

    /// Tools that a task installs for itself.
    pub(crate) fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }
}

/// The names of the folders or files below `folder`, sorted, by what `keep` makes of each path.
pub(crate) fn names(folder: &Path, keep: impl Fn(&Path) -> Option<String>) -> Result<Vec<String>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.extend(keep(&entry?.path()));
    }
    names.sort();
    Ok(names)
}
