//! `scopegate policy`: what an author does with a policy, without a server and without a Rust toolchain. Each
//! command has its own file.

mod asked;
mod bench;
mod build;
mod check;
mod diff;
mod explain;
mod file;
mod fmt;
mod inspect;
mod limits;
mod lint;
mod new;
mod schema;
mod subject;
mod test;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::output::Output;

const EXAMPLES: &str = "\
Examples:
  scopegate policy check policy.yaml
  scopegate policy check policies/*.yaml --output json
  scopegate policy build policy.yaml -o policy.wasm
  scopegate policy explain policy.yaml --request 'GET /v1/clusters/prod' --role viewer
  scopegate policy inspect policy.wasm
  scopegate policy lint policy.yaml
  scopegate policy fmt --check policy.yaml";

/// Check, compile, test, format, explain and compare policies
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
    Explain(Box<explain::Explain>),
    Inspect(inspect::Inspect),
    Lint(lint::Lint),
    Fmt(fmt::Fmt),
    Schema(schema::Schema),
    Bench(bench::Bench),
    Diff(diff::DiffArgs),
    New(new::New),
    Test(test::Test),
}

pub(crate) fn run(policy: Policy, output: Output) -> Result<()> {
    match policy.action {
        Action::Check(check) => check::run(&check, output),
        Action::Build(build) => build::run(&build, output),
        Action::Explain(explain) => explain::run(&explain, output),
        Action::Inspect(inspect) => inspect::run(&inspect, output),
        Action::Lint(lint) => lint::run(&lint, output),
        Action::Fmt(fmt) => fmt::run(&fmt, output),
        Action::Schema(schema) => schema::run(&schema),
        Action::Bench(bench) => bench::run(&bench, output),
        Action::Diff(args) => diff::run(&args, output),
        Action::New(new) => new::run(&new, output),
        Action::Test(test) => test::run(&test, output),
    }
}
