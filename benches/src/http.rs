//! The server as a reverse proxy to one upstream, with the gate and without, under load from wrk.
//!
//! Three processes: the server alone on one core, the upstream and wrk together on the other. Both servers stay
//! up all the time, and runs alternate between them, so that whatever else the machine does falls on both. What
//! a request costs the server is its own processor time from `/proc`, whatever wrk's clock says.

use std::{net::SocketAddr, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::measure::{Effort, median};

pub mod process;
pub mod roles;

use process::{Process, processor_time};

/// The core that the server has for itself.
pub(crate) const SERVER_CORE: &str = "0";
/// The core of the upstream and of wrk.
pub(crate) const LOAD_CORE: &str = "1";
/// Kept-alive connections that wrk holds.
pub(crate) const CONNECTIONS: &str = "32";
/// What wrk asks for: a route on a cluster that the key may read.
pub(crate) const TARGET: &str = "/v1/clusters/prod/workloads";

/// What was measured: medians over pairs of runs.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    /// Requests per second without the gate.
    pub plain_per_second: f64,
    /// Requests per second with the gate.
    pub gated_per_second: f64,
    /// The second over the first, pair by pair.
    pub throughput_ratio: f64,
    /// Processor microseconds of the server per request, without the gate.
    pub plain_cpu_micros: f64,
    /// The same with the gate.
    pub gated_cpu_micros: f64,
    /// The difference, pair by pair.
    pub added_cpu_micros: f64,
}

/// Runs the comparison.
///
/// # Errors
/// When wrk or taskset is not installed, when a process does not come up, and when anything but a 2xx came back.
pub fn compare(effort: Effort) -> Result<Comparison> {
    require("wrk", "wrk")?;
    require("taskset", "util-linux")?;
    let upstream = Process::start(LOAD_CORE, &["upstream"])?;
    let plain = Process::start(SERVER_CORE, &["proxy", &upstream.address.to_string()])?;
    let gated = Process::start(
        SERVER_CORE,
        &["proxy", &upstream.address.to_string(), "--gated"],
    )?;
    let warm_up = effort.http_run / 2;
    run(&plain, &gated, warm_up)?;
    let pairs = (0..effort.http_pairs)
        .map(|_| run(&plain, &gated, effort.http_run))
        .collect::<Result<Vec<(Run, Run)>>>()?;
    let middle = |of: fn(&Run, &Run) -> f64| {
        median(
            pairs
                .iter()
                .map(|(plain, gated)| of(plain, gated))
                .collect(),
        )
    };
    Ok(Comparison {
        plain_per_second: middle(|plain, _| plain.per_second),
        gated_per_second: middle(|_, gated| gated.per_second),
        throughput_ratio: middle(|plain, gated| gated.per_second / plain.per_second),
        plain_cpu_micros: middle(|plain, _| plain.cpu_micros),
        gated_cpu_micros: middle(|_, gated| gated.cpu_micros),
        added_cpu_micros: middle(|plain, gated| gated.cpu_micros - plain.cpu_micros),
    })
}

/// One run of wrk against one server.
struct Run {
    per_second: f64,
    cpu_micros: f64,
}

fn run(plain: &Process, gated: &Process, duration: Duration) -> Result<(Run, Run)> {
    Ok((load(plain, duration)?, load(gated, duration)?))
}

fn load(server: &Process, duration: Duration) -> Result<Run> {
    let before = processor_time(server.id())?;
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "wrk", "-t1", "-c", CONNECTIONS])
        .arg(format!("-d{}s", duration.as_secs_f64().ceil()))
        .args([
            "-H",
            &format!("X-API-Key: {}", server.key.as_deref().unwrap_or("none")),
        ])
        .arg(format!("http://{}{TARGET}", server.address))
        .output()?;
    let used = processor_time(server.id())?.saturating_sub(before);
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "wrk failed: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    if let Some(line) = text
        .lines()
        .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"))
    {
        bail!("wrk did not get what it asked for: {}", line.trim());
    }
    let requests = number_before(&text, " requests in")
        .context("wrk did not say how many requests it made")?;
    let per_second = number_after(&text, "Requests/sec:")
        .context("wrk did not say how many requests a second it made")?;
    ensure!(requests > 0.0, "wrk got no reply");
    Ok(Run {
        per_second,
        cpu_micros: used.as_secs_f64() * 1e6 / requests,
    })
}

pub(crate) fn number_before(text: &str, words: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.split_once(words)?.0.trim().parse().ok())
}

pub(crate) fn number_after(text: &str, words: &str) -> Option<f64> {
    text.lines()
        .find_map(|line| line.split_once(words)?.1.trim().parse().ok())
}

pub(crate) fn require(program: &str, package: &str) -> Result<()> {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    });
    ensure!(
        found,
        "`{program}` is not installed; try `apt-get install {package}`"
    );
    Ok(())
}

/// What a server or an upstream prints when it is up.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Ready {
    /// Where it listens.
    pub address: SocketAddr,
    /// A key that its gate admits, if it has one.
    pub key: Option<String>,
}
