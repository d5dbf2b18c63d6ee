//! One binary for every test that crosses crates: linking the whole gate many times would cost minutes.

mod api;
mod authzen;
mod cli;
mod corpus;
mod dashboard;
mod deploy;
mod differential;
mod guests;
mod harness;
mod load;
mod nodes;
mod products;
mod proxies;
mod replay;
mod sandbox;
mod shipping;
mod wire;
mod workloads;
mod workspace;
