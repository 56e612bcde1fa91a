use super::host::HostState;
use super::imports;
use std::time::Duration;
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// How much room the engine makes for guests; both are known from the configuration.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// The most instances alive at a time, those being prepared for a reload included.
    pub instances: u32,
    /// The largest linear memory of any of them, in bytes.
    pub memory: u64,
}

impl Default for EngineOptions {
    fn default() -> EngineOptions {
        EngineOptions { instances: 64, memory: crate::config::Limits::default().memory }
    }
}

/// Runs guests. One serves the whole host; cloning it shares it.
#[derive(Clone)]
pub struct WasmEngine {
    pub(super) engine: Engine,
    pub(super) linker: Linker<HostState>,
}

/// Guests are interrupted, and others let in, this often.
const TICK: Duration = Duration::from_millis(1);

impl WasmEngine {
    /// Sets up the engine and the thread that interrupts guests. The thread ends with the engine.
    ///
    /// # Errors
    /// Where the address space for the pool cannot be reserved, or the thread cannot be started.
    pub fn new(options: EngineOptions) -> anyhow::Result<WasmEngine> {
        let mut pool = PoolingAllocationConfig::new();
        let instances = options.instances.max(1);
        // A component made from a core module holds that module, the adapter and two shims, each an instance with tables;
        // other toolchains make more of them. Only address space is reserved for what is not used.
        pool.total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(16))
            .total_memories(instances.saturating_mul(2))
            .total_tables(instances.saturating_mul(16))
            .total_stacks(instances.saturating_mul(2))
            .max_core_instances_per_component(16)
            .max_memories_per_component(2)
            .max_tables_per_component(16)
            .max_memory_size(usize::try_from(options.memory)?)
            // A component of a scripting language brings its whole interpreter.
            .max_component_instance_size(8 << 20)
            .max_core_instance_size(4 << 20)
            .table_elements(100_000)
            // Clearing this much by hand is faster than asking the kernel to: it matters for an instance per message.
            .linear_memory_keep_resident(256 << 10)
            .table_keep_resident(16 << 10)
            // What an idle host keeps of instances that are gone.
            .max_unused_warm_slots(8);
        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .wasm_component_model(true)
            .epoch_interruption(true)
            .async_stack_size(1 << 20)
            .max_wasm_stack(512 << 10);
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        imports::add(&mut linker)?;
        let weak = engine.weak();
        std::thread::Builder::new().name("pelton-epoch".into()).spawn(move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        })?;
        Ok(WasmEngine { engine, linker })
    }
}
