//! The C guest: bindings made here, compiled by the C compiler that comes with Zig, and wrapped like
//! every core module.

use std::path::Path;

use anyhow::{Context, Result};
use wit_bindgen_core::Files;
use wit_parser::Resolve;

use super::{Built, read, source, tools, workshop, world, write};
use crate::folders::Folders;
use crate::process;

/// Builds it.
pub(super) fn build(folders: &Folders) -> Result<Built> {
    let folder = workshop(folders, "c")?;
    let wit = world::lay_out(folders, &folder)?;
    bindings(&wit, &folder)?;
    write(
        &folder.join("guest.c"),
        &read(&source(folders, "c/guest.c"))?,
    )?;
    let python = tools::python(folders)?;
    let arguments = [
        "-m",
        "ziglang",
        "cc",
        "-target",
        "wasm32-wasi",
        "-mexec-model=reactor",
        "-Os",
        "-Wall",
        "-Werror",
        "guest.c",
        "compat.c",
        "compat_component_type.o",
        "-o",
        "core.wasm",
    ];
    let caches = folder.join("cache");
    process::output(
        process::program(python, &folder, &arguments)
            .env("ZIG_GLOBAL_CACHE_DIR", &caches)
            .env("ZIG_LOCAL_CACHE_DIR", &caches),
    )?;
    Ok(flowhost_author::component(&read(&folder.join("core.wasm"))?)?.into())
}

/// Writes `compat.c`, `compat.h` and the object that carries the world.
fn bindings(wit: &Path, folder: &Path) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(wit)
        .context("the WIT of the C guest cannot be read")?;
    let world = resolve.select_world(&[package], Some(world::WORLD))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default()
        .build()
        .generate(&mut resolve, world, &mut files)?;
    for (name, bytes) in files.iter() {
        write(&folder.join(name), bytes)?;
    }
    Ok(())
}
