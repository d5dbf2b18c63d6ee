//! `scopegate demo`: everything in one process on a throwaway store, to try the gate with nothing prepared.

mod tour;
mod upstream;
mod world;

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result};
use clap::{Args, builder::PossibleValuesParser};
use scopegate_host::{KeyRing, audit::AuditKey, contract::BUILTIN_NAMES, store::Purpose};
use scopegate_server::{Config, StartError};
use tokio::net::TcpListener;

use self::world::World;
use crate::{
    assembly::{self, Gateway},
    failure::Failure,
    output::{self, Output},
    serve,
    stop::Stop,
};

const EXAMPLES: &str = "\
Examples:
  scopegate demo
  scopegate demo --contract kubeadapt
  scopegate demo --listen 127.0.0.1:0 --json

Prints `export` lines and curl lines to paste into another terminal; with `--json`, one line
for scripts instead. It listens on loopback, and Ctrl-C ends it and removes everything.";

/// Run everything in one process on a throwaway store, with users, keys and a sample API
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Whose words the gate speaks
    #[arg(long, value_name = "NAME", default_value = "scopegate", value_parser = PossibleValuesParser::new(BUILTIN_NAMES))]
    contract: String,
    /// Where it listens; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Print one JSON line once it is ready, and nothing else
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(demo: Demo, output: Output) -> Result<()> {
    serve::log("warn", None);
    // Listened to from the start, so that whenever it ends, the directory goes.
    let mut stop = Stop::listen()?;
    let directory = tempfile::Builder::new()
        .prefix("scopegate-demo-")
        .tempdir()
        .context("there is no place for the store")?;
    let (running, world) = tokio::select! {
        started = start(&demo, directory.path()) => started?,
        () = stop.asked() => return Ok(()),
    };
    if demo.json || output == Output::Json {
        output::line(&serde_json::to_string(&world)?)?;
    } else {
        output::line(&tour::page(&world, directory.path()))?;
    }
    stop.asked().await;
    running.shutdown().await;
    directory
        .close()
        .context("the demo's directory cannot be removed")
}

async fn start(demo: &Demo, directory: &Path) -> Result<(Gateway, World)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .context("the sample API cannot listen on loopback")?;
    let upstream = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, upstream::router()).await });
    KeyRing::create(&directory.join("signing-keys.json"))?;
    AuditKey::create(&directory.join("audit-key.json"))?;
    // The demo shares its one listener with `/-/`: an explicit choice, which `serve` does not make by itself.
    let text = format!(
        "listen: \"{}\"\ncontract: {}\nupstream: http://{upstream}\nstore: sqlite://demo.db\n\
         audit: {{ lines: audit.jsonl, key: audit-key.json, heads: audit-heads.jsonl }}\n\
         sessions: {{ keys: signing-keys.json }}\nmanagement: {{ listen: shared }}\nlimits: {{ drain_time: 2s }}\n",
        demo.listen, demo.contract
    );
    let config = Config::read("the demo's configuration", &text, directory, |_| None)?;
    let running = assembly::start(config, Purpose::Demo)
        .await
        .map_err(|error| occupied(error, demo))?;
    let url = format!("http://{}", running.server.public_addr());
    let world = World::make(running.server.gate(), url).await?;
    Ok((running, world))
}

fn occupied(error: anyhow::Error, demo: &Demo) -> anyhow::Error {
    match error.downcast_ref::<StartError>() {
        Some(StartError::Listen { address, .. }) if *address == demo.listen => {
            Failure::new(error.to_string())
                .help("`--listen 127.0.0.1:0` takes a free port")
                .into()
        }
        _ => error,
    }
}
