//! The SDKs as authors get them: packed by the language's own tool, and unpacked where the program looks
//! for them (`target/sdk`, or `sdk/` of a release). What is not in a package is not there for an author
//! either, so a project that builds against these builds against the published ones.

use std::path::Path;

use anyhow::{Context, Result};

use crate::folders::Folders;
use crate::guests::foreign;
use crate::{process, say};

/// The crates of the Rust SDK that a plugin's project needs.
const CRATES: [&str; 2] = ["flowhost-sdk", "flowhost-sdk-macros"];

/// Packs the SDKs into `target/sdk`.
pub(crate) fn run(folders: &Folders) -> Result<()> {
    say::step("packing the SDK");
    let packages = folders.target.join("sdk-build");
    let target = packages.display().to_string();
    // Without the check that builds them: the tests build projects against what comes out. Without a lock
    // file: a library has none, and the tools would ask the network for one.
    let mut arguments = vec![
        "package",
        "--quiet",
        "--offline",
        "--no-verify",
        "--allow-dirty",
        "--exclude-lockfile",
        "--target-dir",
        &target,
    ];
    for name in CRATES {
        arguments.extend(["--package", name]);
    }
    process::run(&mut process::cargo(&folders.root, &arguments))?;
    let out = emptied(folders, "rust")?;
    for name in CRATES {
        unpack(&packages.join("package"), name, Path::new(&out))?;
    }
    Ok(())
}

/// Packs the SDKs in other languages, each as its own tools ship it: one file, which a new project gets a copy of.
pub(crate) fn scripts(folders: &Folders) -> Result<()> {
    say::step("packing the SDKs in other languages");
    let sdk = foreign::typescript::ensure(folders)?;
    let out = emptied(folders, "ts")?;
    // Its scripts have been run: `ensure` compiles what they would.
    let arguments = ["pack", "--silent", "--ignore-scripts", "--pack-destination"];
    let arguments = [arguments.as_slice(), &[out.as_str()]].concat();
    process::output(&mut process::program("npm", &sdk, &arguments))?;
    let (python, sdk) = foreign::python_sdk::ensure(folders)?;
    let out = emptied(folders, "python")?;
    let arguments = ["-m", "flit_core.wheel", "--outdir", out.as_str(), "."];
    process::output(
        // The first moment that a zip file can say, so that the same sources give the same bytes.
        process::program(python, &sdk, &arguments).env("SOURCE_DATE_EPOCH", "315532800"),
    )?;
    Ok(())
}

/// The folder of one SDK, with nothing in it.
fn emptied(folders: &Folders, name: &str) -> Result<String> {
    let out = folders.sdk_out().join(name);
    if out.exists() {
        std::fs::remove_dir_all(&out).with_context(|| format!("cannot clear {}", out.display()))?;
    }
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    Ok(out.display().to_string())
}

fn unpack(packages: &Path, name: &str, out: &Path) -> Result<()> {
    let versioned = format!("{name}-{}", env!("CARGO_PKG_VERSION"));
    let archive = packages.join(format!("{versioned}.crate"));
    let archive = archive.display().to_string();
    process::run(&mut process::program("tar", out, &["-xzf", &archive]))?;
    let (from, to) = (out.join(&versioned), out.join(name));
    std::fs::rename(&from, &to).with_context(|| format!("cannot name {}", to.display()))?;
    // Of the author's own checkout, and another for each commit.
    for made in [".cargo_vcs_info.json", "Cargo.toml.orig", "Cargo.lock"] {
        let path = to.join(made);
        if path.exists() {
            std::fs::remove_file(&path)
                .with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}
