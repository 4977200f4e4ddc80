//! Every knob of the one wasmtime engine, set by name. What is not listed here is off: proposals are
//! a list of what is on, so that a new one in a new wasmtime cannot slip in by default.
//!
//! The compile child builds its engine from the same function, so the two agree by construction.
//! The test of this file reads each value back from a built engine (OPS-009).

use std::num::NonZeroUsize;

use wasmparser::WasmFeatures;
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, Strategy,
    WasmBacktraceDetails,
};

/// Bytes of stack a guest may use. QuickJS needs more than wasmtime's 512 KiB at a call depth of
/// 1,000; over it the guest traps.
pub(crate) const WASM_STACK_BYTES: usize = 2 << 20;

/// Bytes of a fiber's stack: the guest's share and 1 MiB for host functions above it.
pub(crate) const FIBER_STACK_BYTES: usize = 3 << 20;

/// Reserved address space per memory: all that a 32-bit memory can name, so that bounds checks
/// become guard pages.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Guard after each memory: covers the largest constant offset that is compiled without a check.
const MEMORY_GUARD_BYTES: u64 = 32 << 20;

/// Bytes of a slot that are reset in place rather than given back to the kernel. Only worth it where
/// `PAGEMAP_SCAN` (Linux 6.7) finds the touched pages; elsewhere a small part is rewritten.
const KEEP_RESIDENT_BYTES: usize = 8 << 20;
/// Where the kernel cannot say which pages were written, this much is zeroed for each call instead.
const KEEP_RESIDENT_BYTES_WITHOUT_SCAN: usize = 128 << 10;

/// Core instances, memories and tables of one component. CPython links about twenty modules; five times as
/// many is room for a larger one, and the pool reserves a slot for each.
pub(crate) const CORE_INSTANCES_PER_COMPONENT: u32 = 100;
pub(crate) const MEMORIES_PER_COMPONENT: u32 = 16;
pub(crate) const TABLES_PER_COMPONENT: u32 = 32;

/// Elements of one table; more cannot be asked for even when the memory limit would allow it.
pub(crate) const TABLE_ELEMENTS: usize = 100_000;

/// Frames of a trap that are named in its message; function names help whoever wrote the guest.
const BACKTRACE_FRAMES: usize = 8;

/// The proposals that are on: WebAssembly 2.0 without garbage-collected references, constant
/// expressions, and components. Everything else is rejected before compiling.
pub(crate) fn features() -> WasmFeatures {
    WasmFeatures::WASM2
        .difference(WasmFeatures::GC_TYPES)
        .union(WasmFeatures::EXTENDED_CONST)
        .union(WasmFeatures::COMPONENT_MODEL)
}

/// What the engine itself is built with: one proposal more than a guest may use. Where one part of a
/// component calls another, wasmtime generates a module that copies between their two memories, and
/// that module needs multiple memories. Guests' own modules are validated under [`features`] before.
pub(crate) fn engine_features() -> WasmFeatures {
    features().union(WasmFeatures::MULTI_MEMORY)
}

/// How many guests can be alive at once in this process, all plugins together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolConfig {
    /// Memory slots. An instance takes one for each memory it defines, at least one; when none is
    /// free, the next call waits until its deadline. Each slot reserves address space, not memory.
    pub slots: u32,
    /// Slots kept warm after use: their pages stay resident for the next instance.
    pub warm_slots: u32,
}

impl Default for PoolConfig {
    /// 1,024 slots (4 TiB of the 128 TiB of address space), 64 of them warm.
    fn default() -> Self {
        Self {
            slots: 1_024,
            warm_slots: 64,
        }
    }
}

/// What decides how code is compiled: the same for the host and the compile child.
pub(crate) fn compiling() -> Config {
    let mut config = Config::new();
    config
        .strategy(Strategy::Cranelift)
        .wasm_features(WasmFeatures::all().difference(engine_features()), false)
        .wasm_features(engine_features(), true)
        // Component-model async, which no role of ours has.
        .concurrency_support(false)
        .shared_memory(false)
        // Both: fuel bounds work and is the same on every machine, the epoch bounds time and is
        // not.
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        // Reserved at its largest, so that no growth copies and no pointer of compiled code
        // changes.
        .memory_may_move(false)
        .guard_before_linear_memory(true)
        .memory_init_cow(true)
        .table_lazy_init(true)
        .signals_based_traps(true)
        // A replay on another processor must compute the same bits.
        .cranelift_nan_canonicalization(true)
        // The same reason; relaxed SIMD is off, and stays harmless should it be turned on.
        .relaxed_simd_deterministic(true)
        .debug_info(false)
        // Offsets into the guest's code help nobody who has no debugger; function names come
        // without them.
        .generate_address_map(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // For debuggers and profilers outside; wasmtime walks its frames by their pointers.
        .native_unwind_info(false)
        .parallel_compilation(true);
    config
}

/// The configuration of the running engine.
pub(crate) fn running(pool: PoolConfig) -> Config {
    let mut config = compiling();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling(pool)));
    config
}

