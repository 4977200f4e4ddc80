//! The limits that the engine itself enforces on a store, and what hitting one is called.
//!
//! wasmtime limits each memory and each table; a plugin's limit is on all of them together, so the
//! sums are kept here. `host_calls` and `log` are charged by the capabilities through the scope.

use flowhost_policy::Limits;
use wasmtime::component::ResourceTableError;
use wasmtime::{ResourceLimiter, Trap, WasmBacktrace};

use crate::fault::Fault;
use crate::knobs;
use crate::text::{MESSAGE_CHARS, neutralise};

/// Bytes that one table element takes in the host. A guest's tables lie in the host's memory, so they count
/// against its limit as its own memory does.
const TABLE_ELEMENT_BYTES: u64 = size_of::<usize>() as u64;

/// Room for what a result carries beside its payload: discriminants, lengths, short strings.
pub(crate) const RESULT_OVERHEAD_BYTES: u64 = 4 << 10;

/// wasmtime's words when a guest hands over more bytes than its hostcall fuel. The error has no
/// public type; a test pins the words.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// wasmtime's words when a guest holds too many component handles; pinned by a test as well.
const HANDLES: &str = "store handle limit exceeded";

/// wasmtime's words when an export has other types than the host asks for; pinned by a test as well.
const OTHER_TYPES: &str = "failed to convert function to given type";

/// Sums memories and tables of one store.
#[derive(Debug)]
pub(crate) struct Limiter {
    allowed: u64,
    used: u64,
    peak: u64,
    /// The last approved growth, undone when it fails after all.
    pending: u64,
    /// What the sum would have become when growth was first refused.
    refused: Option<u64>,
}

impl Limiter {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            allowed: limits.memory_bytes,
            used: 0,
            peak: 0,
            pending: 0,
            refused: None,
        }
    }

    /// Largest sum so far, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// The limit as a fault, when growth was ever refused.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let used = self.refused?;
        Some(Fault::Limit {
            name: "memory",
            used,
            allowed: self.allowed,
        })
    }

    fn grow(&mut self, bytes: u64, fits_object: bool) -> bool {
        let wanted = self.used.saturating_add(bytes);
        if wanted > self.allowed || !fits_object {
            // The first refusal: a guest that asks again, for less, would hide what it needed.
            self.refused.get_or_insert(wanted);
            return false;
        }
        self.used = wanted;
        self.peak = self.peak.max(wanted);
        self.pending = bytes;
        true
    }

    fn undo(&mut self) {
        self.used = self.used.saturating_sub(self.pending);
        self.pending = 0;
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = desired.saturating_sub(current) as u64;
        Ok(self.grow(bytes, maximum.is_none_or(|maximum| desired <= maximum)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current) as u64;
        let bytes = elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes, maximum.is_none_or(|maximum| desired <= maximum)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn instances(&self) -> usize {
        knobs::CORE_INSTANCES_PER_COMPONENT as usize
    }

    fn tables(&self) -> usize {
        knobs::TABLES_PER_COMPONENT as usize
    }

    fn memories(&self) -> usize {
        knobs::MEMORIES_PER_COMPONENT as usize
    }
}

/// What ended a call, as a typed fault.
/// `hostcall_bytes` is what the guest was allowed to hand over at once.
pub(crate) fn classify(
    error: &wasmtime::Error,
    limiter: &Limiter,
    limits: &Limits,
    hostcall_bytes: u64,
) -> Fault {
    // Ours first: what a host function raised is the reason, whatever wasmtime wrapped around it.
    if let Some(fault) = error.downcast_ref::<Fault>() {
        return fault.clone();
    }
    if let Some(Trap::OutOfFuel) = error.downcast_ref::<Trap>() {
        return Fault::Limit {
            name: "fuel",
            used: limits.fuel,
            allowed: limits.fuel,
        };
    }
    if error.is::<wasmtime::PoolConcurrencyLimitError>() {
        // Not the guest's fault: a call waits for slots before, so that the pool never is full
        // here.
        return Fault::Host(format!("the instance pool is too small: {error}"));
    }
    let cause = error.root_cause().to_string();
    if error
        .chain()
        .any(|part| part.to_string().contains(OTHER_TYPES))
    {
        return Fault::Unfit {
            why: neutralise(&cause, MESSAGE_CHARS),
        };
    }
    if cause.contains(HOSTCALL_FUEL) {
        let allowed = hostcall_bytes.saturating_sub(RESULT_OVERHEAD_BYTES);
        return Fault::Limit {
            name: "output",
            used: allowed.saturating_add(1),
            allowed,
        };
    }
    if cause.contains(HANDLES) || matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        let allowed = limits.handles;
        return Fault::Limit {
            name: "handles",
            used: allowed.saturating_add(1),
            allowed,
        };
    }
    // A guest whose growth was refused ends itself, as a rule by `unreachable` in its allocator:
    // the limit is what it has to hear of. One that traps for another reason later is told the
    // limit too.
    limiter.fault().unwrap_or_else(|| trap(error, &cause))
}

fn trap(error: &wasmtime::Error, cause: &str) -> Fault {
    let frames = error
        .downcast_ref::<WasmBacktrace>()
        .map(WasmBacktrace::frames);
    let names = frames
        .unwrap_or_default()
        .iter()
        .filter_map(|frame| frame.func_name())
        // Where it happened and who called: of a deep recursion all frames are alike.
        .take(3);
    let place = names.collect::<Vec<_>>().join(" < ");
    let text = if place.is_empty() {
        cause.to_owned()
    } else {
        format!("{cause} (in {place})")
    };
    Fault::Trap {
        message: neutralise(&text, MESSAGE_CHARS),
    }
}
