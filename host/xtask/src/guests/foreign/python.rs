//! The Python guest: CPython inside the sandbox. Its WASI imports, sockets among them, are replaced by
//! stubs: with them it asks for rights that no profile can give.

use anyhow::Result;

use super::{Built, read, source, tools, workshop, world, write};
use crate::folders::Folders;
use crate::process;

/// Builds it.
pub(super) fn build(folders: &Folders) -> Result<Built> {
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
        "--stub-wasi",
        "-p",
        ".",
        "guest",
        "-o",
        "out.wasm",
    ];
    process::output(&mut process::program(program, &folder, &arguments))?;
    Ok(read(&folder.join("out.wasm"))?.into())
}
