//! `scopegate envoy`: what Envoy needs in order to decide with this gate, or by itself.

mod config;
mod filter;
mod template;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::Common;

const EXAMPLES: &str = "\
Examples:
  # The policy runs inside Envoy, which asks the gate about credentials that it does not know
  scopegate envoy filter --out scopegate-filter.wasm
  scopegate envoy config --mode wasm > envoy.yaml

  # Envoy asks the gate about every request
  scopegate envoy config --mode grpc > envoy.yaml
  scopegate envoy config --mode http > envoy.yaml";

/// Put Envoy in front: its configuration, and the filter that decides inside it
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Envoy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Config(config::Config),
    Filter(filter::Filter),
}

pub(crate) fn run(Envoy { command }: Envoy, common: &Common) -> Result<()> {
    match command {
        Command::Config(config) => config::run(config, common),
        Command::Filter(filter) => filter::run(&filter),
    }
}
