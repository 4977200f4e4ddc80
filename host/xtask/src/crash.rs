//! The ledger's crash test, any number of times: a writer is killed at random moments, and nothing
//! that it acknowledged may be lost. The test itself belongs to the ledger; this only sets how often.

use anyhow::Result;
use clap::Args;

use crate::folders::Folders;
use crate::{process, say};

/// How often.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// Kills.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) cycles: u64,
}

/// Builds the writer and kills it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let writer = [
        "build",
        "--quiet",
        "--package",
        "flowhost-ledger",
        "--example",
        "crash_writer",
    ];
    process::run(&mut process::cargo(&folders.root, &writer))?;
    say::step(format_args!("{} cycles", options.cycles));
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
        process::cargo(&folders.root, &test)
            .env("FLOWHOST_CRASH_CYCLES", options.cycles.to_string()),
    )
}
