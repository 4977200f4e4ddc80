//! The simulation, any number of seeds. The test belongs to `flowhost-run`; this only says which seeds.

use anyhow::Result;
use clap::Args;

use crate::folders::Folders;
use crate::{built, process, say};

/// Which seeds.
#[derive(Args, Debug, Clone)]
pub(crate) struct Options {
    /// This seed and no other: what a failure prints.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// How many seeds.
    #[arg(long, default_value_t = 100_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Sessions, whose requests come from a client, in place of runs that go by themselves.
    #[arg(long)]
    sessions: bool,
    /// With optimisation: builds for longer, and tries several times as many seeds in a minute.
    #[arg(long)]
    release: bool,
}

/// Simulates.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    let how = match options.release {
        true => built::How::Optimised {
            package: "flowhost-run",
        },
        false => built::How::Shared,
    };
    let mut command = built::tests(folders, &["--lib"], "flowhost_run", how)?;
    let test = match options.sessions {
        true => "standin::sim::session::what_a_client_was_answered",
        false => "standin::sim::whatever_goes_wrong",
    };
    command.args([test, "--nocapture"]);
    match options.seed {
        Some(seed) => {
            say::step(format_args!("seed {seed}"));
            command.env("FLOWHOST_SIM_SEED", seed.to_string());
        }
        None => {
            let (first, seeds) = (options.first, options.seeds);
            say::step(format_args!("{seeds} seeds from {first}"));
            command.env("FLOWHOST_SIM_SEEDS", seeds.to_string());
            command.env("FLOWHOST_SIM_FIRST", first.to_string());
        }
    }
    process::run(&mut command)
}
