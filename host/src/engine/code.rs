//! Compiled code. Running it trusts it, so this is the one way into an engine, and only what this program's own compiler
//! made gets here.

use wasmtime::{Engine, component::Component};

/// Machine code that [`Engine::precompile_component`] of this program made.
pub(super) struct Code(Vec<u8>);

impl Code {
    /// Just made, by this process or by the one that it started for it.
    pub(super) fn of_compiler(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Made before, and its tag, by a key that only the gate has, was verified over exactly these bytes.
    pub(super) fn of_verified(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The code.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The component that it is.
    ///
    /// # Errors
    /// When it was made for another engine, or needs more than this one gives.
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes must be what `Engine::precompile_component` gave, unchanged. Both ways to make a `Code` say that
        // they are. That they fit this engine's version and settings, wasmtime checks by itself.
        #[expect(
            unsafe_code,
            reason = "code that was compiled in another process or before can be loaded in no other way"
        )]
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }
}
