//! The gate behind proxies that people already run: the real programs, with the configurations that stand in
//! `adapters/*/examples/` or that the gate prints.

mod envoy;
mod ext_authz;
mod wasm;
mod wasm_envoy;
mod wasm_limits;
mod wasm_requests;
mod wasm_revocation;
