//! The gate behind proxies that people already run: the real programs, with the configurations that stand in
//! `adapters/*/examples/` or that the gate prints.

mod attacks;
mod behind;
mod caddy;
mod check;
mod corpus;
pub(crate) mod envoy;
mod envoy_http;
mod ext_authz;
mod failures;
mod modes;
mod nginx;
mod printed;
mod traefik;
pub(crate) mod wasm;

pub(crate) use behind::Kind;
use behind::Proxy;
