//! The run's money, as whoever spends it sees it: behind a trait, because the purse may lie in another process.

use flowhost_caps::budget::Left;
use flowhost_caps::model::HoldId;
use flowhost_engine::{CallScope, Shortfall};
use serde::{Deserialize, Serialize};

/// Who spends: a plugin, within the call that all of it is done for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payer {
    pub(crate) plugin: String,
    /// The outermost call's id.
    pub(crate) root: String,
    /// The plugin's own ceiling for the whole run: tokens, then micro-USD.
    pub(crate) own: [u64; 2],
}

impl Payer {
    pub(crate) fn of(caller: &CallScope) -> Self {
        let grant = &caller.effective.grants.model;
        Self {
            plugin: caller.plugin.to_string(),
            root: caller.root.to_string(),
            own: [grant.tokens, grant.micro_usd],
        }
    }
}

/// The run's money.
pub(crate) trait Funds: Send + Sync + 'static {
    /// The smallest of what the plugin, its step's budget and the run have left.
    fn left(&self, payer: &Payer) -> Left;

    /// Holds `want` until it is settled.
    ///
    /// # Errors
    /// The first ceiling that has no room.
    fn hold(&self, payer: &Payer, want: Left) -> Result<HoldId, Shortfall>;

    /// Books what was spent and returns the rest.
    fn settle(&self, hold: HoldId, spent: Left);
}
