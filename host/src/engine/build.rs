//! Compiling a document into a component: the embedded engine takes the checked tables, and its state right after
//! that is the component. Needs no Rust toolchain.

use std::sync::LazyLock;

use scopegate_policy::{Description, Tables, document, yaml};
use wasmtime::{
    Config, Engine, OptLevel, Store,
    component::{
        Component, ComponentNamedList, Instance, Lift, Linker, Lower, TypedFunc, WasmList,
    },
};
use wasmtime_wizer::{ComponentContext, ComponentInstanceState, Wizer};

use super::{
    sections,
    world::{self, ConfigureParams, ConfigureResults},
};

/// The policy engine, from `policy/component`; this package's build script makes it.
static ENGINE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/engine.wasm"));

/// Why a document was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The document's own mistakes, all of them, with their places.
    #[error("{0}")]
    Document(yaml::Report),
    /// The embedded engine refused the tables: a mistake of this program.
    #[error("the policy engine could not be set up: {0}")]
    Engine(String),
}

/// Builds the component of a policy document. `name` is what mistakes are reported under, such as its file. The same
/// document gives the same bytes.
///
/// # Errors
/// The document's mistakes.
pub fn build_document(name: &str, text: &str) -> Result<Vec<u8>, BuildError> {
    build_described(name, text).map(|(component, _)| component)
}

/// The same, and what the policy says of itself.
pub(crate) fn build_described(
    name: &str,
    text: &str,
) -> Result<(Vec<u8>, Description), BuildError> {
    let tables = document::compile(name, text).map_err(BuildError::Document)?;
    Ok((build(&tables, text)?, tables.description().clone()))
}

/// The tables of the document that a component carries, if the component is exactly what this program makes of that
/// document, with or without what a bundle has behind it, which no instance sees. What a component says of itself proves
/// nothing: it is built again and compared.
pub(super) fn tables_of(component: &[u8]) -> Option<Tables> {
    let component = sections::bare(component);
    let text = sections::document(component)?;
    let tables = document::compile("document", text).ok()?;
    (build(&tables, text).ok()?.as_slice() == component).then_some(tables)
}

fn build(tables: &Tables, text: &str) -> Result<Vec<u8>, BuildError> {
    let failed = |error: &wasmtime::Error| BuildError::Engine(format!("{error:#}"));
    let prepared = PREPARED.as_ref().map_err(failed)?;
    let mut component = configure(prepared, &tables.encode()).map_err(|error| failed(&error))?;
    sections::append(&mut component, text);
    Ok(component)
}

/// The engine with what takes its snapshot added to it, compiled once.
struct Prepared {
    engine: Engine,
    context: ComponentContext<'static>,
    component: Component,
}

static PREPARED: LazyLock<wasmtime::Result<Prepared>> = LazyLock::new(|| {
    let mut config = Config::new();
    // Compiled to run once.
    config
        .concurrency_support(false)
        .cranelift_opt_level(OptLevel::None);
    let engine = Engine::new(&config)?;
    let (context, instrumented) = Wizer::new().instrument_component(ENGINE)?;
    let component = Component::from_binary(&engine, &instrumented)?;
    Ok(Prepared {
        engine,
        context,
        component,
    })
});

fn configure(prepared: &Prepared, tables: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let mut store = Store::new(&prepared.engine, ());
    let instance = Linker::new(&prepared.engine).instantiate(&mut store, &prepared.component)?;
    let mut configured = Configured::new(store, instance);
    let configure = configured
        .function::<ConfigureParams<'_>, ConfigureResults>(world::PACKED, world::CONFIGURE)?;
    let (answer,) = configure.call(&mut configured.store, (tables,))?;
    answer.map_err(|why| wasmtime::format_err!("{why}"))?;
    let snapshot =
        pollster::block_on(Wizer::new().snapshot_component(&prepared.context, &mut configured))?;
    match configured.error {
        None => Ok(snapshot),
        Some(error) => Err(error),
    }
}

/// The configured instance, whose state the snapshot is read from.
struct Configured {
    store: Store<()>,
    instance: Instance,
    /// The first reading that failed.
    error: Option<wasmtime::Error>,
}

impl Configured {
    fn new(store: Store<()>, instance: Instance) -> Self {
        Self {
            store,
            instance,
            error: None,
        }
    }

    fn function<P, R>(&mut self, interface: &str, name: &str) -> wasmtime::Result<TypedFunc<P, R>>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let missing = || wasmtime::format_err!("`{interface}` has no function `{name}`");
        let index = self
            .instance
            .get_export_index(&mut self.store, None, interface)
            .ok_or_else(missing)?;
        let index = self
            .instance
            .get_export_index(&mut self.store, Some(&index), name)
            .ok_or_else(missing)?;
        self.instance.get_typed_func(&mut self.store, index)
    }

    /// Reads a number of the state. The trait has no errors: the first one is kept, and the snapshot is void.
    fn read<R>(&mut self, interface: &str, name: &str) -> R
    where
        R: Default,
        (R,): ComponentNamedList + Lift,
    {
        let result = self
            .function::<(), (R,)>(interface, name)
            .and_then(|function| function.call(&mut self.store, ()));
        match result {
            Ok((value,)) => value,
            Err(error) => {
                self.error.get_or_insert(error);
                R::default()
            }
        }
    }
}

impl ComponentInstanceState for Configured {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list = self
            .function::<(), (WasmList<u8>,)>(instance, func)
            .and_then(|function| function.call(&mut self.store, ()));
        match list {
            Ok((list,)) => contents(list.as_le_slice(&self.store)),
            Err(error) => {
                self.error.get_or_insert(error);
                contents(&[]);
            }
        }
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.read(instance, func)
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.read(instance, func)
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.read::<f32>(instance, func).to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.read::<f64>(instance, func).to_bits()
    }
}
