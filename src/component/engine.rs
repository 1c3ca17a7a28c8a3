//! The engines of this process: one for code that can be interrupted, which runs here, and one for
//! code that cannot, which runs in a worker.
//!
//! The attack: stores of two engines that meet can confuse each other's functions
//! (GHSA-hgjw-h833-99q9), and a loop in code without interruption never ends. So a process runs code
//! of one kind only: an ordinary one what its epochs interrupt, a worker what its supervisor kills.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};
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

/// How code that runs for too long is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interruption {
    /// It asks at every loop and function whether it may go on.
    #[default]
    Epochs,
    /// It does not ask: whoever supervises its process kills that.
    Off,
}

/// What this process is. Set once, at its start.
static ROLE: AtomicU8 = AtomicU8::new(HOST);
/// Runs what can be interrupted; loads what cannot, for a worker.
const HOST: u8 = 0;
/// Has a supervisor, and runs what cannot be interrupted.
const WORKER: u8 = 1;
/// A worker without memory limits and accounting.
const UNLIMITED: u8 = 2;

/// Makes this process a worker: it runs code without interruption, and no other.
pub(crate) fn become_worker() {
    ROLE.store(WORKER, Ordering::Release);
}

/// Makes this process one that runs code without interruption and without accounting, to measure
/// what those cost. Nothing ends a guest here.
#[doc(hidden)]
pub fn measure_without_limits() {
    ROLE.store(UNLIMITED, Ordering::Release);
}

/// Whether a store counts what its guest uses.
pub(super) fn accounts() -> bool {
    ROLE.load(Ordering::Acquire) != UNLIMITED
}

/// Whether this process asks its guests whether they may go on.
pub(super) fn has_epochs() -> bool {
    ROLE.load(Ordering::Acquire) == HOST
}

/// Whether code of this kind may run in this process.
pub(super) fn may_run(interruption: Interruption) -> Result<(), ComponentError> {
    if has_epochs() == (interruption == Interruption::Epochs) {
        return Ok(());
    }
    let why = "code that was compiled for one kind of process cannot run in another";
    Err(ComponentError::Engine(why.into()))
}

fn configuration(interruption: Interruption) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(interruption == Interruption::Epochs);
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
pub(super) fn compiling(interruption: Interruption) -> Result<Engine, String> {
    Engine::new(&configuration(interruption)).map_err(|e| format!("{e:#}"))
}

/// The engine's version and settings, as far as compiled code depends on them.
pub(super) fn settings(engine: &Engine) -> String {
    let mut settings = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    format!("{:016x}", settings.finish())
}

/// The engine of a kind, made at its first use. Each is one a process, and of two only one runs
/// anything: stores of different engines must never meet (GHSA-hgjw-h833-99q9).
pub(super) fn engine(interruption: Interruption) -> Result<Engine, ComponentError> {
    static EPOCHS: OnceLock<Result<Engine, String>> = OnceLock::new();
    static OFF: OnceLock<Result<Engine, String>> = OnceLock::new();
    let made = match interruption {
        Interruption::Epochs => {
            may_run(interruption)?;
            EPOCHS.get_or_init(|| {
                let engine = make(interruption)?;
                tick(&engine)?;
                Ok(engine)
            })
        }
        Interruption::Off => OFF.get_or_init(|| make(interruption)),
    };
    made.clone().map_err(ComponentError::Engine)
}

fn make(interruption: Interruption) -> Result<Engine, String> {
    let mut configuration = configuration(interruption);
    configuration.allocation_strategy(pooling());
    Engine::new(&configuration).map_err(|e| format!("{e:#}"))
}

fn tick(engine: &Engine) -> Result<(), String> {
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::component::CompileCache;

    #[test]
    fn code_of_one_kind_is_never_taken_for_the_other() {
        let cache = CompileCache::at(Path::new("/cache"));
        let file = |kind| cache.file(&engine(kind).unwrap(), "digest");
        assert_ne!(file(Interruption::Epochs), file(Interruption::Off));
        may_run(Interruption::Epochs).unwrap();
        assert!(may_run(Interruption::Off).is_err());
    }

    #[test]
    fn what_is_compiled_without_the_pool_runs_with_it() {
        for kind in [Interruption::Epochs, Interruption::Off] {
            let (one, other) = (engine(kind).unwrap(), compiling(kind).unwrap());
            assert_eq!(settings(&one), settings(&other));
        }
    }
}
