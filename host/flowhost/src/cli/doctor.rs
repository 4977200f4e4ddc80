//! `flowhost doctor`.

use std::path::PathBuf;

use clap::Args;

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Ask whether this plan could run: its agents, models, tools, servers and programs
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<PathBuf>,
    /// An input of the plan, read as the type that the plan gives it; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = super::pair, requires = "plan")]
    pub(crate) inputs: Vec<(String, String)>,
    /// Search profiles in this folder only (and among the shipped ones)
    #[arg(long, value_name = "DIR", requires = "plan")]
    pub(crate) policies: Option<PathBuf>,
    /// Ask each model for a word, which costs some tokens
    #[arg(long, requires = "plan")]
    pub(crate) ask: bool,
    /// Second of the two keys to private addresses, for servers that are asked
    #[arg(long, requires = "plan")]
    pub(crate) allow_private_network: bool,
    /// Second of the two keys to native processes, for servers that are asked
    #[arg(long, requires = "plan")]
    pub(crate) allow_process: bool,
}
