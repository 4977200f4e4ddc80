//! The golden runs of the examples: done again from their records, or made anew.

use anyhow::Result;
use clap::Args;

use crate::folders::Folders;
use crate::{built, guests, process, say};

/// What to do with them.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Make them anew: what the examples do now is right.
    #[arg(long)]
    accept: bool,
}

/// What the tests look at: it stands in `tests/it/src/cli/golden.rs`, too.
const ACCEPT: &str = "FLOWHOST_GOLDEN_ACCEPT";

/// Builds the plugins and runs the tests of golden runs.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    guests::all_plugins(folders)?;
    say::step("golden runs");
    // With the tests of `flowhost` itself, for which Cargo builds the executable.
    let mut test = built::tests(folders, &["--tests"], "it", built::How::Shared)?;
    test.args(["cli::golden", "--nocapture"]);
    if options.accept {
        test.env(ACCEPT, "1");
    }
    process::run(&mut test)
}
