//! The sandbox that policies run in: a component is loaded once, checked, and then asked for decisions in instances
//! that share nothing.
//!
//! A component has no imports, so it can do nothing but compute; the limits in `limits` bound how long and how
//! much; and [`bound`](fn@bound) bounds what its answer can mean. Every failure of a guest is a value,
//! [`DecideError::Fault`], and its instance is thrown away.

pub(crate) mod build;
mod cache;
mod caller;
mod code;
mod compiler;
mod core;
mod description;
mod instance;
pub(crate) mod lane;
mod limits;
mod places;
mod policy;
mod probe;
pub(crate) mod sections;
mod ticker;
mod world;

use std::sync::{Arc, atomic::AtomicU32};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Linker};

use self::{
    core::Core, instance::Exports, limits::Meter, places::Places, policy::Loaded, world::Version,
};

pub use scopegate_policy::wire::bound::bound;

pub use self::{
    build::{BuildError, build_document},
    cache::{CacheError, CodeCache},
    caller::{CallerRef, PackedCaller},
    compiler::{ChildBounds, ChildProgram, Compiler, compile_as_child},
    limits::Limits,
    policy::{DecideError, Policy},
    sections::document as carried_document,
};

/// How far decisions are kept apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// A fresh instance for every request: nothing survives from one decision to the next.
    #[default]
    Fresh,
    /// Instances are kept, of policies that were built from a document; those of any other component stay fresh.
    Pooled {
        /// Calls after which an instance is retired. A trap or a growing memory retires it at once.
        calls_max: u32,
    },
}

/// The worlds of `wit/` that a sandbox speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Worlds {
    /// `engine` where a component has it, else `policy`.
    #[default]
    All,
    /// `policy` alone, typed records: what a component in any language answers.
    PolicyOnly,
}

/// What a sandbox is made from.
#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    /// The limits on every policy.
    pub limits: Limits,
    /// How far decisions are kept apart.
    pub isolation: Isolation,
    /// Which worlds are spoken.
    pub worlds: Worlds,
    /// Where components are compiled.
    pub compiler: Compiler,
    /// Where compiled code is kept, if anywhere.
    pub cache: Option<CodeCache>,
}

/// The sandbox cannot be set up on this machine.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox for policies cannot be set up: {0}")]
pub struct SandboxError(String);

/// Why a component is not accepted as a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPolicy {
    /// It is larger than any policy needs to be.
    #[error("the component has {bytes} bytes, more than {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// It is not a component, or uses what the sandbox does not offer.
    #[error("this is not a component that the sandbox can run: {0}")]
    Invalid(String),
    /// Compiling it takes more time or memory than a policy may have.
    #[error("{0}")]
    Costly(String),
    /// What compiles could not be run: nothing is known of the component.
    #[error("the policy could not be compiled: {0}")]
    Compiler(String),
    /// It has imports: these.
    #[error("a policy has no imports, and this component imports {}", quoted(.0))]
    Imports(Vec<String>),
    /// It does not export what the worlds of a policy ask for.
    #[error("this component is not a policy: {0}")]
    WrongWorld(String),
    /// It fails before it says what it is.
    #[error("the policy failed to describe itself: {0}")]
    Fault(String),
    /// What it says of itself makes no sense.
    #[error("the policy's description makes no sense: {0}")]
    Description(String),
}

/// The policy document that a component carries. Only [`Policy::is_from_document`] says that it is what decides.
pub fn document_of(component: &[u8]) -> Option<&str> {
    sections::document(component)
}

