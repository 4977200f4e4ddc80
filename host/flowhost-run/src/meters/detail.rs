//! What one call used, as the host measures it: for its record, its step and whoever pays.

use flowhost_ledger::records::UsedPart;
use serde::{Deserialize, Serialize};

/// What one call used, beyond what budgets count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// Fuel units.
    pub fuel: u64,
    /// Peak bytes of memories and tables.
    pub memory_bytes: u64,
    /// Calls from guest to host.
    pub host_calls: u64,
    /// Bytes handed back.
    pub output_bytes: u64,
    /// Bytes of log lines.
    pub log_bytes: u64,
    /// Bytes of records and payloads, those of what it called included.
    pub evidence_bytes: u64,
    /// Milliseconds that the guest was told it had.
    pub told_ms: u64,
}

impl Detail {
    /// Sums what adds up and keeps the peak of what does not.
    pub(crate) fn add(&mut self, other: &Self) {
        self.fuel = self.fuel.saturating_add(other.fuel);
        self.memory_bytes = self.memory_bytes.max(other.memory_bytes);
        self.host_calls = self.host_calls.saturating_add(other.host_calls);
        self.output_bytes = self.output_bytes.saturating_add(other.output_bytes);
        self.log_bytes = self.log_bytes.saturating_add(other.log_bytes);
        // A caller's count has what it called in it, so that the largest is the whole.
        self.evidence_bytes = self.evidence_bytes.max(other.evidence_bytes);
        // What the call itself was told; others were told in calls of their own.
        self.told_ms = self.told_ms.max(other.told_ms);
    }
}

impl From<flowhost_engine::Used> for Detail {
    fn from(used: flowhost_engine::Used) -> Self {
        Self {
            fuel: used.fuel,
            memory_bytes: used.memory_bytes,
            host_calls: used.host_calls,
            output_bytes: used.output_bytes,
            log_bytes: used.log_bytes,
            evidence_bytes: used.evidence_bytes,
            told_ms: used.told_ms,
        }
    }
}

/// All that a call used, as the record of its result has it: most calls ask nothing of the host and log
/// nothing, and say so by saying nothing.
pub(crate) fn measured(used: &flowhost_engine::Used) -> UsedPart {
    let some = |amount: u64| (amount > 0).then_some(amount);
    UsedPart {
        fuel: Some(used.fuel),
        memory_bytes: Some(used.memory_bytes),
        host_calls: some(used.host_calls),
        output_bytes: Some(used.output_bytes),
        log_bytes: some(used.log_bytes),
        evidence_bytes: Some(used.evidence_bytes),
        duration_ms: Some(used.duration_ms),
        told_ms: Some(used.told_ms),
    }
}
