//! Lets one process call ten MCP servers, half of which misbehave, for as long as it is told, and fails if anything of
//! them stays in it. The test is `mcp::soak` of the integration tests; this only sets how long.

use anyhow::Result;
use clap::Args;

use crate::folders::Folders;
use crate::{built, guests, process, say};

/// How long.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// Minutes.
    #[arg(long, default_value_t = 30)]
    minutes: u64,
}

/// Builds what is needed, and runs it.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    guests::run(
        folders,
        &guests::Options {
            all: false,
            plugins_only: true,
            no_scripts: true,
        },
    )?;
    // With the tests of `flowhost` itself, for which Cargo builds the executable.
    let mut command = built::tests(folders, &["--tests"], "it", built::How::Shared)?;
    say::step(format_args!("{} minutes of ten servers", options.minutes));
    process::run(command.args(["mcp::soak::", "--nocapture"]).env(
        "FLOWHOST_MCP_SOAK_SECONDS",
        (options.minutes * 60).to_string(),
    ))
}