fn quoted(names: &[String]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The sandbox: one wasmtime engine, its clock, and places for decisions.
pub struct Sandbox {
    core: Arc<Core>,
    isolation: Isolation,
    worlds: Worlds,
    compiler: Compiler,
    cache: Option<CodeCache>,
}

impl Sandbox {
    /// Sets the sandbox up, with the thread that keeps its deadlines.
    ///
    /// # Errors
    /// When the machine refuses the address space or the thread.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let SandboxConfig {
            limits,
            isolation,
            worlds,
            compiler,
            cache,
        } = config;
        let engine = limits
            .engine()
            .map_err(|error| SandboxError(format!("{error:#}")))?;
        ticker::start(&engine, limits.tick).map_err(|error| SandboxError(error.to_string()))?;
        let places = Places::new(limits.places);
        let core = Core {
            engine,
            limits,
            places,
            pooled_policies: AtomicU32::new(0),
        };
        Ok(Self {
            core: Arc::new(core),
            isolation,
            worlds,
            compiler,
            cache,
        })
    }

    /// Looks at the first thing that [`Sandbox::load`] does: whether a component is small enough.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_size(&self, bytes: &[u8]) -> Result<(), BadPolicy> {
        let bytes_max = self.core.limits.component_bytes_max;
        match bytes.len() {
            bytes if bytes > bytes_max => Err(BadPolicy::TooLarge { bytes, bytes_max }),
            _ => Ok(()),
        }
    }

    /// Compiles a component, or takes its code from the cache, and checks it. Takes milliseconds to seconds of this thread: do it off the request path.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub fn load(&self, bytes: &[u8]) -> Result<Policy, BadPolicy> {
        self.check_size(bytes)?;
        let digest = Sha256::digest(bytes).into();
        let compiled = self.compiler.component(
            &self.core.engine,
            &self.core.limits,
            self.cache.as_ref(),
            bytes,
            digest,
        )?;
        let component = &compiled.component;
        let imports: Vec<String> = component
            .component_type()
            .imports(&self.core.engine)
            .map(|(name, _)| name.to_owned())
            .collect();
        if !imports.is_empty() {
            return Err(BadPolicy::Imports(imports));
        }
        let interfaces = component.component_type();
        let interfaces = interfaces.exports(&self.core.engine);
        let interfaces = interfaces.map(|(name, _)| name.to_owned()).collect();
        let exports = self.exports(component)?;
        let component: InstancePre<Meter> = Linker::new(&self.core.engine)
            .instantiate_pre(component)
            .map_err(|error| BadPolicy::Invalid(limits::fault_text(&error)))?;

        let document = build::tables_of(bytes);
        let is_from_document = document.is_some();
        let description = match document {
            Some(tables) => tables.description().clone(),
            None => instance::describe(&self.core.engine, &self.core.limits, &component, &exports)?,
        };
        description::check(&description).map_err(BadPolicy::Description)?;
        compiled.keep();

        let loaded = Loaded {
            component,
            exports,
            interfaces,
            digest,
            digest_text: sections::digest_text(bytes),
            description,
            is_from_document,
        };
        let calls_max = match self.isolation {
            Isolation::Pooled { calls_max } if is_from_document => Some(calls_max),
            Isolation::Pooled { .. } | Isolation::Fresh => None,
        };
        Ok(Policy::new(Arc::clone(&self.core), loaded, calls_max))
    }

    /// Finds the functions of the newest world that the component has, and checks their types.
    fn exports(&self, component: &Component) -> Result<Exports, BadPolicy> {
        let function =
            |interface: &str, name: &str| -> Result<Option<ComponentExportIndex>, BadPolicy> {
                let Some(interface_index) = component.get_export_index(None, interface) else {
                    return Ok(None);
                };
                match component.get_export_index(Some(&interface_index), name) {
                    Some(index) => Ok(Some(index)),
                    None => Err(BadPolicy::WrongWorld(format!(
                        "`{interface}` has no function `{name}`"
                    ))),
                }
            };
        // By their exact names: an index would be found under any name of a compatible version.
        let component_type = component.component_type();
        let names: Vec<&str> = component_type
            .exports(&self.core.engine)
            .map(|(name, _)| name)
            .collect();
        let version = Version::ALL
            .into_iter()
            .find(|version| names.contains(&version.rules()));
        let missing = || {
            let [newest, oldest] = Version::ALL.map(Version::rules);
            BadPolicy::WrongWorld(format!("it exports neither `{newest}` nor `{oldest}`"))
        };
        let version = version.ok_or_else(missing)?;
        let rules = version.rules();
        let describe = function(rules, world::DESCRIBE)?.ok_or_else(missing)?;
        let decide = function(rules, world::DECIDE)?.ok_or_else(missing)?;
        let packed = version.packed().filter(|name| names.contains(name));
        let decide_packed = match (self.worlds, packed) {
            (Worlds::All, Some(packed)) => function(packed, world::DECIDE_PACKED)?,
            _ => None,
        };
        Ok(Exports {
            version,
            describe,
            decide,
            decide_packed,
        })
    }
}
