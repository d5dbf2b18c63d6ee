//! `scopegate policy`: what an author does with a policy, without a server and without a Rust toolchain. Each
//! command has its own file.

mod build;
mod check;
mod file;
mod limits;
mod new;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  scopegate policy check policy.yaml
  scopegate policy check policies/*.yaml --output json
  scopegate policy build policy.yaml -o policy.wasm";

/// Check policy documents and compile them
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Policy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(check::Check),
    Build(build::Build),
    New(new::New),
}

pub(crate) fn run(policy: Policy, output: Output) -> Result<()> {
    match policy.action {
        Action::Check(check) => check::run(&check, output),
        Action::Build(build) => build::run(&build, output),
        Action::New(new) => new::run(&new, output),
    }
}
