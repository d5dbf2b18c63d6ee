//! Every limit on a policy, in one place: what wasm it may use, how much memory, tables, stack and time it gets, and
//! how much it may hand back.

use std::{num::NonZeroUsize, time::Duration};

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    ResourceLimiter, Store, Trap, UpdateDeadline,
};

/// What a policy gets. [`Limits::default`] is meant for production.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The largest component that is read at all.
    pub component_bytes_max: usize,
    /// One memory. A bulk operation cannot be interrupted, so this is also what bounds its time.
    pub memory_bytes_max: usize,
    /// All memories of one instance together.
    pub memories_bytes_max: usize,
    /// One table, in elements.
    pub table_elements_max: usize,
    /// The native stack of wasm.
    pub stack_bytes_max: usize,
    /// Decisions at the same time.
    pub places: u32,
    /// How long a request waits for a place before it is refused as overload.
    pub place_wait: Duration,
    /// The clock of deadlines.
    pub tick: Duration,
    /// Ticks that may pass while a decision runs. Only ticks in which its thread was running are counted, so a busy
    /// machine does not make slow policies of good ones.
    pub decide_ticks_max: u32,
    /// Ticks for describing itself, once per load.
    pub describe_ticks_max: u32,
    /// Bytes that an answer may make the host allocate.
    pub decide_fuel: usize,
    /// Bytes that a description may make the host allocate.
    pub describe_fuel: usize,
    /// Processor time, in whole seconds, of a process that compiles. On a busy machine it may take a few times as long.
    pub compile_secs: u32,
    /// Address space of a process that compiles, in bytes.
    pub compile_bytes_max: u64,
    /// The largest compiled code, in bytes, where a process of its own makes it.
    pub code_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes_max: 8 << 20,
            memory_bytes_max: 16 << 20,
            memories_bytes_max: 32 << 20,
            table_elements_max: 10_000,
            stack_bytes_max: 256 << 10,
            places: 64,
            place_wait: Duration::from_millis(2),
            tick: Duration::from_millis(2),
            decide_ticks_max: 25,
            describe_ticks_max: 500,
            decide_fuel: 64 << 10,
            describe_fuel: 16 << 20,
            compile_secs: 10,
            compile_bytes_max: 2 << 30,
            code_bytes_max: 64 << 20,
        }
    }
}

impl Limits {
    /// For policies that bring a whole language engine, such as those in JavaScript: more of everything that their size
    /// needs. To be chosen by the operator, because each of these is also what a hostile policy gets.
    pub fn large() -> Self {
        Self {
            component_bytes_max: 32 << 20,
            memory_bytes_max: 64 << 20,
            memories_bytes_max: 64 << 20,
            table_elements_max: 40_000,
            stack_bytes_max: 1 << 20,
            compile_secs: 30,
            compile_bytes_max: 6 << 30,
            code_bytes_max: 256 << 20,
            ..Self::default()
        }
    }
}

/// Core modules, memories and tables of one component. A component that needs no imports needs few of them.
const MODULES_MAX: u32 = 4;
const MEMORIES_MAX: u32 = 2;
const TABLES_MAX: u32 = 4;

/// What a returned instance's memory is reset by copying rather than by the kernel: all of an ordinary policy's
/// memory, so that a fresh instance takes no page faults, and no more, because copying costs time as well.
const RESIDENT_BYTES: usize = 128 << 10;

/// For policies whose instances are kept between calls: how many policies may do that. As many as a gate has loaded: the
/// ones that it can go back to, one in the shadow and one that is being looked at. Those that rest hold no memory.
pub(super) const POOLED_POLICIES_MAX: u32 = 12;

/// Instances that take no place: of a policy that is tried out, and of the one in the shadow.
const APART_MAX: u32 = 2;

impl Limits {
    /// Idle instances that one pooled policy keeps.
    pub(super) fn idle_max(&self) -> u32 {
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.places
            .min(u32::try_from(threads).unwrap_or(u32::MAX).saturating_mul(2))
    }

    /// The engine that enforces them.
    pub(super) fn engine(&self) -> wasmtime::Result<Engine> {
        let mut config = Self::code();
        config.max_wasm_stack(self.stack_bytes_max);

        let instances = self.places + POOLED_POLICIES_MAX * self.idle_max() + APART_MAX;
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(instances)
            .total_core_instances(instances * MODULES_MAX)
            .total_memories(instances * MEMORIES_MAX)
            .total_tables(instances * TABLES_MAX)
            .max_core_instances_per_component(MODULES_MAX)
            .max_memories_per_component(MEMORIES_MAX)
            .max_memories_per_module(1)
            .max_tables_per_component(TABLES_MAX)
            .max_tables_per_module(2)
            .max_memory_size(self.memory_bytes_max)
            .table_elements(self.table_elements_max)
            .linear_memory_keep_resident(RESIDENT_BYTES)
            .table_keep_resident(4 << 10)
            // Pages that were dirtied and swapped out would not be reset (wasmtime issue 14357).
            .pagemap_scan(Enabled::No);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        Engine::new(&config)
    }

