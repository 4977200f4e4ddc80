//! What can be typed of commands that run a plan many times to learn something.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PlanArgs;

/// `guardrail`.
#[derive(Debug, Subcommand)]
pub(crate) enum GuardrailCommand {
    /// Run every variant of a plan on every labelled output, and count what was stopped rightly and wrongly
    Eval(EvalArgs),
}

/// `guardrail eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// The folder with the outputs, a file each
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
    /// A YAML file that says `allow` or `deny` of each file in FOLDER
    #[arg(long, value_name = "FILE")]
    pub(crate) labels: PathBuf,
    /// The plan, with an input `output` that takes one of them; a run that a guardrail or a check halts says `deny`
    #[command(flatten)]
    pub(crate) plan: EvalPlanArgs,
    /// Only this variant; may be repeated [default: all, or the plan as it is]
    #[arg(long = "variant", value_name = "NAME")]
    pub(crate) variants: Vec<String>,
    /// Seed of all randomness of each run [default: random, recorded]
    #[arg(long, value_parser = super::whole::<u64>)]
    pub(crate) seed: Option<u64>,
}

/// A plan as an option, because the folder stands where a plan does elsewhere.
#[derive(Debug, Args)]
pub(crate) struct EvalPlanArgs {
    /// The plan file, with an input `output`; a run that a guardrail or a check halts says `deny`
    #[arg(long, value_name = "PLAN")]
    plan: PathBuf,
    /// An input of the plan, read as the type that the plan gives it; may be repeated
    #[arg(long = "input", value_name = "NAME=VALUE", value_parser = super::pair)]
    inputs: Vec<(String, String)>,
    /// Search profiles in this folder only (and among the shipped ones)
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
}

impl EvalPlanArgs {
    /// As other commands take it.
    pub(crate) fn as_plan(&self) -> PlanArgs {
        PlanArgs {
            plan: self.plan.clone(),
            inputs: self.inputs.clone(),
            policies: self.policies.clone(),
            locked: false,
        }
    }
}

/// `experiment`.
#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentCommand {
    /// Run the variants of a plan in turns
    Run(ExperimentRunArgs),
    /// Hand outputs out to a reader, under labels that say nothing; what they mean goes into a key
    Sheet(SheetArgs),
    /// Take a reader's scores back: a run of their own records them, and they are written beside the evidence
    Review(ReviewArgs),
    /// Show variants beside each other, with what readers said and what was saved
    Report(ExperimentReportArgs),
}

/// `experiment run`.
#[derive(Debug, Args)]
pub(crate) struct ExperimentRunArgs {
    /// The plan and where its profiles are
    #[command(flatten)]
    pub(crate) plan: PlanArgs,
    /// How often each variant is run; four is the least that can tell a difference from chance
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) times: u32,
    /// Only this variant; may be repeated [default: all]
    #[arg(long = "variant", value_name = "NAME")]
    pub(crate) variants: Vec<String>,
    /// Seed of all randomness of each run [default: random, recorded]
    #[arg(long, value_parser = super::whole::<u64>)]
    pub(crate) seed: Option<u64>,
}

/// `experiment sheet`.
#[derive(Debug, Args)]
pub(crate) struct SheetArgs {
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
    /// The folder to make, for the reader
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The file to make with what the labels mean, not for the reader
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Only this experiment: the plan's label, by default its name
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// Only this stage
    #[arg(long, value_name = "NAME")]
    pub(crate) stage: Option<String>,
    /// What the order is shuffled by [default: random, kept in the key]
    #[arg(long, value_name = "TEXT")]
    pub(crate) seed: Option<String>,
    /// What scripts of a `mock` provider answered; never together with what models did
    #[arg(long)]
    pub(crate) mock: bool,
}

/// `experiment review`.
#[derive(Debug, Args)]
pub(crate) struct ReviewArgs {
    /// The sheet's `scores.yaml`, filled in
    #[arg(value_name = "SCORES")]
    pub(crate) scores: PathBuf,
    /// The key that was made with the sheet
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Who read, for the record
    #[arg(long, value_name = "NAME")]
    pub(crate) by: String,
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
}

/// `experiment report`.
#[derive(Debug, Args)]
pub(crate) struct ExperimentReportArgs {
    /// The evidence folder
    #[arg(long, value_name = "DIR", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
    /// The experiment: the plan's label, by default its name [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) experiment: Option<String>,
    /// The variant that the others are held against
    #[arg(long, value_name = "NAME")]
    pub(crate) baseline: Option<String>,
    /// What scripts of a `mock` provider answered; never together with what models did
    #[arg(long)]
    pub(crate) mock: bool,
}
