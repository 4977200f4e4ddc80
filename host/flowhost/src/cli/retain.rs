//! What can be typed of commands over many runs, and over runs of other processes.

use clap::builder::PossibleValuesParser;
use clap::{ArgGroup, Args};
use flowhost_evidence::runs::{GONE, UNFINISHED};
use flowhost_flow::RunStatus;
use flowhost_ledger::KILLED;

use crate::cli::KeyArgs;

/// What the index says of how a run ended. The last three are of runs that wrote no end, or have no folder any more.
fn statuses() -> PossibleValuesParser {
    let ended = RunStatus::WORDS.iter().copied();
    PossibleValuesParser::new(ended.chain([KILLED, UNFINISHED, GONE]))
}

/// Which runs are meant.
#[derive(Debug, Args)]
pub(crate) struct FilterArgs {
    /// Only runs that ended so, or `unfinished` or `gone`; may be repeated
    #[arg(long, value_name = "STATUS", value_parser = statuses())]
    pub(crate) status: Vec<String>,
    /// Only runs of the plan of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) plan: Option<String>,
    /// Only runs with this label of their plan; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = super::pair)]
    pub(crate) labels: Vec<(String, String)>,
}

/// `runs list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Which runs
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only runs that began since: how long ago (`90m`, `36h`, `7d`), or a UTC time (`2026-11-20`,
    /// `2026-11-20T08:30:00Z`)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<String>,
    /// Runs that were removed, too
    #[arg(long)]
    pub(crate) removed: bool,
}

/// `runs rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Runs' ids, or unambiguous beginnings of them
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<String>,
    /// Also a run that waits for a person, which could still go on
    #[arg(long)]
    pub(crate) force: bool,
}

/// `runs restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Ids of runs that were archived, or unambiguous beginnings of them
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<String>,
}

/// `runs prune`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["keep", "older_than"]).required(true).multiple(true)))]
pub(crate) struct PruneArgs {
    /// Leave the newest N of the runs that are meant
    #[arg(long, value_name = "N", value_parser = super::whole::<usize>)]
    pub(crate) keep: Option<usize>,
    /// Leave those that ended less than this ago: `36h`, `30d`
    #[arg(long, value_name = "TIME", value_parser = flowhost_flow::units::parse_duration_ms)]
    pub(crate) older_than: Option<u64>,
    /// Which runs
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Remove them for good, and keep no archives
    #[arg(long)]
    pub(crate) no_archive: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `runs cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// How long calls at work may take to come to their end, before they are stopped
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = grace)]
    pub(crate) grace: u64,
    /// Who says so, for the record
    #[arg(long, value_name = "NAME", value_parser = super::person)]
    pub(crate) by: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", value_parser = super::remark)]
    pub(crate) note: String,
    /// For a run that waits: end it with another component for a plugin, on purpose; may be repeated
    #[arg(long = "plugin", value_name = "NAME=PATH", value_parser = super::pair)]
    pub(crate) plugins: Vec<(String, String)>,
    /// What a profile alone does not open, for a run that waits: what it did is taken back by this process
    #[command(flatten)]
    pub(crate) keys: KeyArgs,
}

/// `runs watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// A run's id, an unambiguous beginning of it, or `latest`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
}

/// A duration as a plan writes it, or `0` for none at all.
fn grace(text: &str) -> Result<u64, String> {
    match text {
        // The units of plans know no zero, which would be no limit there; here it is a wish.
        "0" | "0s" => Ok(0),
        text => flowhost_flow::units::parse_duration_ms(text),
    }
}
