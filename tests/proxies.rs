//! The gate behind proxies that people already run: the real programs, with the configurations that stand in
//! `adapters/*/examples/` or that the gate prints.

mod attacks;
mod behind;
mod caddy;
mod check;
mod corpus;
mod envoy;
mod envoy_http;
mod ext_authz;
mod failures;
mod modes;
mod nginx;
mod traefik;
mod wasm;
mod wasm_envoy;
mod wasm_limits;
mod wasm_requests;
mod wasm_revocation;

pub(crate) use behind::{Kind, Proxy};
