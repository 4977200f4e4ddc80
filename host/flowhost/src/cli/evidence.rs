//! `flowhost evidence`: what a ledger holds, and what stages leave beside it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `evidence`.
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Write an inclusion proof of one record
    Prove {
        /// The record's sequence number
        #[arg(value_name = "SEQ")]
        seq: u64,
        /// A run's id, an unambiguous beginning of it, or `latest`
        #[arg(long, value_name = "RUN", default_value = "latest")]
        run: String,
    },
    /// Write a run's evidence into one file that `verify` reads on another machine
    Export {
        /// A run's id, an unambiguous beginning of it, or `latest`
        #[arg(value_name = "RUN")]
        run: String,
        /// The file; one that is there is replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// With what is sealed beside redacted payloads, and its key, which this host alone can use
        #[arg(long)]
        sealed: bool,
    },
    /// Erase the payload of a record; its commitment and every proof stay valid
    Erase {
        /// The record's sequence number
        #[arg(value_name = "SEQ", required_unless_present = "sealed")]
        seq: Option<u64>,
        /// Erase the key of all that the run has sealed beside redacted payloads, instead of one payload
        #[arg(long, conflicts_with = "seq")]
        sealed: bool,
        /// A run's id, an unambiguous beginning of it, or `latest`
        #[arg(long, value_name = "RUN")]
        run: String,
        /// Why, for the record
        #[arg(long)]
        reason: String,
    },
    /// List the runs that left files of a spec, and its archives
    Ls {
        /// The plan's `evidence.spec_id`
        #[arg(value_name = "SPEC")]
        spec: String,
        /// The evidence folder
        #[arg(long, value_name = "DIR", default_value = "evidence")]
        evidence: PathBuf,
    },
    /// Count runs, files and bytes of each spec
    Stats {
        /// The evidence folder
        #[arg(long, value_name = "DIR", default_value = "evidence")]
        evidence: PathBuf,
    },
    /// Put the files of older runs into archives, and leave them; says what it would do, until `--yes`
    Archive(SpecArgs),
    /// Put the files of older runs into archives, and remove them; says what it would do, until `--yes`
    Prune(SpecArgs),
}

/// Older runs of a spec.
#[derive(Debug, Args)]
pub(crate) struct SpecArgs {
    /// The plan's `evidence.spec_id`
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
    /// Leave the files of the newest N runs
    #[arg(long, value_name = "N", default_value_t = flowhost_run::specs::KEEP)]
    pub(crate) keep: usize,
    /// Do it
    #[arg(long)]
    pub(crate) yes: bool,
}
