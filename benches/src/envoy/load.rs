//! Load on an Envoy: as much as it can take, by wrk; and at a steady rate, by h2load.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};

use crate::http::{CONNECTIONS, LOAD_CORE, TARGET, number_after, number_before};

/// As much as it can take.
pub(super) struct Load {
    pub(super) per_second: f64,
    pub(super) requests: f64,
}

/// Runs wrk.
pub(super) fn full(address: SocketAddr, key: &str, duration: Duration) -> Result<Load> {
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "wrk", "-t1", "-c", CONNECTIONS])
        .arg(format!("-d{}s", duration.as_secs_f64().ceil()))
        .args(["-H", &format!("X-API-Key: {key}")])
        .arg(format!("http://{address}{TARGET}"))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "wrk failed: {text}");
    let wrong = |line: &&str| line.contains("Non-2xx") || line.contains("Socket errors");
    if let Some(line) = text.lines().find(wrong) {
        bail!("wrk did not get what it asked for: {}", line.trim());
    }
    let requests = number_before(&text, " requests in").context("wrk made no request")?;
    let per_second = number_after(&text, "Requests/sec:").context("wrk made no request")?;
    ensure!(requests > 0.0, "wrk got no reply");
    Ok(Load {
        per_second,
        requests,
    })
}

/// Latencies at a steady rate.
#[derive(Clone)]
pub(super) struct Steady {
    pub(super) p50_micros: f64,
    pub(super) p99_micros: f64,
}

/// Connections at a steady rate: few enough that h2load keeps its times.
const CLIENTS: u32 = 8;
/// They begin one after the other, or all would ask at the same moments and wait for each other. In no proportion to
/// the time between two requests of one.
const BEGIN_EVERY: &str = "11ms";
/// How much of each turn is not looked at.
const WARM_UP: Duration = Duration::from_secs(1);

/// Runs h2load, which writes each request's time into a file of this directory.
pub(super) fn steady(
    address: SocketAddr,
    key: &str,
    rate: f64,
    duration: Duration,
    directory: &Path,
) -> Result<Steady> {
    let log = directory.join("requests.tsv");
    let _ = std::fs::remove_file(&log);
    let of = |time: Duration| (rate * time.as_secs_f64()) as usize;
    let output = Command::new("taskset")
        .args(["-c", LOAD_CORE, "h2load", "--h1"])
        .args(["-c", &CLIENTS.to_string()])
        .arg(format!("--rps={:.0}", (rate / f64::from(CLIENTS)).max(1.0)))
        .args(["-r", "1", "--rate-period", BEGIN_EVERY])
        .args(["-n", &of(WARM_UP + duration).to_string()])
        .arg("--log-file")
        .arg(&log)
        .args(["-H", &format!("X-API-Key: {key}")])
        .arg(format!("http://{address}{TARGET}"))
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "h2load failed: {said}");
    let text = std::fs::read_to_string(&log).context("h2load wrote no times")?;
    let mut micros = Vec::new();
    for line in text.lines().skip(of(WARM_UP)) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [_, status, time] = fields.as_slice() else {
            bail!("h2load wrote `{line}`");
        };
        ensure!(*status == "200", "h2load got {status}");
        micros.push(time.parse::<f64>()?);
    }
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = (micros.len() as f64 * part) as usize;
        micros
            .get(place.min(micros.len().saturating_sub(1)))
            .copied()
    };
    Ok(Steady {
        p50_micros: at(0.5).context("h2load got no reply")?,
        p99_micros: at(0.99).context("h2load got no reply")?,
    })
}
