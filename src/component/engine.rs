//! The one engine of this process.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::ComponentError;

/// How often running guests are asked whether they may go on. 10 ms: short against every
/// deadline, long against the cost of a tick.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// Instances at once in the pool. A sync has two, and its checks run one after the other.
const INSTANCES: u32 = 64;
/// The largest linear memory that any policy can grant. Address space only.
pub(super) const LARGEST_MEMORY: usize = 4 << 30;
/// The most elements of one table that any policy can grant: 2 MiB each of address space.
const LARGEST_TABLE: usize = 1 << 18;
/// Bytes of guest stack: deep recursion traps before it reaches the fiber's end.
const GUEST_STACK: usize = 1 << 20;
/// Bytes of a fiber's stack: the guest's and the host functions' above it.
const FIBER_STACK: usize = 3 << 20;

fn configuration() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    config.max_wasm_stack(GUEST_STACK);
    config.async_stack_size(FIBER_STACK);
    // What no toolchain of the contract's languages emits is off: fewer paths through the compiler
    // for a stranger's code. (Garbage collection, exceptions and threads are not even compiled in.)
    // Relaxed SIMD would also give results that differ between machines.
    config.wasm_relaxed_simd(false);
    config.wasm_memory64(false);
    config.wasm_multi_memory(false);
    config.wasm_tail_call(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);
    // Only what needs no more than a load is kept of a trap: names, no sources.
    config.wasm_backtrace_details(wasmtime::WasmBacktraceDetails::Disable);

    config
}

fn pooling() -> InstanceAllocationStrategy {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(INSTANCES);
    // One component gets a 32nd of what all share at most, in memories and tables: a hostile one does
    // not starve its neighbours. It is address space, and used pages only: 1.2 TiB for memories of the
    // 128 TiB that a process has. That of tables counts as memory where this program is itself a
    // connector behind a fence: 2 GiB of the 4 GiB that a process has.
    pool.total_core_instances(INSTANCES * 64);
    pool.total_memories(INSTANCES * 4);
    pool.total_tables(INSTANCES * 16);
    pool.total_stacks(INSTANCES);
    pool.max_memory_size(LARGEST_MEMORY);
    pool.table_elements(LARGEST_TABLE);
    pool.max_core_instances_per_component(256);
    pool.max_tables_per_component(32);
    pool.max_memories_per_component(8);
    pool.max_component_instance_size(4 << 20);
    pool.max_core_instance_size(4 << 20);
    InstanceAllocationStrategy::Pooling(pool)
}

/// An engine that only compiles: with the same settings, and without the pool.
pub(super) fn compiling() -> Result<Engine, String> {
    Engine::new(&configuration()).map_err(|e| format!("{e:#}"))
}

/// The engine's version and settings, as far as compiled code depends on them.
pub(super) fn settings(engine: &Engine) -> String {
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{:016x}", settings.finish())
}

/// The engine, made at its first use. One a process: stores of different engines must never meet
/// (GHSA-hgjw-h833-99q9).
pub(super) fn engine() -> Result<Engine, ComponentError> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = ENGINE.get_or_init(|| {
        let mut configuration = configuration();
        configuration.allocation_strategy(pooling());
        let engine = Engine::new(&configuration).map_err(|e| format!("{e:#}"))?;
        let ticking = engine.weak();
        std::thread::Builder::new()
            .name("lockgate-epoch".into())
            .spawn(move || {
                while let Some(engine) = ticking.upgrade() {
                    engine.increment_epoch();
                    drop(engine);
                    std::thread::sleep(TICK);
                }
            })
            .map_err(|e| format!("the epoch thread cannot start: {e}"))?;
        Ok(engine)
    });
    made.clone().map_err(ComponentError::Engine)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_engine_can_be_made() {
        super::engine().unwrap();
    }

    #[test]
    fn what_is_compiled_without_the_pool_runs_with_it() {
        let (one, other) = (super::engine().unwrap(), super::compiling().unwrap());
        assert_eq!(super::settings(&one), super::settings(&other));
    }
}
