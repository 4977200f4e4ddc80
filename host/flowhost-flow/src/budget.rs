//! What a run may use, who has reserved how much of it, and what was used.

use serde::{Deserialize, Serialize};

/// An amount in each of the four currencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// Calls of plugins.
    pub calls: u64,
    /// Units of wasm fuel.
    pub fuel: u64,
    /// Model tokens, prompt and completion.
    pub tokens: u64,
    /// Millionths of a US dollar.
    pub micro_usd: u64,
}

/// A budget as the plan states it, with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BudgetSpec {
    /// What may be used at most.
    pub limit: Amounts,
    /// Shares in thousandths at which a warning is given, ascending.
    pub warn_at_milli: Vec<u32>,
    /// What happens at the limit.
    pub on_exceeded: OnExceeded,
}

/// What happens when a budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceeded {
    /// The step that wanted more fails with class `budget`.
    Halt,
    /// A recorded warning.
    Warn,
}
