//! One JavaScript guest on two engines: QuickJS, which is small, and SpiderMonkey, which is complete.
//! Both keep their runtime's WASI imports but the network, so that tests see what those can reach.

use std::path::Path;

use anyhow::Result;

use super::{Built, read, source, tools, workshop, world};
use crate::folders::Folders;
use crate::process;

/// What it is made of.
pub(super) const PARTS: &[&str] = &[
    "tests/guests/foreign/js/guest.js",
    "tests/guests/foreign/js/package-lock.json",
];

/// Builds it for QuickJS.
pub(super) fn quickjs(folders: &Folders) -> Result<Built> {
    build(folders, "quickjs", "componentize-qjs", |wit, js, out| {
        [
            "--wit",
            wit,
            "--world",
            world::WORLD,
            "--js",
            js,
            "--sync",
            "-o",
            out,
        ]
        .map(str::to_owned)
        .into()
    })
}

/// Builds it for SpiderMonkey.
pub(super) fn spidermonkey(folders: &Folders) -> Result<Built> {
    build(
        folders,
        "spidermonkey",
        "componentize-js",
        |wit, js, out| {
            let world = ["--wit", wit, "--world-name", world::WORLD];
            // A network of its own is not dragged in: what asks for one is refused under deny-all.
            let rest = ["--disable", "http", "fetch-event", "-o", out];
            let all = [&[js], world.as_slice(), rest.as_slice()].concat();
            all.into_iter().map(str::to_owned).collect()
        },
    )
}

fn build(
    folders: &Folders,
    name: &str,
    program: &str,
    arguments: impl Fn(&str, &str, &str) -> Vec<String>,
) -> Result<Built> {
    let folder = workshop(folders, name)?;
    let wit = world::lay_out(folders, &folder)?;
    let out = folder.join("out.wasm");
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let arguments = arguments(
        &text(&wit),
        &text(&source(folders, "js/guest.js")),
        &text(&out),
    );
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let program = tools::node(folders, program)?;
    process::output(&mut process::program(program, &folder, &arguments))?;
    Ok(read(&out)?.into())
}
