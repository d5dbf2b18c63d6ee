//! The executable: where everything is put together.
//!
//! One enum of commands and one match over it; each noun has its own file. Data goes to standard output, as
//! text or as JSON, everything else to standard error, and the exit code is 0 (done), 1 (failed) or 2 (the
//! command line is wrong).

mod admin;
mod agent;
mod assembly;
mod cluster;
mod completions;
mod credential;
mod demo;
mod failure;

mod init;
mod key;
mod organization;
mod output;
mod password;
mod policy;
mod serve;
mod signing_key;
mod user;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;
use output::Output;

/// Requests are many small blocks, some freed on another thread than the one that made them (the audit's): the
/// system's allocator took a tenth of a request's time.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const EXAMPLES: &str = "\
Examples:
  # Everything in one process, with users, keys, a sample API and curl lines to paste
  scopegate demo
  scopegate demo --contract kubeadapt

  # A gate of your own in front of your API
  scopegate init gate && cd gate
  scopegate serve

  # Credentials, while it runs
  scopegate key mint --owner admin@example.com --name grafana --scope clusters:read
  scopegate key revoke 0197f0c2-6c1e-7d55-9d7e-0a5a3a1c9b11

Exit codes: 0 done, 1 failed (standard error says why), 2 the command line is wrong.";

/// The gate in front of Kubernetes cost and monitoring APIs.
///
/// Takes the credential off a request, finds out who is calling, counts the call against its limit, asks a
/// sandboxed WebAssembly policy whether this caller may do this to this cluster, and then admits it, narrows it
/// or refuses it.
#[derive(Debug, Parser)]
#[command(name = "scopegate", version, after_help = EXAMPLES, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// The configuration file
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_name = "FILE",
        default_value = "scopegate.yaml",
        env = "SCOPEGATE_CONFIG"
    )]
    pub(crate) config: PathBuf,
    /// How data is printed
    #[arg(
        long,
        global = true,
        help_heading = "Global options",
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Serve(serve::Serve),
    Init(init::Init),
    Policy(policy::Policy),
    Key(key::Key),
    Agent(agent::Agent),
    User(user::User),
    Cluster(cluster::Cluster),
    Organization(organization::Organization),
    SigningKey(signing_key::SigningKey),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(Cli { common, command }: Cli) -> Result<()> {
    match command {
        Command::Demo(demo) => asynchronously(demo::run(demo, common.output)),
        Command::Serve(serve) => asynchronously(serve::run(serve, &common)),
        Command::Init(init) => asynchronously(init::run(init, &common)),
        Command::Policy(policy) => policy::run(policy, common.output),
        Command::Key(key) => asynchronously(key::run(key, &common)),
        Command::Agent(agent) => asynchronously(agent::run(agent, &common)),
        Command::User(user) => asynchronously(user::run(user, &common)),
        Command::Cluster(cluster) => asynchronously(cluster::run(cluster, &common)),
        Command::Organization(organization) => {
            asynchronously(organization::run(organization, &common))
        }
        Command::SigningKey(signing_key) => asynchronously(signing_key::run(signing_key, &common)),
        Command::Completions(completions) => completions::run(&completions),
    }
}

fn asynchronously(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .context("the async runtime does not start")?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_is_described_and_shows_examples() {
        let cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands() {
            assert!(
                command.get_about().is_some(),
                "`{}` says what it does",
                command.get_name()
            );
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.starts_with("Examples:"),
                "`{}` shows examples",
                command.get_name()
            );
        }
    }
}
