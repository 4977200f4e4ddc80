//! `flowhost evidence`: what a ledger holds, and what stages leave beside it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `evidence`.
#[derive(Debug, Subcommand)]
pub(crate) enum EvidenceCommand {
    /// Write an inclusion proof of one record
    Prove {
        /// The record's sequence number
        #[arg(value_name = "SEQ", value_parser = super::whole::<u64>)]
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
        #[arg(value_name = "SEQ", required_unless_present = "sealed", value_parser = super::whole::<u64>)]
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
    /// Write a context kit: where a spec stands, what is done and what is not, and how to try again
    Kit(PacketArgs),
    /// Write an audit packet: verdicts, reconciled costs, every conflict, security reviews, a list to sign
    Audit(PacketArgs),
    /// Keep the newest run of a spec as a baseline, under a name, beside the archives
    Baseline(BaselineArgs),
    /// Show which tasks need a security review and what was said of them, or say something of one
    Security(SecurityArgs),
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
    #[arg(long, value_name = "N", default_value_t = flowhost_run::specs::KEEP, value_parser = super::whole::<usize>)]
    pub(crate) keep: usize,
    /// Do it
    #[arg(long)]
    pub(crate) yes: bool,
}

/// A packet of a spec.
#[derive(Debug, Args)]
pub(crate) struct PacketArgs {
    /// The plan's `evidence.spec_id`
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
    /// The ZIP file to write; one that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
}

/// `evidence baseline`.
#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    /// The plan's `evidence.spec_id`
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
    /// What to call it: letters, digits, `-` and `_`
    #[arg(long, value_name = "NAME", value_parser = baseline)]
    pub(crate) name: String,
    /// This run, as `evidence ls` lists it [default: the newest]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
}

/// `evidence security`.
#[derive(Debug, Args)]
pub(crate) struct SecurityArgs {
    /// The plan's `evidence.spec_id`
    #[arg(value_name = "SPEC")]
    pub(crate) spec: String,
    /// The task to say something of
    #[arg(long, value_name = "TASK", value_parser = told_of, requires_all = ["says", "by"])]
    pub(crate) task: Option<String>,
    /// What is said of it
    #[arg(long, value_enum, requires = "task")]
    pub(crate) says: Option<SaysArg>,
    /// Who says so, for the record
    #[arg(long, value_name = "NAME", value_parser = told_of, requires = "task")]
    pub(crate) by: Option<String>,
    /// What was found, or why the risk is taken
    #[arg(long, value_name = "TEXT", default_value = "", requires = "task")]
    pub(crate) note: String,
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
}

/// What a reviewer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaysArg {
    /// It is to be looked at again
    Open,
    /// Nothing was found that matters
    Passed,
    /// Something was found, and the risk is taken
    Accepted,
    /// It must not go on like this
    Failed,
}

/// The name of a baseline.
fn baseline(text: &str) -> Result<String, String> {
    super::file_part(text, 64)
}

/// A task, or who says something of it: both and a time stand in one name, below the 255 bytes of file systems.
fn told_of(text: &str) -> Result<String, String> {
    super::file_part(text, 32)
}
