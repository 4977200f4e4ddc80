//! Guests in other languages: C, JavaScript on two engines, and TypeScript and Python by our SDKs. They
//! show that a component is a component, whoever made it, and that what a runtime drags in reaches nothing.
//!
//! Their toolchains are pinned, installed below `target/tools` by `npm` and `pip`, and left out with a
//! word about it on a machine without Node or Python. Each guest is built once per change of what it
//! is made of, because this takes a while.

mod c;
mod javascript;
mod python;
pub(crate) mod python_sdk;
mod tools;
pub(crate) mod typescript;
mod world;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{read, stamp, with_manifest, write};
use crate::folders::{Folders, names};
use crate::say;

/// A guest in another language.
struct Guest {
    /// `compat_<language>`.
    name: &'static str,
    /// Files and folders that it is made of, from the root: its sources and what pins its toolchain.
    parts: &'static [&'static str],
    /// The program that its toolchain needs on the machine.
    needs: &'static str,
    build: fn(&Folders) -> Result<Built>,
}

/// What a build gives.
struct Built {
    component: Vec<u8>,
    /// The manifest that stands beside it, where there is one.
    manifest: Option<Vec<u8>>,
}

impl From<Vec<u8>> for Built {
    fn from(component: Vec<u8>) -> Self {
        Self {
            component,
            manifest: None,
        }
    }
}

const GUESTS: &[Guest] = &[
    Guest {
        name: "compat_c",
        parts: &[
            "tests/guests/foreign/c/guest.c",
            "tests/guests/foreign/python/requirements.txt",
        ],
        needs: tools::PYTHON,
        build: c::build,
    },
    Guest {
        name: "compat_js_quickjs",
        parts: javascript::PARTS,
        needs: tools::NODE,
        build: javascript::quickjs,
    },
    Guest {
        name: "compat_js_spidermonkey",
        parts: javascript::PARTS,
        needs: tools::NODE,
        build: javascript::spidermonkey,
    },
    Guest {
        name: "compat_py_agent",
        parts: python_sdk::PARTS,
        needs: tools::PYTHON,
        build: python_sdk::agent,
    },
    Guest {
        name: "compat_py_guardrail",
        parts: python_sdk::PARTS,
        needs: tools::PYTHON,
        build: python_sdk::guardrail,
    },
    Guest {
        name: "compat_py_mcp_adapter",
        parts: python_sdk::PARTS,
        needs: tools::PYTHON,
        build: python_sdk::mcp_adapter,
    },
    Guest {
        name: "compat_py_tool",
        parts: python_sdk::PARTS,
        needs: tools::PYTHON,
        build: python_sdk::tool,
    },
    Guest {
        name: "compat_python",
        parts: &["tests/guests/foreign/python"],
        needs: tools::PYTHON,
        build: python::build,
    },
    Guest {
        name: "compat_ts_agent",
        parts: typescript::PARTS,
        needs: tools::NODE,
        build: typescript::agent,
    },
    Guest {
        name: "compat_ts_guardrail",
        parts: typescript::PARTS,
        needs: tools::NODE,
        build: typescript::guardrail,
    },
    Guest {
        name: "compat_ts_mcp_adapter",
        parts: typescript::PARTS,
        needs: tools::NODE,
        build: typescript::mcp_adapter,
    },
    Guest {
        name: "compat_ts_tool",
        parts: typescript::PARTS,
        needs: tools::NODE,
        build: typescript::tool,
    },
    Guest {
        name: "compat_ts_tool_spidermonkey",
        parts: typescript::PARTS,
        needs: tools::NODE,
        build: typescript::tool_on_spidermonkey,
    },
];

/// Names of these guests, so that tidy can ask for their tests.
pub(crate) fn all_names() -> impl Iterator<Item = &'static str> {
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

/// Builds the shipped plugins that are written in TypeScript, if their toolchain can be had here.
pub(crate) fn script_plugins(folders: &Folders) -> Result<()> {
    for plugin in super::script_plugins(folders)? {
        if tools::is_here(tools::NODE) {
            script_plugin(folders, &plugin).with_context(|| format!("cannot make `{plugin}`"))?;
        } else {
            let why = format!("`{}` is not on this machine", tools::NODE);
            let cure = "install Node 20 or later and run this again";
            say::skipped(format_args!("the plugin `{plugin}`"), why, cure);
        }
    }
    Ok(())
}

fn script_plugin(folders: &Folders, plugin: &str) -> Result<()> {
    let out = folders.plugins_out().join(format!("{plugin}.wasm"));
    let mut bytes = world::bytes(folders)?;
    for part in typescript::SDK {
        bytes.extend(contents(&folders.root.join(part))?);
    }
    bytes.extend(contents(&folders.root.join("plugins").join(plugin))?);
    let stamp = stamp::of_component(&[plugin.as_bytes(), &bytes]);
    if stamp::is_fresh(folders, &out, &stamp) {
        return Ok(());
    }
    let Built {
        component,
        manifest,
    } = typescript::plugin(folders, plugin)?;
    let manifest = manifest.context("the SDK wrote no manifest")?;
    let component = with_manifest(component, &manifest)?;
    write(&out, &component)?;
    write(&out.with_extension("toml"), &manifest)?;
    stamp::write(folders, &out, &stamp)?;
    say::line(format_args!("{plugin} ({} bytes)", component.len()));
    Ok(())
}

/// Whether the SDKs in other languages can be packed on this machine.
pub(crate) fn can_pack() -> bool {
    tools::is_here(tools::NODE) && tools::is_here(tools::PYTHON)
}

fn one(folders: &Folders, guest: &Guest) -> Result<()> {
    let out = folders.guests_out().join(format!("{}.wasm", guest.name));
    let mut bytes = world::bytes(folders)?;
    for part in guest.parts {
        bytes.extend(contents(&folders.root.join(part))?);
    }
    let stamp = stamp::of_component(&[guest.name.as_bytes(), &bytes]);
    if stamp::is_fresh(folders, &out, &stamp) {
        return Ok(());
    }
    let built = (guest.build)(folders)?;
    write(&out, &built.component)?;
    if let Some(manifest) = &built.manifest {
        write(&out.with_extension("toml"), manifest)?;
    }
    stamp::write(folders, &out, &stamp)?;
    let size = built.component.len();
    say::line(format_args!("{} ({size} bytes)", guest.name));
    Ok(())
}

/// What programs leave in a folder of sources.
const LEFT: &[&str] = &["__pycache__", "_bindings", "_wit", "node_modules"];

/// A file, or every file below a folder with its name, in order; what programs left there is not in it.
fn contents(path: &Path) -> Result<Vec<u8>> {
    if !path.is_dir() {
        return read(path);
    }
    let below = names(path, |entry| {
        Some(entry.file_name()?.to_string_lossy().into_owned())
    })?;
    let mut bytes = Vec::new();
    for name in below {
        if LEFT.contains(&name.as_str()) {
            continue;
        }
        bytes.extend(name.as_bytes());
        bytes.extend(contents(&path.join(name))?);
    }
    Ok(bytes)
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
