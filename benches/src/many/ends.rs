//! How soon a revocation on one gate ends what is under way on another.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use scopegate_host::{
    Gate,
    store::{Actor, Change},
};
use secrecy::ExposeSecret as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
    time,
};

use super::load::{Pace, Running};
use crate::{
    gate::{self, NOW_MS},
    http::{TARGET, process::Process, roles::ENDLESS},
    table::{Bound, Row},
};

/// Keys that are revoked, each with an endless reply under way.
const REVOCATIONS: u32 = 200;
/// From the end of one to the next.
const PAUSE: Duration = Duration::from_millis(50);
/// For how long the other gate is under load: longer than all of them take.
const LOADED: Duration = Duration::from_secs(25);
/// What no revocation may need.
const PATIENCE: Duration = Duration::from_secs(20);

/// Revokes on `first`, while `second` answers `rate` requests a second with this key.
pub(super) async fn rows(first: &Gate, second: &Process, key: &str, rate: f64) -> Result<Vec<Row>> {
    let mut under_way = Vec::new();
    for _ in 0..REVOCATIONS {
        let (credential, secret) = gate::mint(first).await?;
        let ended = begin(second.address, secret.expose_secret()).await?;
        under_way.push((credential.id, ended));
    }
    let load = Running::start(second.address, key, Pace::Steady(rate), LOADED)?;
    time::sleep(Duration::from_secs(1)).await;
    let (mut returned, mut ends) = (Vec::new(), Vec::new());
    for (id, ended) in under_way {
        ensure!(!ended.is_finished(), "a reply ended before its key did");
        let begun = Instant::now();
        first
            .directory()
            .apply(Change::Revoke(id), Actor::Machine, NOW_MS)
            .await?;
        returned.push(begun.elapsed());
        let ended = time::timeout(PATIENCE, ended)
            .await
            .context("a reply goes on without its key")??;
        ends.push(ended.saturating_duration_since(begun));
        time::sleep(PAUSE).await;
    }
    let load = tokio::task::spawn_blocking(move || load.end()).await??;
    returned.sort_unstable();
    ends.sort_unstable();
    Ok(vec![
        Row::figure(
            "revoked on one gate: the other answers meanwhile",
            load.per_second,
            "requests/s",
        ),
        Row::figure("revoked on one gate: returns, p50", at(&returned, 50), "ms"),
        Row::figure("revoked on one gate: returns, p99", at(&returned, 99), "ms"),
        Row::figure(
            "revoked on one gate: reply on the other ends, p50",
            at(&ends, 50),
            "ms",
        ),
        Row::bounded(
            "revoked on one gate: reply on the other ends, p99",
            at(&ends, 99),
            "ms",
            Bound::AtMost(50.0),
        ),
        Row::bounded(
            "revoked on one gate: reply on the other ends, slowest of 200",
            at(&ends, 100),
            "ms",
            Bound::AtMost(1000.0),
        ),
    ])
}

/// Begins an endless reply; what comes back resolves at its end, with when that was.
async fn begin(address: SocketAddr, key: &str) -> Result<JoinHandle<Instant>> {
    let mut stream = TcpStream::connect(address).await?;
    let request =
        format!("GET {TARGET}?{ENDLESS} HTTP/1.1\r\nHost: api.example\r\nX-API-Key: {key}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (mut said, mut part) = (Vec::new(), [0; 1024]);
    while !String::from_utf8_lossy(&said).contains("begun") {
        let length = stream.read(&mut part).await?;
        ensure!(
            length > 0,
            "no reply has begun: {}",
            String::from_utf8_lossy(&said)
        );
        said.extend(part.iter().take(length));
    }
    Ok(tokio::spawn(async move {
        while matches!(stream.read(&mut part).await, Ok(1..)) {}
        Instant::now()
    }))
}

/// In milliseconds, of sorted times.
fn at(times: &[Duration], percent: usize) -> f64 {
    let place = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    let took = times.get(place).copied().unwrap_or_default();
    took.as_secs_f64() * 1e3
}
