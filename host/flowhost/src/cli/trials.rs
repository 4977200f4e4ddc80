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
    #[arg(long)]
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
