//! Builds every component of the repository: the plugins we ship, the test guests in Rust and, with
//! `--all`, those in other languages.
//!
//! A plugin that has a `package.json` is written in TypeScript and built by the SDK, as any author does.
//!
//! Guests are core modules for `wasm32-unknown-unknown`, wrapped here into components, so a finished
//! component imports what it calls and nothing that a language runtime drags in.

pub(crate) mod foreign;
mod stamp;
mod target;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use flowhost_author::WrapError;

use crate::folders::{Folders, names};
use crate::{process, say, sdk};

const TRIPLE: &str = "wasm32-unknown-unknown";
const GUESTS_CRATE: &str = "flowhost-test-guests";
/// Cargo profiles: plugins as small as they get, the many test guests without waiting for it.
const PLUGIN_PROFILE: &str = "guest";
const GUEST_PROFILE: &str = "test-guest";

/// What to build.
#[derive(Args, Debug, Clone, Default)]
pub(crate) struct Options {
    /// Also build the guests in C, JavaScript and Python (slow the first time).
    #[arg(long)]
    pub(crate) all: bool,
    /// Only the plugins we ship.
    #[arg(long, conflicts_with = "all")]
    pub(crate) plugins_only: bool,
    /// Leave out the plugins that `npm` is needed for, which may ask a registry.
    #[arg(long, conflicts_with = "all")]
    pub(crate) no_scripts: bool,
}

/// One component to make.
struct Job {
    name: String,
    core: PathBuf,
    manifest: Option<PathBuf>,
    out: PathBuf,
}

/// Adds what a compiler needs for guests. Before anything else is compiled beside them: a toolchain is not changed under a
/// compiler that is at work.
pub(crate) fn prepare(folders: &Folders) -> Result<()> {
    target::ensure(folders, TRIPLE)
}

/// Builds what `options` ask for.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    prepare(folders)?;
    sdk::run(folders)?;
    let plugins = compiled_plugins(folders)?;
    compile(folders, &plugins, options.plugins_only)?;
    let mut jobs = plugin_jobs(folders, &plugins);
    if !options.plugins_only {
        jobs.extend(guest_jobs(folders)?);
    }
    let mut made = 0_usize;
    for job in &jobs {
        made += usize::from(
            wrap_one(folders, job).with_context(|| format!("cannot make `{}`", job.name))?,
        );
    }
    say::step(format_args!(
        "{} components, {made} of them new",
        jobs.len()
    ));
    if !options.plugins_only && !options.no_scripts {
        foreign::script_plugins(folders)?;
    }
    if options.all {
        foreign::run(folders)?;
        if foreign::can_pack() {
            sdk::scripts(folders)?;
        }
    }
    Ok(())
}

/// Builds the shipped plugins that Cargo builds.
pub(crate) fn all_plugins(folders: &Folders) -> Result<()> {
    let options = Options {
        plugins_only: true,
        ..Options::default()
    };
    run(folders, &options)
}

/// Builds these shipped plugins and nothing else: what a demo waits for.
pub(crate) fn only_plugins(folders: &Folders, plugins: &[&str]) -> Result<()> {
    let plugins: Vec<String> = plugins.iter().map(|&plugin| plugin.to_owned()).collect();
    compile(folders, &plugins, true)?;
    for job in &plugin_jobs(folders, &plugins) {
        wrap_one(folders, job).with_context(|| format!("cannot make `{}`", job.name))?;
    }
    Ok(())
}

/// Folder names of the shipped plugins.
pub(crate) fn plugins(folders: &Folders) -> Result<Vec<String>> {
    names(&folders.root.join("plugins"), |path| {
        path.join("plugin.toml").is_file().then(|| file_name(path))
    })
}

/// Those of them that Cargo builds.
fn compiled_plugins(folders: &Folders) -> Result<Vec<String>> {
    let mut plugins = plugins(folders)?;
    plugins.retain(|plugin| !is_script(folders, plugin));
    Ok(plugins)
}

/// Those of them that the TypeScript SDK builds.
fn script_plugins(folders: &Folders) -> Result<Vec<String>> {
    let mut plugins = plugins(folders)?;
    plugins.retain(|plugin| is_script(folders, plugin));
    Ok(plugins)
}