    /// An engine that only compiles: what it makes is what [`Limits::engine`] runs. It reserves no room for instances, which
    /// are far more than a process that compiles may have.
    pub(super) fn compiling_engine() -> wasmtime::Result<Engine> {
        Engine::new(&Self::code())
    }

    /// Everything that code depends on. Nothing else may: it is made in one process and run in another.
    fn code() -> Config {
        let mut config = Config::new();
        // What a policy does not need, it does not get: each of these is code that an attacker could reach.
        config
            .wasm_memory64(false)
            .wasm_multi_memory(false)
            .wasm_relaxed_simd(false)
            .wasm_tail_call(false)
            .wasm_custom_page_sizes(false)
            .wasm_wide_arithmetic(false)
            .concurrency_support(false);
        // The same question gives the same answer on every machine.
        config.cranelift_nan_canonicalization(true);
        config
            .epoch_interruption(true)
            .wasm_backtrace_max_frames(None)
            .native_unwind_info(false)
            .cranelift_opt_level(OptLevel::Speed)
            .memory_init_cow(true);
        config
    }

    /// A store for one instance.
    pub(super) fn store(&self, engine: &Engine, work: Work) -> Store<Meter> {
        let mut store = Store::new(engine, Meter::new(self));
        store.limiter(|meter| meter);
        store.set_hostcall_fuel(match work {
            Work::Decide => self.decide_fuel,
            Work::Describe => self.describe_fuel,
        });
        store.epoch_deadline_callback(|mut context| {
            let meter = context.data_mut();
            meter.ticks_left = meter.ticks_left.saturating_sub(1);
            Ok(if meter.ticks_left == 0 {
                UpdateDeadline::Interrupt
            } else {
                UpdateDeadline::Continue(1)
            })
        });
        self.start_clock(&mut store, work);
        store
    }

    /// Starts the deadline of one call.
    pub(super) fn start_clock(&self, store: &mut Store<Meter>, work: Work) {
        store.set_epoch_deadline(1);
        store.data_mut().ticks_left = match work {
            Work::Decide => self.decide_ticks_max,
            Work::Describe => self.describe_ticks_max,
        };
    }
}

/// What an instance is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    Decide,
    Describe,
}

/// What one instance uses.
pub(super) struct Meter {
    pub(super) memories_bytes: usize,
    memory_bytes_max: usize,
    memories_bytes_max: usize,
    table_elements_max: usize,
    ticks_left: u32,
    /// Whether a memory or table grew.
    pub(super) grew: bool,
}

impl Meter {
    fn new(limits: &Limits) -> Self {
        Self {
            memories_bytes: 0,
            memory_bytes_max: limits.memory_bytes_max,
            memories_bytes_max: limits.memories_bytes_max,
            table_elements_max: limits.table_elements_max,
            ticks_left: 0,
            grew: false,
        }
    }
}

impl ResourceLimiter for Meter {
    /// A refusal is an error, so that it ends the call: a guest cannot carry on with half of what it wanted.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _declared_max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self
            .memories_bytes
            .saturating_sub(current)
            .saturating_add(desired);
        if desired > self.memory_bytes_max || total > self.memories_bytes_max {
            return Err(wasmtime::format_err!(
                "its memory would grow to {total} bytes, more than it may have"
            ));
        }
        self.grew |= current > 0;
        self.memories_bytes = total;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _declared_max: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.table_elements_max {
            return Err(wasmtime::format_err!(
                "a table would grow to {desired} elements, more than it may have"
            ));
        }
        self.grew |= current > 0;
        Ok(true)
    }

    fn instances(&self) -> usize {
        MODULES_MAX as usize
    }

    fn tables(&self) -> usize {
        TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        MEMORIES_MAX as usize
    }
}

/// What went wrong inside a guest, in one line.
pub(super) fn fault_text(error: &wasmtime::Error) -> String {
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return "it ran longer than a policy may".to_owned();
    }
    let mut text = format!("{error:#}").replace('\n', " ");
    // A guest has a say in some messages.
    if let Some((end, _)) = text.char_indices().nth(300) {
        text.truncate(end);
    }
    text
}
