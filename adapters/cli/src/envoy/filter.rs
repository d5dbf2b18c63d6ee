//! `scopegate envoy filter`: the filter as a file.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::output::note;

/// Of the same version as this program: they speak the same language.
const FILTER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/filter.wasm"));

const EXAMPLES: &str = "\
Examples:
  scopegate envoy filter --out /etc/envoy/scopegate-filter.wasm

It decides by a policy document, which stands in Envoy's configuration. A policy that was written by
hand is a component, which Envoy does not run: there, let Envoy ask the gate (`--mode grpc`).";

/// Write the filter that decides inside Envoy
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Filter {
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(filter: &Filter) -> Result<()> {
    fs::write(&filter.out, FILTER)
        .with_context(|| format!("cannot write `{}`", filter.out.display()))?;
    note(&format!(
        "wrote `{}`, {} KiB",
        filter.out.display(),
        FILTER.len().div_ceil(1024)
    ));
    Ok(())
}
