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
const KEEP_RESIDENT_BYTES_WITHOUT_SCAN: usize = 128 << 10;

/// Core instances, memories and tables of one component. CPython links about twenty modules.
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
        .wasm_features(WasmFeatures::all().difference(features()), false)
        .wasm_features(features(), true)
        .concurrency_support(false)
        .shared_memory(false)
        .consume_fuel(true)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_may_move(false)
        .guard_before_linear_memory(true)
        .memory_init_cow(true)
        .table_lazy_init(true)
        .signals_based_traps(true)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .debug_info(false)
        .generate_address_map(false)
        .wasm_backtrace_max_frames(NonZeroUsize::new(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
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
        .total_tables(pool.slots.saturating_mul(2))
        .total_stacks(pool.slots)
        .total_core_instances(pool.slots.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memories_per_module(1)
        .max_tables_per_module(TABLES_PER_COMPONENT)
        .table_elements(TABLE_ELEMENTS)
        .max_unused_warm_slots(pool.warm_slots)
        .linear_memory_keep_resident(keep)
        .table_keep_resident(keep)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No });
    pooling
}
