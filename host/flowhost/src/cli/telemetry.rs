//! `flowhost telemetry`: what evidence files of stages say.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `telemetry`.
#[derive(Debug, Subcommand)]
pub(crate) enum TelemetryCommand {
    /// Hold evidence files against their schemas, those of other tools too
    Validate {
        /// A file, or a folder with all that is below it
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// One number of all stages, by group: mean, median, 95th percentile, outliers
    Report(ReportArgs),
    /// Two routing profiles beside each other, and whether chance explains the difference
    Compare(CompareArgs),
    /// What agents disagreed about, as YAML
    Disagreements(DisagreementsArgs),
}

/// Which files, and who answered.
#[derive(Debug, Args)]
pub(crate) struct EvidenceArgs {
    /// The evidence folder, or one file of it
    #[arg(long, value_name = "PATH", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
    /// What scripts of a `mock` provider answered; never together with what models did
    #[arg(long)]
    pub(crate) mock: bool,
}

/// `telemetry report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Which number
    #[arg(long, value_enum, default_value_t = MetricArg::Cost)]
    pub(crate) metric: MetricArg,
    /// What stages are put together by
    #[arg(long, value_enum, default_value_t = GroupArg::Stage)]
    pub(crate) group_by: GroupArg,
    /// Stages that ended then or later: 2026-11-26, or a time as RFC 3339 has it
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Stages that ended before then
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Comma-separated values (RFC 4180) in the place of a table; not with --json
    #[arg(long)]
    pub(crate) csv: bool,
}

/// `telemetry compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A routing profile: the plan's label `run_profile`
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// Another
    #[arg(value_name = "B")]
    pub(crate) b: String,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
}

/// `telemetry disagreements`.
#[derive(Debug, Args)]
pub(crate) struct DisagreementsArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Leave out what occurs less often
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min_count: usize,
}

/// Which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MetricArg {
    /// USD
    Cost,
    /// Prompt and completion
    Tokens,
    /// Milliseconds from start to end
    Latency,
    /// 0 to 1: a person's score, else completeness, else the share of checks that passed
    Quality,
    /// 1 − agreement ratio
    Disagreements,
}

/// What stages are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupArg {
    /// plan, tasks, …
    Stage,
    /// What each agent's model used
    Model,
    /// The spec's id
    Spec,
    /// The label `run_profile`
    Profile,
    /// The day in UTC
    Day,
}
