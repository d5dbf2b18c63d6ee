//! The executable: where everything is put together.
//!
//! One enum of commands and one match over it; each noun has its own file. Data goes to standard output, as
//! text or as JSON, everything else to standard error, and the exit code is 0 (done), 1 (failed) or 2 (the
//! command line is wrong).

mod admin;
mod agent;
mod assembly;
mod audit;
mod cluster;
mod compile_policy;
mod completions;
mod credential;
mod demo;
mod envoy;
mod failure;
mod founding;
mod init;
mod key;
mod login;
mod operator;
mod organization;
mod output;
mod password;
mod policy;
mod remote;
mod role;
mod serve;
mod session;
mod signing_key;
mod stop;
mod store;
mod supervisor;
mod traces;
mod user;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
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

  # The same from elsewhere, over the management API
  export SCOPEGATE_URL=https://gate.example.com:9080
  export SCOPEGATE_TOKEN=$(scopegate login --email admin@example.com)
  scopegate key list

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
    #[command(flatten)]
    pub(crate) access: remote::Access,
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
    Role(role::Role),
    Session(session::Session),
    Organization(organization::Organization),
    Operator(operator::Operator),
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    SigningKey(signing_key::SigningKey),
    Audit(audit::Audit),
    Envoy(envoy::Envoy),
    Store(store::Store),
    Completions(completions::Completions),
}

fn main() -> ExitCode {
    if let Some(code) = compile_policy::run(std::env::args_os()) {
        return code;
    }
    let matches = command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
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
        Command::Policy(policy) => policy::run(policy, &common),
        Command::Key(key) => asynchronously(key::run(key, &common)),
        Command::Agent(agent) => asynchronously(agent::run(agent, &common)),
        Command::User(user) => asynchronously(user::run(user, &common)),
        Command::Cluster(cluster) => asynchronously(cluster::run(cluster, &common)),
        Command::Role(role) => asynchronously(role::run(role, &common)),
        Command::Session(session) => asynchronously(session::run(session, &common)),
        Command::Operator(operator) => asynchronously(operator::run(operator, &common)),
        Command::Login(login) => asynchronously(login::run(login, &common)),
        Command::Logout(logout) => asynchronously(login::run_logout(logout, &common)),
        Command::Whoami(whoami) => asynchronously(login::run_whoami(whoami, &common)),
        Command::Organization(organization) => {
            asynchronously(organization::run(organization, &common))
        }
        Command::SigningKey(signing_key) => asynchronously(signing_key::run(signing_key, &common)),
        Command::Audit(audit) => asynchronously(audit::run(audit, &common)),
        Command::Envoy(envoy) => envoy::run(envoy, &common),
        Command::Store(store) => asynchronously(store::run(store, &common)),
        Command::Completions(completions) => completions::run(&completions),
    }
}

/// The command line, in which every command shows examples: its own, or those lines of its noun's that are about it.
pub(crate) fn command() -> clap::Command {
    Cli::command().mut_subcommands(|noun| {
        let examples = noun.get_after_help().map(ToString::to_string);
        let noun_name = noun.get_name().to_owned();
        noun.mut_subcommands(|verb| {
            if verb.get_after_help().is_some() || verb.get_name() == "help" {
                return verb;
            }
            let start = format!("scopegate {noun_name} {}", verb.get_name());
            let lines = examples.iter().flat_map(|text| text.lines());
            let about: Vec<&str> = lines
                .filter(|line| line.starts_with("  ") && line.contains(&start))
                .collect();
            verb.after_help(format!("Examples:\n{}", about.join("\n")))
        })
    })
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

    #[test]
    fn every_command_is_described_and_shows_examples() {
        let cli = command();
        cli.clone().debug_assert();
        described(&cli, "scopegate");
    }

    fn described(parent: &clap::Command, path: &str) {
        for command in parent.get_subcommands() {
            let path = format!("{path} {}", command.get_name());
            assert!(command.get_about().is_some(), "`{path}` says what it does");
            let help = command.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            assert!(
                help.starts_with("Examples:") && help.contains(&path),
                "`{path}` shows examples"
            );
            described(command, &path);
        }
    }
}
