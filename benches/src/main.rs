//! `scopegate-benches table`: every figure of the speed table, measured now. `scopegate-benches keys`: a store with a
//! million keys, or with as many as you like in a PostgreSQL. `scopegate-benches many`: a gate of many. `scopegate-benches
//! dashboard`: a store with ten thousand keys and a million audit records, over HTTP.

use std::{path::PathBuf, time::Duration};

use anyhow::Result;
use clap::{Parser, Subcommand};
use scopegate_benches::{dashboard, envoy, gate::Shared, http::roles, keys, many, table};
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
        /// In a PostgreSQL that is started for it, beside a Redis
        #[arg(long)]
        postgres: bool,
        /// Where the store is made and removed again: on the disk to be measured
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        /// Print a JSON list, as `table` does
        #[arg(long)]
        json: bool,
    },
    /// A gate on SQLite and one on PostgreSQL and Redis, which are started for it, under the same load
    Many {
        /// Where PostgreSQL's data are made and removed again
        #[arg(long, default_value = ".")]
        directory: PathBuf,
        /// Print a JSON list, as `table` does
        #[arg(long)]
        json: bool,
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
    #[command(flatten)]
    Role(Role),
}

/// What this program runs as processes of their own.
#[derive(Subcommand)]
enum Role {
    /// A part of `keys`: makes the store
    #[command(hide = true)]
    FillKeys {
        /// Where
        directory: PathBuf,
        /// How many keys
        count: u64,
    },
    /// A part of `keys --postgres`: fills the store
    #[command(hide = true)]
    FillKeysPostgres {
        /// How many keys
        count: u64,
        /// The URL of PostgreSQL
        store: String,
        /// The URL of Redis
        counters: String,
    },
    /// A role of the comparison behind Envoy: who allows everything
    #[command(hide = true)]
    Allow,
    /// A role of `many`: the client
    #[command(hide = true)]
    Load {
        /// Where the gate listens
        address: std::net::SocketAddr,
        /// The key that it is asked with
        key: String,
        /// For how long
        #[arg(long)]
        seconds: f64,
        /// Requests in a second; without it, as fast as it is answered
        #[arg(long)]
        rate: Option<f64>,
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
        /// The gate's PostgreSQL, by its URL; without one it has a store of its own
        #[arg(long, requires = "counters")]
        store: Option<String>,
        /// And its Redis
        #[arg(long, requires = "store")]
        counters: Option<String>,
    },
}

#[expect(clippy::print_stdout, reason = "an executable prints its results")]
fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Keys {
            count,
            postgres,
            directory,
            json,
        } => {
            let runtime = runtime()?;
            let rows = match postgres {
                true => runtime.block_on(keys::postgres::everything(count, &directory))?,
                false => runtime.block_on(keys::everything(count, &directory))?,
            };
            print(&rows, json)
        }
        Command::Many { directory, json } => {
            print(&runtime()?.block_on(many::everything(&directory))?, json)
        }
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
        #[cfg(feature = "peers")]
        Command::Table {
            json,
            quick,
            no_http,
        } => {
            let rows = run::everything(if quick { Effort::QUICK } else { Effort::FULL }, !no_http)?;
            print(&rows, json)
        }
        Command::Role(role) => play(role),
    }
}

fn play(role: Role) -> Result<()> {
    match role {
        Role::FillKeys { directory, count } => {
            let filled = runtime()?.block_on(keys::fill(&directory, count))?;
            say(&filled)
        }
        Role::FillKeysPostgres {
            count,
            store,
            counters,
        } => {
            let shared = Shared { store, counters };
            let filled = runtime()?.block_on(keys::postgres::fill(count, &shared))?;
            say(&filled)
        }
        Role::Allow => runtime()?.block_on(envoy::allow::serve()),
        Role::Upstream => runtime()?.block_on(roles::upstream()),
        Role::Load {
            address,
            key,
            seconds,
            rate,
        } => {
            let duration = Duration::from_secs_f64(seconds);
            let load = many::load::ask(address, &key, rate, duration)?;
            say(&load)
        }
        Role::Proxy {
            upstream,
            gated,
            store,
            counters,
        } => {
            let shared = store
                .zip(counters)
                .map(|(store, counters)| Shared { store, counters });
            runtime()?.block_on(roles::proxy(upstream, gated, shared))
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

#[expect(clippy::print_stdout, reason = "whoever started the role reads this")]
fn say(what: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(what)?);
    Ok(())
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
