//! Guests by the TypeScript SDK: one plugin of each kind, from the sources that the SDK's own tests check,
//! and the tool a second time on the other engine; and the shipped plugins that are written with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Built, contents, read, stamp, tools, workshop, write};
use crate::folders::Folders;
use crate::{process, say};

/// What every plugin by the SDK is made of, beside its own sources.
pub(super) const SDK: &[&str] = &["sdk-ts/src", "sdk-ts/scripts", "sdk-ts/package-lock.json"];

/// What the guests are made of.
pub(super) const PARTS: &[&str] = &[
    "sdk-ts/src",
    "sdk-ts/scripts",
    "sdk-ts/package-lock.json",
    "sdk-ts/test/plugins",
    "wit",
];

pub(super) fn tool(folders: &Folders) -> Result<Built> {
    build(folders, "tool", "quickjs")
}

pub(super) fn agent(folders: &Folders) -> Result<Built> {
    build(folders, "agent", "quickjs")
}

pub(super) fn guardrail(folders: &Folders) -> Result<Built> {
    build(folders, "guardrail", "quickjs")
}

pub(super) fn mcp_adapter(folders: &Folders) -> Result<Built> {
    build(folders, "mcp-adapter", "quickjs")
}

pub(super) fn tool_on_spidermonkey(folders: &Folders) -> Result<Built> {
    build(folders, "tool", "spidermonkey")
}

/// Builds the plugin of this kind as an author does.
fn build(folders: &Folders, kind: &str, engine: &str) -> Result<Built> {
    let sdk = ensure(folders)?;
    let out = workshop(folders, &format!("ts-{kind}-{engine}"))?;
    let mut command = builder(&sdk, &sdk.join("test/plugins").join(kind), engine, &out);
    if engine == "spidermonkey" {
        // An author installs this engine beside the SDK; here it is among the toolchains already.
        tools::node(folders, "componentize-js")?;
        command.env("NODE_PATH", folders.tools().join("js/node_modules"));
    }
    process::output(&mut command)?;
    built(&out, &format!("compat-ts-{kind}"))
}

/// Builds a shipped plugin, with its packages as locked.
pub(super) fn plugin(folders: &Folders, name: &str) -> Result<Built> {
    let sdk = ensure(folders)?;
    let project = packages(folders, name)?;
    let out = workshop(folders, &format!("ts-plugin-{name}"))?;
    process::output(&mut builder(&sdk, &project, "quickjs", &out))?;
    built(&out, name)
}

fn builder(sdk: &Path, project: &Path, engine: &str, out: &Path) -> Command {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let cli = text(&sdk.join("dist/build/cli.js"));
    let (project, place) = (text(project), text(out));
    let arguments = [&cli, &project, "--engine", engine, "--out", &place];
    process::program("node", sdk, &arguments)
}

fn built(out: &Path, name: &str) -> Result<Built> {
    Ok(Built {
        component: read(&out.join(format!("{name}.wasm")))?,
        manifest: Some(read(&out.join(format!("{name}.toml")))?),
    })
}

/// The folder of a shipped plugin, with its packages installed.
fn packages(folders: &Folders, name: &str) -> Result<PathBuf> {
    let project = folders.root.join("plugins").join(name);
    let lock = read(&project.join("package-lock.json"))?;
    let installed = Mark {
        folder: project.join("node_modules"),
        place: folders.tools().join("plugins").join(name),
        stamp: stamp::of(&[&lock]),
    };
    if !installed.is_set() {
        install(&project, &format!("the plugin {name}"))?;
        installed.set()?;
    }
    Ok(project)
}

fn install(folder: &Path, what: &str) -> Result<()> {
    say::line(format_args!("npm install ({what}, as locked)"));
    let arguments = [
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--loglevel=error",
    ];
    process::run(&mut process::program("npm", folder, &arguments)).with_context(|| {
        format!("the packages of {what} could not be installed; is there a network?")
    })
}

/// The SDK's folder, with its packages installed and its `dist` made of the sources as they are.
pub(crate) fn ensure(folders: &Folders) -> Result<PathBuf> {
    let sdk = folders.root.join("sdk-ts");
    let lock = read(&sdk.join("package-lock.json"))?;
    let installed = Mark::of(folders, &sdk, "node_modules", &lock);
    if !installed.is_set() {
        install(&sdk, "the TypeScript SDK")?;
        installed.set()?;
    }
    let mut sources = contents(&sdk.join("src"))?;
    for part in [sdk.join("scripts"), folders.root.join("wit")] {
        sources.extend(contents(&part)?);
    }
    sources.extend(lock);
    let compiled = Mark::of(folders, &sdk, "dist", &sources);
    if !compiled.is_set() {
        process::run(&mut process::program("node", &sdk, &["scripts/build.mjs"]))
            .context("the TypeScript SDK does not compile")?;
        compiled.set()?;
    }
    Ok(sdk)
}

/// Checks types, runs the SDK's own tests.
pub(crate) fn test(folders: &Folders) -> Result<()> {
    if !tools::is_here(tools::NODE) {
        say::skipped(
            "the tests of the TypeScript SDK",
            "`npm` is not on this machine",
            "install Node 20 or later and run this again",
        );
        return Ok(());
    }
    let sdk = ensure(folders)?;
    say::step("tests of the TypeScript SDK");
    for arguments in [
        &["run", "--silent", "check"] as &[&str],
        &["run", "--silent", "test"],
    ] {
        process::run(&mut process::program("npm", &sdk, arguments))?;
    }
    let compiler = sdk.join("node_modules/typescript/bin/tsc");
    let compiler = compiler.to_string_lossy();
    for name in super::super::script_plugins(folders)? {
        say::step(format_args!("types and tests of the plugin {name}"));
        let project = packages(folders, &name)?;
        let arguments = [&*compiler, "--noEmit", "--project", "."];
        process::run(&mut process::program("node", &project, &arguments))?;
        if project.join("test").is_dir() {
            process::run(&mut process::program("node", &project, &["--test"]))?;
        }
    }
    Ok(())
}

/// What a folder of the SDK was made of. It stands outside of the SDK, so that no package carries it.
struct Mark {
    folder: PathBuf,
    place: PathBuf,
    stamp: String,
}

impl Mark {
    fn of(folders: &Folders, sdk: &Path, name: &str, made_of: &[u8]) -> Self {
        Self {
            folder: sdk.join(name),
            place: folders.tools().join("sdk-ts").join(name),
            stamp: stamp::of(&[made_of]),
        }
    }

    fn is_set(&self) -> bool {
        let found = std::fs::read_to_string(&self.place);
        self.folder.is_dir() && found.is_ok_and(|found| found == self.stamp)
    }

    fn set(&self) -> Result<()> {
        write(&self.place, self.stamp.as_bytes())
    }
}
