//! Kills at random moments, any number of times: the whole executable while it runs a plan whose effects
//! a server counts, and the ledger's writer alone. The tests belong to those that are killed; this only
//! sets how often.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;

use crate::folders::Folders;
use crate::{built, guests, process, say};

/// How often; without either number, both tests with 10,000.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// Kills of the executable, in runs that are resumed until they have ended.
    #[arg(long)]
    pub(crate) kills: Option<u64>,
    /// Kills of the ledger's writer.
    #[arg(long)]
    pub(crate) cycles: Option<u64>,
    /// Which random moments the executable is killed at.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The executable, for example one that was built for release: it comes to its moments sooner
    /// [default: the one of the test command]
    #[arg(long, value_name = "FILE")]
    pub(crate) flowhost: Option<PathBuf>,
}

/// Kills of a campaign that nobody sets a number for.
const OFTEN: u64 = 10_000;

/// Builds what is killed, and kills it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let neither = options.kills.is_none() && options.cycles.is_none();
    let both = neither.then_some(OFTEN);
    if let Some(kills) = options.kills.or(both) {
        whole(folders, kills, options.seed, options.flowhost.as_deref())?;
    }
    if let Some(cycles) = options.cycles.or(both) {
        writer(folders, cycles)?;
    }
    Ok(())
}

fn whole(folders: &Folders, kills: u64, seed: u64, flowhost: Option<&Path>) -> Result<()> {
    guests::run(
        folders,
        &guests::Options {
            all: false,
            plugins_only: false,
            no_scripts: true,
        },
    )?;
    // With the tests of `flowhost` itself, for which Cargo builds the executable.
    let mut command = built::tests(folders, &["--tests"], "it", built::How::Shared)?;
    if let Some(named) = flowhost {
        command.env("FLOWHOST_UNDER_TEST", std::path::absolute(named)?);
    }
    say::step(format_args!("{kills} kills of the executable"));
    process::run(
        command
            .args(["cli::crash::", "--nocapture"])
            .env("FLOWHOST_CRASH_KILLS", kills.to_string())
            .env("FLOWHOST_CRASH_SEED", seed.to_string()),
    )
}

fn writer(folders: &Folders, cycles: u64) -> Result<()> {
    let writer = [
        "build",
        "--quiet",
        "--package",
        "flowhost-ledger",
        "--example",
        "crash_writer",
    ];
    process::run(&mut process::cargo(&folders.root, &writer))?;
    say::step(format_args!("{cycles} kills of the ledger's writer"));
    let test = [
        "test",
        "--package",
        "flowhost-ledger",
        "--test",
        "ledger",
        "crash",
        "--",
        "--nocapture",
    ];
    process::run(
        process::cargo(&folders.root, &test).env("FLOWHOST_CRASH_CYCLES", cycles.to_string()),
    )
}
