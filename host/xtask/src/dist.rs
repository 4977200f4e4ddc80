//! A release: the host without debug code, the plugins beside it where it looks for `builtin:` ones, the
//! SDKs where `plugin new` looks for them, the profiles, the WIT and the licence, in one archive with its SHA-256.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::bench::PROGRAMS;
use crate::folders::Folders;
use crate::{guests, process, say, sdk};

/// Folders and files that go into the archive as they are.
const CARRIED: &[&str] = &[
    "policies",
    "wit",
    "examples",
    "LICENSE",
    "README.md",
    "SECURITY.md",
];

/// Builds and packs.
pub(crate) fn run(folders: &Folders) -> Result<()> {
    guests::all_plugins(folders)?;
    // A release is whole or none: without Node or Python this fails, and says which is missing.
    sdk::scripts(folders)?;
    guests::foreign::script_plugins(folders)?;
    say::step("building the release");
    let mut build = PROGRAMS.to_vec();
    build.extend(["--package", "flowhost"]);
    process::run(&mut process::cargo(&folders.root, &build))?;
    let name = format!(
        "flowhost-{}-{}",
        env!("CARGO_PKG_VERSION"),
        host_triple(folders)?
    );
    let dist = folders.root.join("dist");
    let stage = dist.join(&name);
    fill(folders, &stage)?;
    let archive = pack(&dist, &name)?;
    say::step(format_args!("wrote {}", archive.display()));
    Ok(())
}

fn host_triple(folders: &Folders) -> Result<String> {
    let version = process::output(&mut process::program("rustc", &folders.root, &["-vV"]))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc did not name its host")?.to_owned())
}

fn fill(folders: &Folders, stage: &Path) -> Result<()> {
    if stage.exists() {
        std::fs::remove_dir_all(stage)
            .with_context(|| format!("cannot clear {}", stage.display()))?;
    }
    let program = format!("flowhost{}", std::env::consts::EXE_SUFFIX);
    copy(
        &folders.target.join("release").join(&program),
        &stage.join(&program),
    )?;
    copy(&folders.plugins_out(), &stage.join("plugins"))?;
    copy(&folders.sdk_out(), &stage.join("sdk"))?;
    for name in CARRIED {
        let from = folders.root.join(name);
        if from.exists() {
            copy(&from, &stage.join(name))?;
        }
    }
    Ok(())
}

/// Copies a file, or a folder with everything in it but state of runs.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        let folder = to.parent().context("a file without a folder")?;
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
        return Ok(());
    }
    for entry in
        std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))?
    {
        let entry = entry?;
        if entry.file_name() != ".flowhost" {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// A tar archive whose bytes depend on its contents only: sorted, without owners and times.
fn pack(dist: &Path, name: &str) -> Result<PathBuf> {
    let archive = format!("{name}.tar.gz");
    let pipeline = [
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--format=ustar",
        "--use-compress-program=gzip -n",
        "-cf",
        &archive,
        name,
    ];
    process::run(&mut process::program("tar", dist, &pipeline))?;
    let path = dist.join(&archive);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let sum = format!("{}  {archive}\n", hex::encode(Sha256::digest(&bytes)));
    std::fs::write(dist.join(format!("{archive}.sha256")), sum).context("cannot write the hash")?;
    Ok(path)
}
