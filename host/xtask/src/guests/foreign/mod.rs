//! Guests in other languages: C, JavaScript on two engines, and Python. They show that a component is
//! a component, whoever made it, and that what a runtime drags in reaches nothing.
//!
//! Their toolchains are pinned, installed below `target/tools` by `npm` and `pip`, and left out with a
//! word about it on a machine without Node or Python. Each guest is built once per change of what it
//! is made of, because this takes a while.

mod c;
mod javascript;
mod python;
mod tools;
mod world;

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::{read, stamp, write};
use crate::folders::Folders;
use crate::say;

/// A guest in another language.
struct Guest {
    /// `compat_<language>`.
    name: &'static str,
    /// Files that it is made of, below `tests/guests/foreign`: its source and what pins its toolchain.
    parts: &'static [&'static str],
    /// The program that its toolchain needs on the machine.
    needs: &'static str,
    build: fn(&Folders) -> Result<Vec<u8>>,
}

const GUESTS: &[Guest] = &[
    Guest {
        name: "compat_c",
        parts: &["c/guest.c", "python/requirements.txt"],
        needs: tools::PYTHON,
        build: c::build,
    },
    Guest {
        name: "compat_js_quickjs",
        parts: &["js/guest.js", "js/package-lock.json"],
        needs: tools::NODE,
        build: javascript::quickjs,
    },
    Guest {
        name: "compat_js_spidermonkey",
        parts: &["js/guest.js", "js/package-lock.json"],
        needs: tools::NODE,
        build: javascript::spidermonkey,
    },
    Guest {
        name: "compat_python",
        parts: &["python/guest.py", "python/requirements.txt"],
        needs: tools::PYTHON,
        build: python::build,
    },
];

/// Names of these guests, so that tidy can ask for their tests.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    GUESTS.iter().map(|guest| guest.name)
}

/// Builds those whose toolchain can be had here.
pub(super) fn run(folders: &Folders) -> Result<()> {
    say::step("guests in other languages");
    for guest in GUESTS {
        if tools::is_here(guest.needs) {
            one(folders, guest).with_context(|| format!("cannot make `{}`", guest.name))?;
        } else {
            let why = format!("`{}` is not on this machine", guest.needs);
            say::skipped(
                guest.name,
                why,
                format!("install {} and run this again", guest.needs),
            );
        }
    }
    Ok(())
}

fn one(folders: &Folders, guest: &Guest) -> Result<()> {
    let out = folders.guests_out().join(format!("{}.wasm", guest.name));
    let mut parts = vec![world::bytes(folders)?];
    for part in guest.parts {
        parts.push(read(&source(folders, part))?);
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let stamp = stamp::of(&parts);
    if stamp::is_fresh(folders, &out, &stamp) {
        return Ok(());
    }
    let bytes = (guest.build)(folders)?;
    write(&out, &bytes)?;
    stamp::write(folders, &out, &stamp)?;
    say::line(format_args!("{} ({} bytes)", guest.name, bytes.len()));
    Ok(())
}

/// A file of these guests.
fn source(folders: &Folders, name: &str) -> PathBuf {
    folders.root.join("tests/guests/foreign").join(name)
}

/// A folder to build one of them in, empty.
fn workshop(folders: &Folders, name: &str) -> Result<PathBuf> {
    let folder = folders.guests_build().join("foreign").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
