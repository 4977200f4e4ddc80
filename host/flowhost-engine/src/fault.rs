//! Why a call ended badly, and whose fault it is: the same word in the log, the ledger and the exit
//! code.

use flowhost_ledger::LedgerError;
use flowhost_policy::Denied;

use crate::bindings::types;
use crate::shortfall::Shortfall;

pub use flowhost_ledger::records::Owner;

/// A typed fault. Raised inside host functions (as `wasmtime::Error::new(fault)`) it kills the call.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A limit was reached; numbers in the limit's own unit.
    #[error("{}", reached(name, *used, *allowed))]
    Limit {
        /// The limit's profile key: `memory`, `fuel`, `deadline`, `output`, `host_calls`, `handles`, …
        name: &'static str,
        /// What was used or asked for.
        used: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// A budget of tokens or money does not pay for a model call.
    #[error("{0}")]
    Budget(Shortfall),
    /// A rule said no, or a granted interface is missing.
    #[error("denied: {} wants {}, rule {}", .0.right, .0.wanted, .0.rule)]
    Denied(Denied),
    /// The guest trapped, broke the canonical ABI or never answered properly.
    #[error("the component trapped: {message}")]
    Trap {
        /// wasmtime's word for it, neutralised.
        message: String,
    },
    /// The guest's functions have other types than the contract's, whose first version changed before it was closed.
    #[error("the component {}: {why}", EARLIER_CONTRACT)]
    Unfit {
        /// wasmtime's word for the difference, neutralised.
        why: String,
    },
    /// The guest answered with an error of its own.
    #[error("the component answered `{class}`: {message}")]
    Guest {
        /// `invalid`, `transient`, `failed` or `conflict`.
        class: &'static str,
        /// The guest's text, neutralised and bounded.
        message: String,
    },
    /// A file of the folder's is wrong, which no guest can help.
    #[error("{message}")]
    Folder {
        /// Which, and what is wrong with it.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The ledger takes no more; the run must stop.
    #[error("the ledger stopped the call")]
    Ledger(#[source] LedgerError),
    /// The host itself failed.
    #[error("host failure: {0}")]
    Host(String),
}

/// What is said of a component whose types are others than this host's; one for a later contract is refused by its version.
pub const EARLIER_CONTRACT: &str = "was built against an earlier contract than this host's";

/// What to do about that.
pub const BUILD_ANEW: &str = "build it anew with the SDK of this flowhost";

/// What is said of a call that began when its time was over already: it used none of a limit that it had none of.
pub const NO_TIME_LEFT: &str =
    "no time was left for the call: what its step or its run may take was used up before it";

/// A limit that was reached.
fn reached(name: &str, used: u64, allowed: u64) -> String {
    match (name, allowed) {
        ("deadline", 0) => NO_TIME_LEFT.to_owned(),
        _ => format!("the limit `{name}` was reached: used {used}, allowed {allowed}"),
    }
}

impl Fault {
    /// Whose fault it is.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        match self {
            Self::Limit { .. } | Self::Budget(_) => Owner::Limit,
            Self::Denied(_) => Owner::Policy,
            Self::Folder { .. } => Owner::Plan,
            Self::Trap { .. } | Self::Unfit { .. } | Self::Guest { .. } | Self::Cancelled => {
                Owner::Guest
            }
            Self::Ledger(_) | Self::Host(_) => Owner::Host,
        }
    }
}

/// A full account of evidence is the call's limit and no failure of the ledger.
impl From<LedgerError> for Fault {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Limit {
                name,
                used,
                allowed,
            } => Self::Limit {
                name,
                used,
                allowed,
            },
            error => Self::Ledger(error),
        }
    }
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

/// A refused argument as the guest reads it: a typed error, never a trap.
impl From<&Denied> for types::Error {
    fn from(denied: &Denied) -> Self {
        Self::Denied(types::Denial {
            right: denied.right.to_owned(),
            wanted: denied.wanted.clone(),
            rule: denied.rule.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(used: u64, allowed: u64) -> String {
        let name = "deadline";
        Fault::Limit {
            name,
            used,
            allowed,
        }
        .to_string()
    }

    #[test]
    fn a_call_that_began_too_late_is_not_told_of_a_limit_that_it_never_had() {
        assert_eq!(late(0, 0), NO_TIME_LEFT);
        assert_eq!(late(1, 0), NO_TIME_LEFT);
        assert_eq!(
            late(201, 200),
            "the limit `deadline` was reached: used 201, allowed 200"
        );
    }
}
