//! What a plugin is: one list for plans, manifests, components and records.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a plugin is. A component takes exactly one kind.
///
/// # Examples
///
/// ```
/// use flowhost_words::PluginKind;
///
/// assert_eq!(PluginKind::named("mcp_adapter"), Some(PluginKind::McpAdapter));
/// assert_eq!(PluginKind::McpAdapter.wit_name(), "mcp-adapter");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// Does a step's work with judgement, and reads messages.
    Agent,
    /// Functions with described input and output.
    Tool,
    /// Looks at values before and after a step.
    Guardrail,
    /// Speaks MCP to a server and offers its tools.
    McpAdapter,
}

impl PluginKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::Agent, Self::Tool, Self::Guardrail, Self::McpAdapter];

    /// The words of all kinds in plans and records, in the order of [`PluginKind::ALL`].
    pub const WORDS: [&'static str; 4] = [
        Self::Agent.as_str(),
        Self::Tool.as_str(),
        Self::Guardrail.as_str(),
        Self::McpAdapter.as_str(),
    ];

    /// The word in plans and records, which write all their words with `_`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Guardrail => "guardrail",
            Self::McpAdapter => "mcp_adapter",
        }
    }

    /// The name of the interface in `flowhost:roles`, and the word in manifests: an author writes it
    /// as the contract does, where names have no `_`.
    #[must_use]
    pub const fn wit_name(self) -> &'static str {
        match self {
            Self::McpAdapter => "mcp-adapter",
            other => other.as_str(),
        }
    }

    /// The kind with this word of plans.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_holds_the_word_of_plans() {
        for kind in PluginKind::ALL {
            let written = serde_json::to_value(kind).unwrap();
            assert_eq!(written, kind.as_str());
            assert_eq!(serde_json::from_value::<PluginKind>(written).unwrap(), kind);
        }
    }

    #[test]
    fn knows_no_kind_by_a_word_that_is_not_its_own() {
        for word in ["", "Tool", "mcp-adapter", "agents"] {
            assert_eq!(PluginKind::named(word), None, "{word}");
        }
        assert_eq!(
            PluginKind::WORDS.map(PluginKind::named),
            PluginKind::ALL.map(Some)
        );
    }

    #[test]
    fn the_contract_has_no_underscore() {
        for kind in PluginKind::ALL {
            assert_eq!(kind.wit_name(), kind.as_str().replace('_', "-"));
        }
    }
}
