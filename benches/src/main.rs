//! `scopegate-benches table`: every figure of the speed table, measured now.

use anyhow::Result;
use clap::{Parser, Subcommand};
use scopegate_benches::{http::roles, measure::Effort, run, table};

#[derive(Parser)]
#[command(about = "Measure the gate and its peers in one run")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure everything briefly and print the table
    Table {
        /// Print a JSON list, one object a row: name, value, unit, ratio, target, met
        #[arg(long)]
        json: bool,
        /// Measure for less time, with less certainty
        #[arg(long)]
        quick: bool,
        /// Leave the HTTP comparison out: it needs wrk and two cores
        #[arg(long)]
        no_http: bool,
    },
    /// A role of the HTTP comparison: the upstream
    #[command(hide = true)]
    Upstream,
    /// A role of the HTTP comparison: the reverse proxy, with a gate in front or without
    #[command(hide = true)]
    Proxy {
        /// Where the upstream listens
        upstream: std::net::SocketAddr,
        /// Put the gate in front
        #[arg(long)]
        gated: bool,
    },
}

#[expect(clippy::print_stdout, reason = "an executable prints its results")]
fn main() -> Result<()> {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
    };
    match Arguments::parse().command {
        Command::Table {
            json,
            quick,
            no_http,
        } => {
            let rows = run::everything(if quick { Effort::QUICK } else { Effort::FULL }, !no_http)?;
            if json {
                println!("{}", serde_json::to_string_pretty(&rows)?);
            } else {
                print!("{}", table::to_text(&rows));
            }
            Ok(())
        }
        Command::Upstream => runtime()?.block_on(roles::upstream()),
        Command::Proxy { upstream, gated } => runtime()?.block_on(roles::proxy(upstream, gated)),
    }
}