fn is_script(folders: &Folders, plugin: &str) -> bool {
    let folder = folders.root.join("plugins").join(plugin);
    folder.join("package.json").is_file()
}

/// Names of the test guests in Rust: one file each.
pub(crate) fn rust_guests(folders: &Folders) -> Result<Vec<String>> {
    names(&folders.root.join("tests/guests/src/bin"), |path| {
        (path.extension()? == "rs").then(|| {
            path.file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
        })?
    })
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn package(plugin: &str) -> String {
    format!("flowhost-plugin-{plugin}")
}

fn compile(folders: &Folders, plugins: &[String], plugins_only: bool) -> Result<()> {
    let packages: Vec<String> = plugins.iter().map(|plugin| package(plugin)).collect();
    say::step("compiling plugins");
    compile_packages(folders, PLUGIN_PROFILE, &packages)?;
    if !plugins_only {
        say::step("compiling test guests");
        compile_packages(folders, GUEST_PROFILE, &[GUESTS_CRATE.to_owned()])?;
    }
    Ok(())
}

fn compile_packages(folders: &Folders, profile: &str, packages: &[String]) -> Result<()> {
    let mut arguments = vec!["build", "--quiet", "--target", TRIPLE, "--profile", profile];
    for package in packages {
        arguments.extend(["--package", package]);
    }
    process::run(
        process::cargo(&folders.root, &arguments).env("CARGO_TARGET_DIR", folders.guests_build()),
    )
}

fn core_folder(folders: &Folders, profile: &str) -> PathBuf {
    folders.guests_build().join(TRIPLE).join(profile)
}

fn plugin_jobs(folders: &Folders, plugins: &[String]) -> Vec<Job> {
    let out = folders.plugins_out();
    plugins
        .iter()
        .map(|plugin| Job {
            name: plugin.clone(),
            core: core_folder(folders, PLUGIN_PROFILE)
                .join(format!("{}.wasm", package(plugin).replace('-', "_"))),
            manifest: Some(
                folders
                    .root
                    .join("plugins")
                    .join(plugin)
                    .join("plugin.toml"),
            ),
            out: out.join(format!("{plugin}.wasm")),
        })
        .collect()
}

fn guest_jobs(folders: &Folders) -> Result<Vec<Job>> {
    let out = folders.guests_out();
    let jobs = rust_guests(folders)?.into_iter().map(|name| Job {
        core: core_folder(folders, GUEST_PROFILE).join(format!("{name}.wasm")),
        manifest: None,
        out: out.join(format!("{name}.wasm")),
        name,
    });
    Ok(jobs.collect())
}

/// Makes one component unless what it is made of has not changed; true when it was made.
fn wrap_one(folders: &Folders, job: &Job) -> Result<bool> {
    let core = read(&job.core)?;
    let manifest = job.manifest.as_deref().map(read).transpose()?;
    let stamp = stamp::of_component(&[&core, manifest.as_deref().unwrap_or_default()]);
    if stamp::is_fresh(folders, &job.out, &stamp) {
        return Ok(false);
    }
    let component = flowhost_author::component(&core)?;
    let bytes = match &manifest {
        Some(manifest) => with_manifest(component, manifest)?,
        None => component,
    };
    write(&job.out, &bytes)?;
    if let Some(manifest) = &manifest {
        write(&job.out.with_extension("toml"), manifest)?;
    }
    stamp::write(folders, &job.out, &stamp)?;
    say::line(format_args!("{} ({} bytes)", job.name, bytes.len()));
    Ok(true)
}

/// The component with its manifest inside, which must ask for exactly what it imports.
fn with_manifest(component: Vec<u8>, manifest: &[u8]) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(manifest).context("plugin.toml is not UTF-8")?;
    flowhost_author::with_manifest(component, text).map_err(|error| match error {
        WrapError::Manifest(problems) => {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            anyhow!("{}", said.join("\n"))
        }
        WrapError::Mismatch(mismatch) => anyhow!("{mismatch}; {}", mismatch.cure()),
        other => other.into(),
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes beside the target and renames, so that a reader never meets half a component.
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    std::fs::rename(&partial, path).with_context(|| format!("cannot name {}", path.display()))
}
