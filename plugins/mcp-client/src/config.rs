//! The plan's `config`: where the server is, and which era is spoken with it.

use serde::{Deserialize, Serialize};

/// What the plan says.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The endpoint: `http://127.0.0.1:8765/mcp`. Without one the server is the process that the profile
    /// names, and is spoken to over its standard streams.
    #[serde(default)]
    pub(crate) url: Option<String>,
    /// Which era is spoken.
    #[serde(default)]
    pub(crate) era: Wanted,
    /// What of the server is offered beside its tools, as tools.
    #[serde(default)]
    pub(crate) offer: Vec<Extra>,
}

/// What a server may have beside tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Extra {
    /// Things to read.
    Resources,
    /// Texts for models, to be filled in.
    Prompts,
}

impl Extra {
    /// The word of the protocol's capabilities.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Resources => "resources",
            Self::Prompts => "prompts",
        }
    }
}

/// Which era is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Wanted {
    /// The newest that the server speaks, found by asking.
    #[default]
    Auto,
    /// Revisions from 2026-07-28 alone.
    Modern,
    /// Revisions to 2025-11-25 alone.
    Legacy,
}
