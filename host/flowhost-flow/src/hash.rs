//! Identity: the plan's hash, the run's id, the steps' ids.

use std::collections::BTreeMap;

use crate::plan::Plan;

/// What a plugin was resolved to; part of the plan's hash.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ResolvedPlugin {
    /// SHA-256 of the component, lower-case hex.
    pub component_sha256: String,
    /// SHA-256 of the effective profile, lower-case hex.
    pub profile_sha256: String,
}

/// SHA-256 over the canonical form (RFC 8785) of the resolved plan, lower-case hex. `plugins` by key
/// as in [`Plan::all_plugins`]; `files` are the hashes of file inputs by name.
#[must_use]
pub fn plan_hash(plan: &Plan, plugins: &BTreeMap<String, ResolvedPlugin>) -> String {
    let _ = (plan, plugins);
    String::new()
}

/// A run's id: a ULID from a time in milliseconds since the Unix epoch and 80 random bits.
#[must_use]
pub fn run_id(unix_ms: u64, random: [u8; 10]) -> String {
    let _ = (unix_ms, random);
    String::new()
}

/// A step's id: 32 hex digits from plan hash and path.
#[must_use]
pub fn step_id(plan_hash: &str, path: &str) -> String {
    let _ = (plan_hash, path);
    String::new()
}
