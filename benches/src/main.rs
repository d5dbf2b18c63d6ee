//! `scopegate-benches table`: every figure of the speed table, measured now. `scopegate-benches keys`: a store with a
//! million keys. `scopegate-benches dashboard`: one with ten thousand keys and a million audit records, over HTTP.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use scopegate_benches::{dashboard, envoy, http::roles, keys, table};
#[cfg(feature = "peers")]
use scopegate_benches::{measure::Effort, run};

#[derive(Parser)]
#[command(about = "Measure the gate and its peers in one run")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fill a store with keys, look them up, and print what it took
    Keys {
        /// How many
        #[arg(long, default_value_t = 1_000_000)]
        count: u64,
        /// Where the store is made and removed again: on the disk to be measured
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        /// Print a JSON list, as `table` does
        #[arg(long)]
        json: bool,
    },
    /// A part of `keys`: makes the store
    #[command(hide = true)]
    FillKeys {
        /// Where
        directory: PathBuf,
        /// How many keys
        count: u64,
    },
    /// Fill a store with keys and audit records, serve it, and print what a dashboard waits for
    Dashboard {
        /// How many keys
        #[arg(long, default_value_t = 10_000)]
        keys: u64,
        /// How many records of requests
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
        /// Where the store is made and removed again: on the disk to be measured
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        /// Print a JSON list, as `table` does
        #[arg(long)]
        json: bool,
    },
    /// Make such a store, `gate.db`, and leave it there, for `scopegate serve`
    FillDashboard {
        /// Where; there must be none yet
        directory: PathBuf,
        /// How many keys
        #[arg(long, default_value_t = 10_000)]
        keys: u64,
        /// How many records of requests
        #[arg(long, default_value_t = 1_000_000)]
        records: u64,
    },
    /// Envoy alone, with its own filters, and with each way of asking the gate
    Envoy {
        /// The gate's program, of a release build
        #[arg(long, default_value = "target/release/scopegate")]
        scopegate: PathBuf,
        /// Print a JSON list, as `table` does
        #[arg(long)]
        json: bool,
    },
    /// Measure everything briefly and print the table
    #[cfg(feature = "peers")]
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
    /// A role of the comparison behind Envoy: who allows everything
    #[command(hide = true)]
    Allow,
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
        Command::Keys {
            count,
            directory,
            json,
        } => print(
            &runtime()?.block_on(keys::everything(count, &directory))?,
            json,
        ),
        Command::Dashboard {
            keys,
            records,
            directory,
            json,
        } => {
            let rows = async {
                let mut rows = dashboard::pages(&directory).await?;
                rows.extend(dashboard::everything(keys, records, &directory).await?);
                anyhow::Ok(rows)
            };
            print(&runtime()?.block_on(rows)?, json)
        }
        Command::FillDashboard {
            directory,
            keys,
            records,
        } => {
            runtime()?.block_on(dashboard::fill(&directory, keys, records))?;
            println!(
                "{} logs in with `{}`",
                dashboard::ADMIN,
                dashboard::PASSWORD
            );
            Ok(())
        }
        Command::Envoy { scopegate, json } => print(&envoy::everything(&scopegate)?, json),
        Command::FillKeys { directory, count } => {
            let filled = runtime()?.block_on(keys::fill(&directory, count))?;
            println!("{}", serde_json::to_string(&filled)?);
            Ok(())
        }
        #[cfg(feature = "peers")]
        Command::Table {
            json,
            quick,
            no_http,
        } => {
            let rows = run::everything(if quick { Effort::QUICK } else { Effort::FULL }, !no_http)?;
            print(&rows, json)
        }
        Command::Allow => runtime()?.block_on(envoy::allow::serve()),
        Command::Upstream => runtime()?.block_on(roles::upstream()),
        Command::Proxy { upstream, gated } => runtime()?.block_on(roles::proxy(upstream, gated)),
    }
}

#[expect(clippy::print_stdout, reason = "an executable prints its results")]
fn print(rows: &[table::Row], json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(rows)?);
    } else {
        print!("{}", table::to_text(rows));
    }
    Ok(())
}
