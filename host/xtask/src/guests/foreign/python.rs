//! The Python guest: CPython inside the sandbox, with all the WASI imports that it drags in.

use anyhow::Result;

use super::{read, source, tools, workshop, world, write};
use crate::folders::Folders;
use crate::process;

/// Builds it.
pub(super) fn build(folders: &Folders) -> Result<Vec<u8>> {
    let folder = workshop(folders, "python")?;
    let wit = world::lay_out(folders, &folder)?;
    write(
        &folder.join("guest.py"),
        &read(&source(folders, "python/guest.py"))?,
    )?;
    let wit = wit.to_string_lossy();
    let program = tools::python(folders)?.with_file_name("componentize-py");
    let arguments = [
        "-d",
        &wit,
        "-w",
        world::WORLD,
        "componentize",
        "-p",
        ".",
        "guest",
        "-o",
        "out.wasm",
    ];
    process::output(&mut process::program(program, &folder, &arguments))?;
    read(&folder.join("out.wasm"))
}
