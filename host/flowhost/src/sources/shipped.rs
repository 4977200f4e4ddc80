//! The profiles that are part of this build: they mean the same everywhere, and no other file takes their names.

/// The profiles that are part of this build, deny-all first.
pub const SHIPPED: &[(&str, &str)] = &[
    (
        "deny-all",
        include_str!("../../../../policies/deny-all.toml"),
    ),
    (
        "guardrail-pure",
        include_str!("../../../../policies/guardrail-pure.toml"),
    ),
    (
        "tool-pure",
        include_str!("../../../../policies/tool-pure.toml"),
    ),
    (
        "tool-readonly",
        include_str!("../../../../policies/tool-readonly.toml"),
    ),
    (
        "tool-workspace",
        include_str!("../../../../policies/tool-workspace.toml"),
    ),
    (
        "networked-tool",
        include_str!("../../../../policies/networked-tool.toml"),
    ),
    (
        "agent-model",
        include_str!("../../../../policies/agent-model.toml"),
    ),
    (
        "agent-any-model",
        include_str!("../../../../policies/agent-any-model.toml"),
    ),
    (
        "mcp-local",
        include_str!("../../../../policies/mcp-local.toml"),
    ),
];

/// Whether a plan that names this profile means a shipped one.
#[must_use]
pub fn is_shipped(wanted: &str) -> bool {
    SHIPPED.iter().any(|(name, _)| *name == wanted)
}
