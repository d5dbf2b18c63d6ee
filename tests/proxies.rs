//! The gate behind proxies that people already run: the real programs, with the configurations that stand in
//! `adapters/*/examples/`.

mod envoy;
mod ext_authz;
