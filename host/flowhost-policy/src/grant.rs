//! What a plugin holds once manifest, profile, plan and caller have been intersected.
//!
//! The default of every type here grants nothing. A limit is a number and never an `Option`:
//! "unlimited" cannot be written down.

use crate::rights::{Grants, Right};

/// The limits of one call of one plugin. [`Limits::default`] is what an empty `[limits]` gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all linear memories and tables of the instance together. At it: `memory.grow` fails.
    pub memory_bytes: u64,
    /// Fuel units per call. At it: the call is killed.
    pub fuel: u64,
    /// Wall clock per call in milliseconds, host calls included. At it: the call is killed.
    pub deadline_ms: u64,
    /// Bytes the guest may hand back per call. Over it: the call fails; what is more than a granted host call
    /// could take over as well is not even copied.
    pub output_bytes: u64,
    /// Bytes of log lines per call; the rest is dropped with one record that says how much.
    pub log_bytes: u64,
    /// Bytes of records and payloads per call, those of what it calls included. At it: the call is killed.
    pub evidence_bytes: u64,
    /// Calls from guest to host per call. At it: the call is killed.
    pub host_calls: u64,
    /// Live handles (resources) per instance. At it: the call is killed.
    pub handles: u64,
    /// Undelivered messages in the plugin's mailbox. At it: the sender is told it is full.
    pub queue: u64,
    /// Instances of the plugin alive at once. At it: the next call waits.
    pub instances: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // With `instances` half a GiB for one plugin at its busiest.
            memory_bytes: 64 << 20,
            // About a second of computing: the engine takes 20 million for a tick of a hundredth.
            fuel: 2_000_000_000,
            // Nothing measured stands behind it: at half of it slow answers of models would be cut,
            // at double a server that hangs would hold its caller a minute.
            deadline_ms: 30_000,
            output_bytes: 1 << 20,
            log_bytes: 256 << 10,
            // A sixty-fourth of what a run may leave (`run.evidence`), so that no single call fills
            // it.
            evidence_bytes: 64 << 20,
            host_calls: 100_000,
            handles: 1_024,
            queue: 256,
            instances: 8,
        }
    }
}

/// The effective right of a plugin in a plan: manifest ∩ profile ∩ plan ∩ caller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effective {
    /// The plugin's name in the plan.
    pub plugin: String,
    /// The profile's name.
    pub profile: String,
    /// `sha256:` of the canonical effective profile.
    pub hash: String,
    /// Limits, each the smallest of all that were named.
    pub limits: Limits,
    /// Rights.
    pub grants: Grants,
}

impl Effective {
    /// Whether the interfaces of the right with this profile key are linked.
    #[must_use]
    pub fn links(&self, key: &str) -> bool {
        Right::of(key).is_some_and(|right| right.is_linked(self))
    }
}
