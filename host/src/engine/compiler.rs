//! Where components are compiled. A hostile one can make that very long or very large, which is no mistake of the compiler:
//! a server has it done by a process that can be killed.

mod child;
mod parent;

use std::{ffi::OsString, path::PathBuf};

use wasmtime::{Engine, component::Component};

use super::{
    BadPolicy,
    cache::{CodeCache, Entry},
    code::Code,
    limits::{Limits, fault_text},
};

pub use child::{ChildBounds, compile_as_child};

/// Where components are compiled.
#[derive(Clone, Debug, Default)]
pub enum Compiler {
    /// In this process: for components of one's own.
    #[default]
    InProcess,
    /// In a process of its own for each component, which is killed when it takes more than the limits say.
    Child(ChildProgram),
}

/// What is started to compile a component: a program that calls [`compile_as_child`], of this very version.
#[derive(Clone, Debug)]
pub struct ChildProgram {
    /// The executable.
    pub path: PathBuf,
    /// What comes before the arguments that [`ChildBounds`] describes.
    pub arguments: Vec<OsString>,
}

impl ChildProgram {
    /// This very executable, also when another one has taken its name since.
    ///
    /// # Errors
    /// When the operating system does not say where it is.
    pub fn this(arguments: &[&str]) -> std::io::Result<Self> {
        // Followed by the child, to the file that this process was started from.
        let linux = PathBuf::from("/proc/self/exe");
        Ok(Self {
            path: match linux.exists() {
                true => linux,
                false => std::env::current_exe()?,
            },
            arguments: arguments.iter().map(OsString::from).collect(),
        })
    }
}

/// A component in an engine.
pub(super) struct Compiled<'c> {
    pub(super) component: Component,
    /// Code that the cache does not have yet, and the place for it.
    fresh: Option<(&'c CodeCache, Entry, Code)>,
}

impl Compiled<'_> {
    /// The component is a policy: its code need not be made again.
    pub(super) fn keep(&self) {
        if let Some((cache, entry, code)) = &self.fresh {
            cache.keep(entry, code);
        }
    }
}

impl Compiler {
    /// The component with this digest: from the cache, if there is one that has it, or else compiled.
    pub(super) fn component<'c>(
        &self,
        engine: &Engine,
        limits: &Limits,
        cache: Option<&'c CodeCache>,
        bytes: &[u8],
        digest: [u8; 32],
    ) -> Result<Compiled<'c>, BadPolicy> {
        let entry = Entry::new(digest, engine, limits);
        if let Some(component) = cache.and_then(|cache| cache.component(&entry, engine)) {
            return Ok(Compiled {
                component,
                fresh: None,
            });
        }
        let invalid = |error: wasmtime::Error| BadPolicy::Invalid(fault_text(&error));
        let code = match (self, cache) {
            (Self::InProcess, None) => {
                let component = Component::from_binary(engine, bytes).map_err(invalid)?;
                return Ok(Compiled {
                    component,
                    fresh: None,
                });
            }
            (Self::InProcess, Some(_)) => engine.precompile_component(bytes).map_err(invalid)?,
            (Self::Child(program), _) => parent::compile(program, limits, bytes)?,
        };
        let code = Code::of_compiler(code);
        Ok(Compiled {
            component: code.load(engine).map_err(invalid)?,
            fresh: cache.map(|cache| (cache, entry, code)),
        })
    }
}

#[cfg(test)]
mod tests;
