//! What a sandbox shares with the policies that were loaded into it.

use std::sync::atomic::AtomicU32;

use wasmtime::Engine;

use super::{limits::Limits, places::Places};

pub(super) struct Core {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    pub(super) places: Places,
    /// Policies that keep instances.
    pub(super) pooled_policies: AtomicU32,
}
