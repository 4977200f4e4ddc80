//! Rust's standard library for guests, which a fresh machine does not have.

use anyhow::{Context, Result};

use crate::folders::Folders;
use crate::{process, say};

/// Adds the target with `rustup` when the compiler has no library for it.
pub(super) fn ensure(folders: &Folders, triple: &str) -> Result<()> {
    if installed(folders, triple)? {
        return Ok(());
    }
    say::step(format_args!("rustup target add {triple}"));
    process::run(&mut process::program(
        "rustup",
        &folders.root,
        &["target", "add", triple],
    ))
    .with_context(|| {
        format!(
            "guests need Rust's library for {triple}, and it could not be added; \
                 add it by hand with `rustup target add {triple}` or your distribution's package"
        )
    })
}

fn installed(folders: &Folders, triple: &str) -> Result<bool> {
    let mut rustc = process::program(
        "rustc",
        &folders.root,
        &["--print", "target-libdir", "--target", triple],
    );
    let folder = process::output(&mut rustc)?;
    Ok(std::path::Path::new(folder.trim()).is_dir())
}
