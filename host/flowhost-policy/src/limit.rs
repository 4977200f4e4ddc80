//! The limits there are: one list that the profile reader, the plan, `policy explain` and the
//! manual all walk.
//!
//! Every limit has a floor and a ceiling. The ceiling is what this host is built and tested for, so
//! that a typing error (`64GiB` for `64MiB`) is refused instead of believed; none can be zero or
//! unlimited.

use crate::{
    grant::Limits,
    unit::{self, Unit},
};

/// One limit of `[limits]`.
#[derive(Debug, Clone, Copy)]
pub struct LimitSpec {
    /// Its key in the profile.
    pub key: &'static str,
    /// How its value is written.
    pub unit: Unit,
    /// Smallest value that makes sense.
    pub floor: u64,
    /// Largest value that is accepted.
    pub ceiling: u64,
    /// What it counts and what happens at it.
    pub doc: &'static str,
    get: fn(&Limits) -> u64,
    set: fn(&mut Limits, u64),
}

impl LimitSpec {
    /// Its value in `limits`.
    #[must_use]
    pub fn get(&self, limits: &Limits) -> u64 {
        (self.get)(limits)
    }

    /// Sets its value in `limits`.
    pub(crate) fn set(&self, limits: &mut Limits, value: u64) {
        (self.set)(limits, value);
    }

    /// What an empty `[limits]` gives.
    #[must_use]
    pub fn default(&self) -> u64 {
        self.get(&Limits::default())
    }

    /// `value` in this limit's unit: `64MiB`, `30s`, `100_000`.
    #[must_use]
    pub fn show(&self, value: u64) -> String {
        unit::show(self.unit, value)
    }

    /// The limit with this key.
    #[must_use]
    pub fn of(key: &str) -> Option<&'static Self> {
        LIMITS.iter().find(|spec| spec.key == key)
    }
}

/// All limits, in the order in which they are explained.
pub static LIMITS: [LimitSpec; 10] = [
    LimitSpec {
        key: "memory",
        unit: Unit::Bytes,
        floor: 64 << 10,
        // All that a 32-bit memory can name.
        ceiling: 4 << 30,
        doc: "All linear memories and tables of an instance together; memory.grow fails at it.",
        get: |limits| limits.memory_bytes,
        set: |limits, value| limits.memory_bytes = value,
    },
    LimitSpec {
        key: "fuel",
        unit: Unit::Count,
        floor: 1,
        // More than the longest deadline lets anything burn, so that it is the deadline that bounds
        // a long call.
        ceiling: 1_000_000_000_000_000,
        doc: "Fuel units per call, about one per instruction; the call is killed at it.",
        get: |limits| limits.fuel,
        set: |limits, value| limits.fuel = value,
    },
    LimitSpec {
        key: "deadline",
        unit: Unit::Millis,
        floor: 1,
        ceiling: 24 * 3_600_000,
        doc: "Wall clock per call, host calls included; the call is killed at it.",
        get: |limits| limits.deadline_ms,
        set: |limits, value| limits.deadline_ms = value,
    },
    LimitSpec {
        key: "output",
        unit: Unit::Bytes,
        floor: 1,
        ceiling: 256 << 20,
        doc: "What the guest may hand back per call; over it the call fails.",
        get: |limits| limits.output_bytes,
        set: |limits, value| limits.output_bytes = value,
    },
    LimitSpec {
        key: "log",
        unit: Unit::Bytes,
        floor: 1,
        ceiling: 64 << 20,
        doc: "Log lines per call; the rest is dropped with one record that says how much.",
        get: |limits| limits.log_bytes,
        set: |limits, value| limits.log_bytes = value,
    },
    LimitSpec {
        key: "evidence",
        unit: Unit::Bytes,
        // Below it not even the records of an ordinary call would fit.
        floor: 16 << 10,
        // What a whole run may leave.
        ceiling: 4 << 30,
        doc: "Records and payloads per call, those of what it calls included; the call is killed at it.",
        get: |limits| limits.evidence_bytes,
        set: |limits, value| limits.evidence_bytes = value,
    },
    LimitSpec {
        key: "host_calls",
        unit: Unit::Count,
        floor: 1,
        ceiling: 100_000_000,
        doc: "Calls from guest to host per call; the call is killed at it.",
        get: |limits| limits.host_calls,
        set: |limits, value| limits.host_calls = value,
    },
    LimitSpec {
        key: "handles",
        unit: Unit::Count,
        floor: 1,
        ceiling: 1_000_000,
        doc: "Live handles of an instance; the call is killed at it.",
        get: |limits| limits.handles,
        set: |limits, value| limits.handles = value,
    },
    LimitSpec {
        key: "queue",
        unit: Unit::Count,
        floor: 1,
        // A mailbox is bounded in bytes as well (16 MiB), which larger messages come to first.
        ceiling: 65_536,
        doc: "Undelivered messages in the mailbox; the sender is told that it is full.",
        get: |limits| limits.queue,
        set: |limits, value| limits.queue = value,
    },
    LimitSpec {
        key: "instances",
        unit: Unit::Count,
        floor: 1,
        // As many as the engine's pool has slots.
        ceiling: 1_024,
        doc: "Instances of the plugin alive at once; the next call waits.",
        get: |limits| limits.instances,
        set: |limits, value| limits.instances = value,
    },
];
