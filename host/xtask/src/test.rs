//! Everything that must pass before a change is handed in: what takes seconds first, then what is built, in two lanes
//! beside each other; the test runner last, so that its own summary is the last thing on the screen.

use anyhow::Result;
use clap::Args;

use crate::folders::Folders;
use crate::lanes::{self, Halt};
use crate::{
    book, browser, cel_cases, guests, mcp_files, process, py_trees, registry, say, tidy, wit_docs,
    wit_lock,
};

/// The fuzz targets that need the engine are off for whoever wants the others fast; here it is built
/// anyway.
pub(crate) const ENGINE_TARGETS: &str = "--features=flowhost-fuzz/engine";

/// What to run.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Leave out the guests in C, JavaScript and Python, and fetch neither a browser nor a registry.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Words that the runner takes as filters.
    #[arg(last = true)]
    pub(crate) runner: Vec<String>,
}

/// Runs all of it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    say::step("format");
    process::run(&mut process::cargo(
        &folders.root,
        &["fmt", "--all", "--check"],
    ))?;
    say::step("house rules");
    tidy::run(folders)?;
    wit_lock::run(folders, &wit_lock::Options { check: true })?;
    wit_docs::run(folders, &wit_docs::Options { check: true })?;
    guests::prepare(folders)?;
    lanes::both(
        |halt| host_lane(folders, halt),
        |halt| component_lane(folders, options, halt),
    )?;
    cel_cases::run_beside(folders)?;
    run_tests(folders, &options.runner)
}

/// Lints and builds the host and all tests. None of it needs a component.
fn host_lane(folders: &Folders, halt: &Halt) -> Result<()> {
    say::step("clippy");
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        ENGINE_TARGETS,
        "--quiet",
        "--",
        "-D",
        "warnings",
    ];
    process::run(&mut process::cargo(&folders.root, &clippy))?;
    // All at once and with the same features, so that the runtime is compiled once. The host's own
    // executable is among it, because its package has an integration test.
    halt.unless(|| {
        say::step("building the host and all tests");
        let build = ["test", "--workspace", "--no-run", ENGINE_TARGETS, "--quiet"];
        process::run(&mut process::cargo(&folders.root, &build))
    })
}

/// Builds components, each by its own language's tools, in target folders of their own; and tests the SDKs that they are
/// written with. None of it needs the host.
fn component_lane(folders: &Folders, options: &Options, halt: &Halt) -> Result<()> {
    let built = guests::Options {
        all: !options.quick,
        plugins_only: false,
        no_scripts: options.quick,
    };
    guests::run(folders, &built)?;
    halt.unless(|| sdk_tests(folders))?;
    if options.quick {
        return Ok(());
    }
    halt.unless(|| {
        browser::ensure(&folders.root);
        registry::ensure(folders);
        mcp_files::ensure(folders)
    })?;
    halt.unless(|| guests::foreign::typescript::test(folders))?;
    halt.unless(|| guests::foreign::python_sdk::test(folders))?;
    halt.unless(|| {
        say::step("behaviour trees against py_trees");
        py_trees::run(folders, &py_trees::Options::default())
    })?;
    halt.unless(|| book::run(folders))
}

/// The attributes of the SDK, with their compile-fail tests: in a target folder of their own, because the
/// feature that brings them would have most of the host built anew. The tests with a sandbox are not among them: they
/// need the host's executable, which the other lane may still be building, and run with all other tests.
fn sdk_tests(folders: &Folders) -> Result<()> {
    say::step("the SDK's attributes");
    let target = folders.target.join("sdk-test").display().to_string();
    let tests = [
        "test",
        "--package",
        "flowhost-sdk",
        "--features",
        "derive",
        "--lib",
        "--test",
        "mistakes",
        "--target-dir",
        &target,
        "--quiet",
    ];
    process::run(&mut process::cargo(&folders.root, &tests))
}

/// With nextest where it is installed, else with Cargo's own runner; both give the same verdict.
fn run_tests(folders: &Folders, filters: &[String]) -> Result<()> {
    say::step("doc tests");
    let docs = ["test", "--workspace", "--doc", ENGINE_TARGETS, "--quiet"];
    process::run(&mut process::cargo(&folders.root, &docs))?;
    let nextest = process::answers("cargo", &["nextest", "--version"]);
    let mut arguments = match nextest {
        true => vec![
            "nextest",
            "run",
            "--workspace",
            ENGINE_TARGETS,
            "--no-fail-fast",
        ],
        false => vec![
            "test",
            "--workspace",
            ENGINE_TARGETS,
            "--no-fail-fast",
            "--lib",
            "--bins",
            "--examples",
            "--tests",
        ],
    };
    arguments.extend(filters.iter().map(String::as_str));
    say::step(format_args!("tests (cargo {})", arguments.join(" ")));
    process::run(&mut process::cargo(&folders.root, &arguments))
}
