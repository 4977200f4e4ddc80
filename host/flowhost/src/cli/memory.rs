//! `flowhost memory`: what agents said of stages, kept beyond their runs.

use clap::{Args, Subcommand};

/// `memory`.
#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// List what is remembered, latest first
    List(MemoryArgs),
}

/// Which entries.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Only entries with this tag, such as `spec:SPEC-1`, `stage:plan` or `agent:claude`; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
}
