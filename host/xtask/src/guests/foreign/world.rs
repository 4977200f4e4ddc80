//! The small world that these guests are built against, with its packages beside it as every WIT tool
//! expects them: `deps/<package>/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{read, source, write};
use crate::folders::{Folders, names};

/// The world's name.
pub(super) const WORLD: &str = "compat";

/// Packages of `wit/` that the world needs, the ones that others use first.
const PACKAGES: &[&str] = &["types", "roles"];

/// Everything the world is made of, for the stamp.
pub(super) fn bytes(folders: &Folders) -> Result<Vec<u8>> {
    let mut bytes = read(&source(folders, "wit/world.wit"))?;
    for package in PACKAGES {
        for file in files(&package_folder(folders, package))? {
            bytes.extend(read(&file)?);
        }
    }
    Ok(bytes)
}

/// Writes the world into `folder/wit` and gives back that path.
pub(super) fn lay_out(folders: &Folders, folder: &Path) -> Result<PathBuf> {
    let wit = folder.join("wit");
    write(
        &wit.join("world.wit"),
        &read(&source(folders, "wit/world.wit"))?,
    )?;
    for package in PACKAGES {
        for file in files(&package_folder(folders, package))? {
            let name = file.file_name().context("a file without a name")?;
            write(&wit.join("deps").join(package).join(name), &read(&file)?)?;
        }
    }
    Ok(wit)
}

fn package_folder(folders: &Folders, package: &str) -> PathBuf {
    folders.root.join("wit").join(package).join("0.1.0")
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let names = names(folder, |path| {
        Some(path.file_name()?.to_string_lossy().into_owned())
    })?;
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
