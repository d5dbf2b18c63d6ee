//! `scopegate policy`: what an author does with a policy, without a server and without a Rust toolchain, and what ships
//! it to a server. Each command has its own file.

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
mod nodes;
mod recorded;
mod replay;
mod schema;
mod shadow;
mod ship;
mod sign;
mod subject;
mod test;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::{Common, asynchronously};

const EXAMPLES: &str = "\
Examples:
  scopegate policy check policy.yaml
  scopegate policy check policies/*.yaml --output json
  scopegate policy build policy.yaml -o policy.wasm
  scopegate policy explain policy.yaml --request 'GET /v1/clusters/prod' --role viewer
  scopegate policy inspect policy.wasm
  scopegate policy lint policy.yaml
  scopegate policy fmt --check policy.yaml
  scopegate policy replay audit.jsonl --policy policy.wasm
  scopegate policy push policy.wasm
  scopegate policy shadow status
  scopegate policy rollback";

/// Check, compile, test, format, explain, compare and ship policies
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
    Nodes(nodes::Nodes),
    Replay(replay::Replay),
    Test(test::Test),
    Key(sign::Key),
    Sign(sign::Sign),
    Verify(sign::Verify),
    Push(ship::Push),
    Shadow(shadow::Shadow),
    Rollback(ship::Rollback),
    Versions(ship::Versions),
}

pub(crate) fn run(policy: Policy, common: &Common) -> Result<()> {
    let output = common.output;
    match policy.action {
        Action::Check(check) => check::run(&check, output),
        Action::Build(build) => build::run(&build, output),
        Action::Explain(explain) => explain::run(&explain, common),
        Action::Inspect(inspect) => inspect::run(&inspect, output),
        Action::Lint(lint) => lint::run(&lint, output),
        Action::Fmt(fmt) => fmt::run(&fmt, output),
        Action::Schema(schema) => schema::run(&schema),
        Action::Bench(bench) => bench::run(&bench, output),
        Action::Diff(args) => diff::run(&args, output),
        Action::New(new) => new::run(&new, output),
        Action::Nodes(nodes) => asynchronously(nodes::run(nodes, common)),
        Action::Replay(replay) => asynchronously(replay::run(replay, common)),
        Action::Test(test) => test::run(&test, output),
        Action::Key(key) => sign::key(&key, output),
        Action::Sign(sign) => sign::sign(&sign, output),
        Action::Verify(verify) => sign::verify(&verify, output),
        Action::Push(push) => asynchronously(ship::push(push, common)),
        Action::Shadow(shadow) => asynchronously(shadow::run(shadow, common)),
        Action::Rollback(rollback) => asynchronously(ship::rollback(rollback, common)),
        Action::Versions(_) => asynchronously(ship::versions(common)),
    }
}
