//! What a worker asks of the process that drives its run: to record facts, to hold money, and what became
//! of a call that somebody else had begun.
//!
//! There is one ledger and one purse in a run, and both are the driver's; a worker has neither. In one
//! process it is handed them behind these traits. In another process the same questions travel as
//! envelopes (`remote`), and are answered from the same ledger and the same purse (`serve`), so that the
//! evidence and the budget do not depend on where a call is performed. A worker must never keep an answer
//! that the next worker would need.

mod recall;
mod remote;
mod serve;
mod wire;

pub(crate) use crate::meters::funds::{Funds, Payer};
pub(crate) use recall::{Found, ON_START, Recalled, Recording};
pub(crate) use remote::Remote;
pub(crate) use serve::{Desk, Greeting};

/// What the record says of calls, and of agents.
pub(crate) trait Recall: Send + Sync + 'static {
    /// How far the planner's call `call` came. Asked by a worker that is handed an order for the second
    /// time: whoever had it before is gone, with all that it held.
    fn found(&self, call: u64) -> Found;

    /// The agents whose `on-start` has gone well, by key and revision.
    fn started(&self) -> Vec<(String, u64)>;

    /// Whether an agent had read a message when another process of the run ended. Each of its patterns is handed the
    /// message once, so a reading is told of once, to whichever worker asks.
    fn had_read(&self, agent: &str, message: &str) -> bool;

    /// The agents that another process of the run had told that the run is over.
    fn finished(&self) -> Vec<String>;
}
