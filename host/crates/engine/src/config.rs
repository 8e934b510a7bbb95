//! The wasmtime configuration. What decides about generated code is fixed, so that the compiling child
//! and the host agree; only pool sizes depend on settings.

use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{
    EngineSettings, Metering,
    guest::{LOADING, MAX_DEPTH, UNDOING, slots},
    park::PLACES,
};

/// Wasm stack of a call. Deep recursion traps instead of reaching the fibre's guard page.
const WASM_STACK: usize = 512 << 10;
/// Fibre stack of a call: the Wasm stack and what host functions need on top.
const FIBRE_STACK: usize = 2 << 20;
/// What toolchains were seen to need, with room: 3 memories, 3 tables, 8 core instances a component.
const MEMORIES: u32 = 4;
const TABLES: u32 = 8;
const CORE_INSTANCES: u32 = 24;
/// Kept mapped between calls, which saves page faults.
const KEEP_RESIDENT: usize = 1 << 20;

/// Slots that nobody uses may stay mapped to the component that had them last, which saves mapping it for its next call. A
/// replaced component stays in memory for as long as one is (wasmtime 48 misses those whose decommit is still queued), so
/// there are few: under load hardly any slot is unused.
const WARM: u32 = 8;

/// Slots that are cleared together. Those that wait for it hold what they had, as warm ones do.
const QUEUED: usize = 8;

/// Everything that decides about generated code.
pub(crate) fn codegen(metering: Metering) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(metering == Metering::Fuel)
        .epoch_interruption(true)
        .max_wasm_stack(WASM_STACK)
        .async_stack_size(FIBRE_STACK);
    config
}

/// The same, with instances taken from a pool, unless the settings say otherwise: what calls run with. Public for those who measure what is on top of it.
#[must_use]
pub fn wasmtime_config(settings: &EngineSettings, metering: Metering) -> Config {
    let mut config = codegen(metering);
    if !settings.pooled {
        return config;
    }
    let at_depth = |depth| slots(settings.instances, depth);
    let instances = (0..=MAX_DEPTH).map(at_depth).fold(LOADING + UNDOING + PLACES, u32::saturating_add);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(CORE_INSTANCES))
        .total_memories(instances.saturating_mul(MEMORIES))
        .total_tables(instances.saturating_mul(TABLES))
        .total_stacks(instances)
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(settings.max_memory)
        .table_elements(40_000)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .decommit_batch_size(QUEUED)
        .max_unused_warm_slots(WARM)
        .pagemap_scan(Enabled::Auto);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}
