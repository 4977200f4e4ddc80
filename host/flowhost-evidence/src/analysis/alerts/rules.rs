//! Thresholds of alerts: what `policies/alerts.toml` may say, and what holds where it says nothing.

use serde::{Deserialize, Serialize};

/// All thresholds. The default is what `policies/alerts.toml` of this repository says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Of the file's form.
    pub version: Version,
    /// A stage that costs far more than it used to.
    pub stage_cost: StageCost,
    /// Agents that disagree in most stages.
    pub disagreement_rate: DisagreementRate,
    /// Checks of one run that do not hold.
    pub failed_checks: FailedChecks,
    /// A spec that is escalated again and again.
    pub escalations: Escalations,
}

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u32);

impl Default for Version {
    fn default() -> Self {
        Self(1)
    }
}

/// `[stage_cost]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StageCost {
    /// How many times the 95th percentile of its earlier runs a stage may cost.
    pub factor: f64,
    /// Earlier runs of the stage under the same routing profile that are the least to compare with: a percentile of
    /// fewer is one run's whim.
    pub history_min: usize,
}

impl Default for StageCost {
    fn default() -> Self {
        Self {
            factor: 1.5,
            history_min: 5,
        }
    }
}

/// `[disagreement_rate]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisagreementRate {
    /// The share of consensus stages with a disagreement that is too many, when it is above this.
    pub over: f64,
    /// The last so many stages are looked at.
    pub window: usize,
    /// So many are the least: of two stages one is half.
    pub stages_min: usize,
}

impl Default for DisagreementRate {
    fn default() -> Self {
        Self {
            over: 0.5,
            window: 20,
            stages_min: 10,
        }
    }
}

/// `[failed_checks]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailedChecks {
    /// More failed checks of one run than this.
    pub over: usize,
}

impl Default for FailedChecks {
    fn default() -> Self {
        Self { over: 3 }
    }
}

/// `[escalations]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Escalations {
    /// More escalated stages of one spec than this,
    pub over: usize,
    /// within so many days: a spec of a year has had some.
    pub days: u32,
}

impl Default for Escalations {
    fn default() -> Self {
        Self { over: 3, days: 7 }
    }
}

/// Most stages that a window may have. All of it is counted anew at each stage.
const WINDOW_MAX: usize = 10_000;
/// Most days that escalations are counted over. Ten years: beyond it stands a slip of the keyboard.
const DAYS_MAX: u32 = 3_650;

/// A value that no alert could be raised by, or by which every stage would raise one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable {
    /// The table of the file.
    pub table: &'static str,
    /// Its key.
    pub key: &'static str,
    /// What may stand there.
    pub wanted: &'static str,
}

impl Rules {
    /// All values that make no sense.
    #[must_use]
    pub fn unusable(&self) -> Vec<Unusable> {
        let Self {
            version,
            stage_cost,
            disagreement_rate: rate,
            escalations,
            failed_checks: _,
        } = self;
        let factor = stage_cost.factor;
        let all = [
            (version.0 == 1, "", "version", "1"),
            (
                factor.is_finite() && factor >= 1.0,
                "stage_cost",
                "factor",
                "a number from 1.0 on",
            ),
            (
                stage_cost.history_min >= 1,
                "stage_cost",
                "history_min",
                "a whole number from 1 on",
            ),
            (
                (0.0..1.0).contains(&rate.over),
                "disagreement_rate",
                "over",
                "a share from 0.0 to below 1.0",
            ),
            (
                (1..=WINDOW_MAX).contains(&rate.window),
                "disagreement_rate",
                "window",
                "a whole number from 1 to 10000",
            ),
            (
                (1..=rate.window.max(1)).contains(&rate.stages_min),
                "disagreement_rate",
                "stages_min",
                "a whole number from 1 to `window`",
            ),
            (
                (1..=DAYS_MAX).contains(&escalations.days),
                "escalations",
                "days",
                "a whole number from 1 to 3650",
            ),
        ];
        let wrong = all.into_iter().filter(|(usable, ..)| !usable);
        wrong
            .map(|(_, table, key, wanted)| Unusable { table, key, wanted })
            .collect()
    }
}
