//! `scopegate serve`: the gate, until it is told to stop.

use std::io::IsTerminal as _;

use anyhow::Result;
use clap::Args;
use scopegate_host::store::Purpose;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, Layer, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
};

use crate::{Common, assembly, output::note, stop::Stop, supervisor, traces::Traces};

const EXAMPLES: &str = "\
Examples:
  scopegate serve
  scopegate serve --config /etc/scopegate/scopegate.yaml
  SCOPEGATE_LOG=debug scopegate serve

Logs go to standard error, audit records where the configuration says. SIGTERM and Ctrl-C let
what is under way finish. A store that `scopegate demo` made is refused: its secrets were printed.";

/// Run the gate as the configuration says
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Serve {}

pub(crate) async fn run(Serve {}: Serve, common: &Common) -> Result<()> {
    let mut config = assembly::configuration(&common.config)?;
    let traces = config.traces.take().map(Traces::start).transpose()?;
    log("info", traces.as_ref());
    let mut stop = Stop::listen()?;
    let running = assembly::start(config, Purpose::Serve).await?;
    let server = &running.server;
    note(&format!("listening on http://{}", server.public_addr()));
    if let Some(address) = running.envoy_addr() {
        note(&format!("answering Envoy on {address}"));
    }
    if let Some(address) = server.management_addr() {
        note(&format!("metrics on http://{address}/-/metrics"));
    }
    supervisor::ready();
    stop.asked().await;
    supervisor::stopping();
    note("stopping: waiting for what is under way");
    running.shutdown().await;
    if let Some(traces) = traces {
        traces.shutdown().await;
    }
    Ok(())
}

/// Logs to standard error, as much as `SCOPEGATE_LOG` says or else this much; and spans go where they are exported to.
pub(crate) fn log(level: &str, traces: Option<&Traces>) {
    let filter = EnvFilter::try_from_env("SCOPEGATE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    match traces {
        // One filter for everything is the cheapest: what it leaves out costs nothing.
        None => tracing_subscriber::registry()
            .with(filter)
            .with(lines())
            .init(),
        Some(traces) => tracing_subscriber::registry()
            .with(lines().with_filter(filter))
            .with(traces.layer())
            .init(),
    }
}

/// Lines on standard error.
fn lines<S>() -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    // Files and pipes are read by programs. https://no-color.org
    let is_asked_for = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let is_coloured = is_asked_for && std::io::stderr().is_terminal();
    tracing_subscriber::fmt::layer()
        .with_ansi(is_coloured)
        .with_writer(std::io::stderr)
}
