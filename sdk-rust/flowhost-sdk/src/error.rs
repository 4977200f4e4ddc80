//! Short names for the errors that a plugin answers with. The host maps each to retry, exit code and
//! ledger, so the choice matters: `invalid`, `failed` and `conflict` are never retried, `transient` is.

use std::fmt::Display;

use crate::Error;

impl Error {
    /// The input is wrong and will stay wrong.
    pub fn invalid(message: impl Display) -> Self {
        Self::Invalid(message.to_string())
    }

    /// It may work next time.
    pub fn transient(message: impl Display) -> Self {
        Self::Transient(message.to_string())
    }

    /// It did not work and will not.
    pub fn failed(message: impl Display) -> Self {
        Self::Failed(message.to_string())
    }

    /// The world is not as the call needs it: it is there already, or somebody was faster.
    pub fn conflict(message: impl Display) -> Self {
        Self::Conflict(message.to_string())
    }

    /// The plugin has no tool of that name.
    #[must_use]
    pub fn unknown_tool(name: &str) -> Self {
        Self::Invalid(format!("this plugin has no tool `{name}`"))
    }
}