fn pooling(pool: PoolConfig) -> PoolingAllocationConfig {
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let keep = if scan {
        KEEP_RESIDENT_BYTES
    } else {
        KEEP_RESIDENT_BYTES_WITHOUT_SCAN
    };
    let mut pooling = PoolingAllocationConfig::new();
    pooling
        .total_component_instances(pool.slots)
        .total_memories(pool.slots)
        // Toolchains that link modules dynamically need more tables than memories; `weight` counts
        // with the same two.
        .total_tables(pool.slots.saturating_mul(2))
        .total_stacks(pool.slots)
        .total_core_instances(pool.slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        // A guest's own module has one (multiple memories are off); adapters that wasmtime
        // generates import theirs.
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(pool.warm_slots)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(keep)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    pooling
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ops_009_every_knob_of_the_built_engine_is_what_we_set() {
        let engine = wasmtime::Engine::new(&running(PoolConfig::default())).unwrap();
        let config = &engine;
        assert_eq!(config.get_wasm_features(), engine_features());
        assert_eq!(
            engine_features().difference(features()),
            WasmFeatures::MULTI_MEMORY
        );
        assert!(matches!(config.get_strategy(), Some(Strategy::Cranelift)));
        assert!(config.get_consume_fuel() && config.get_epoch_interruption());
        assert!(!config.get_concurrency_support() && !config.get_shared_memory());
        assert_eq!(config.get_max_wasm_stack(), 2 << 20);
        assert_eq!(config.get_async_stack_size(), 3 << 20);
        assert_eq!(config.get_memory_reservation(), 4 << 30);
        assert_eq!(config.get_memory_guard_size(), 32 << 20);
        assert!(config.get_guard_before_linear_memory() && config.get_memory_init_cow());
        assert!(!config.get_memory_may_move() && config.get_table_lazy_init());
        assert!(config.get_signals_based_traps());
        assert_eq!(config.get_cranelift_nan_canonicalization(), Some(true));
        assert!(config.get_relaxed_simd_deterministic());
        assert!(!config.get_debug_info() && !config.get_guest_debug());
        assert!(!config.get_generate_address_map());
        assert_eq!(config.get_wasm_backtrace_max_frames(), BACKTRACE_FRAMES);
    }

    #[test]
    fn ops_009_every_knob_of_the_pool_is_what_we_set() {
        let engine = wasmtime::Engine::new(&running(PoolConfig::default())).unwrap();
        let pool = engine.get_pooling_config().unwrap();
        assert_eq!(pool.get_total_component_instances(), 1_024);
        assert_eq!(pool.get_total_memories(), 1_024);
        assert_eq!(pool.get_total_tables(), 2_048);
        assert_eq!(pool.get_total_stacks(), 1_024);
        assert_eq!(pool.get_max_core_instances_per_component(), 100);
        assert_eq!(pool.get_max_memories_per_component(), 16);
        assert_eq!(pool.get_max_tables_per_component(), 32);
        assert_eq!(pool.get_max_memories_per_module(), 1);
        assert_eq!(pool.get_table_elements(), 100_000);
        assert_eq!(pool.get_max_unused_warm_slots(), 64);
        let scan = PoolingAllocationConfig::is_pagemap_scan_available();
        let keep = if scan { 8 << 20 } else { 128 << 10 };
        assert_eq!(pool.get_memory_keep_resident(), keep);
    }

    #[test]
    fn ops_009_proposals_that_later_wasmtimes_may_turn_on_are_off() {
        let on = features();
        for off in [
            WasmFeatures::THREADS,
            WasmFeatures::GC,
            WasmFeatures::GC_TYPES,
            WasmFeatures::FUNCTION_REFERENCES,
            WasmFeatures::EXCEPTIONS,
            WasmFeatures::LEGACY_EXCEPTIONS,
            WasmFeatures::STACK_SWITCHING,
            WasmFeatures::MEMORY64,
            WasmFeatures::MULTI_MEMORY,
            WasmFeatures::TAIL_CALL,
            WasmFeatures::RELAXED_SIMD,
            WasmFeatures::CUSTOM_PAGE_SIZES,
            WasmFeatures::WIDE_ARITHMETIC,
            WasmFeatures::CM_ASYNC,
            WasmFeatures::CM_GC,
            WasmFeatures::CM_THREADING,
        ] {
            assert!(!on.intersects(off), "{off:?}");
        }
    }

    #[test]
    fn the_compile_child_makes_code_that_the_running_engine_takes() {
        let child = wasmtime::Engine::new(&compiling()).unwrap();
        let host = wasmtime::Engine::new(&running(PoolConfig::default())).unwrap();
        assert_eq!(
            crate::cache::environment(&child),
            crate::cache::environment(&host)
        );
    }
}
