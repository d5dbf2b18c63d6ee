//! The proxies that people already run, each by the real program, in front of the gate.

mod envoy;
mod wasm;
mod wasm_limits;
mod wasm_requests;
mod wasm_revocation;
