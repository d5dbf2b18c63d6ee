//! What a dashboard asks for, on a store with ten thousand keys and a million audit records: how long each list, search
//! and summary takes over HTTP.

mod fill;

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reqwest::Client;
use scopegate_axum::{Clock, list::LIST_BYTES_MAX};
use scopegate_server::{
    ConnectionLimits, Management, ProxyLimits, Running, Server, ServerParts, Upstream, metrics,
};
use serde_json::{Value, json};

use crate::{
    measure::median,
    table::{Bound, Row},
};

pub use fill::{ADMIN, PASSWORD, fill};

/// Requests of each kind that are timed, after two that are not.
const TIMES: usize = 21;
/// What a page of keys may take, in milliseconds: a few.
const KEYS_MS_MAX: f64 = 10.0;
/// What a page of the audit may take.
const AUDIT_MS_MAX: f64 = 100.0;
/// What a page of the dashboard may take on such a store, and on a small one.
const PAGE_MS_MAX: f64 = 100.0;
const SMALL_PAGE_MS_MAX: f64 = 20.0;
/// Keys and records of a small one.
const SMALL: (u64, u64) = (10, 1_000);
/// Every page that an administrator opens without choosing something first.
const PAGES: [&str; 15] = [
    "/-/",
    "/-/keys",
    "/-/keys/all",
    "/-/keys/all?name=key-1&sort=name",
    "/-/keys/new",
    "/-/clusters",
    "/-/clusters/connect",
    "/-/users",
    "/-/users/invite",
    "/-/roles",
    "/-/roles/new",
    "/-/settings/organization",
    "/-/policy",
    "/-/audit",
    "/-/profile/security",
];
/// What a summary of it may take.
const SUMMARY_MS_MAX: f64 = 50.0;

const ANY_PORT: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));

/// Makes a store with so many keys and records below `directory`, serves it, and measures.
///
/// # Errors
/// When something of it cannot be set up, or anything but a 200 comes back.
pub async fn everything(keys: u64, records: u64, directory: &Path) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir_in(directory)?;
    let start = Instant::now();
    fill(directory.path(), keys, records).await?;
    let mut rows = vec![Row::figure(
        format!("filling: {keys} keys, {records} records"),
        start.elapsed().as_secs_f64(),
        "s",
    )];
    let start = Instant::now();
    let running = serve(directory.path()).await?;
    rows.push(Row::figure("start-up", ms(start.elapsed()), "ms"));
    let management = running.management_addr().context("a management listener")?;
    let asker = Asker::signed_in(format!("http://{management}")).await?;
    for (name, path, ms_max) in requests() {
        let took = asker.time(&path).await?;
        rows.push(Row::bounded(name, took, "ms", Bound::AtMost(ms_max)));
    }
    rows.extend(asker.time_pages("page", PAGE_MS_MAX).await?);
    running.shutdown().await;
    Ok(rows)
}

/// The pages alone, on a store as the demo's.
///
/// # Errors
/// As [`everything`].
pub async fn pages(directory: &Path) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir_in(directory)?;
    let (keys, records) = SMALL;
    fill(directory.path(), keys, records).await?;
    let running = serve(directory.path()).await?;
    let management = running.management_addr().context("a management listener")?;
    let asker = Asker::signed_in(format!("http://{management}")).await?;
    let rows = asker
        .time_pages("page, small store", SMALL_PAGE_MS_MAX)
        .await;
    running.shutdown().await;
    rows
}

/// What is asked for: by what name, at which path, and in how many milliseconds at most.
fn requests() -> Vec<(String, String, f64)> {
    let mut requests = Vec::new();
    for member in ["created_at", "name", "last_used_at", "expires_at"] {
        for sign in ["-", ""] {
            let sort = format!("{sign}{member}");
            for (whose, path) in [("mine", "keys"), ("all", "organization/keys")] {
                let path = format!("/-/api/{path}?sort={sort}");
                requests.push((format!("keys: {whose}, {sort}"), path, KEYS_MS_MAX));
            }
        }
    }
    let since = |days: i64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |now| now.as_secs()).cast_signed();
        format!("since={}", fill::moment(now - days * 24 * 3600))
    };
    for query in [
        String::new(),
        "kind=change".into(),
        "kind=request".into(),
        "outcome=admit".into(),
        "outcome=refuse".into(),
        "reason=missing-permission".into(),
        "reason=nothing-has-it".into(),
        "action=key.import".into(),
        "action=nothing.has-it".into(),
        "path=/v1/clusters/prod".into(),
        "path=/nothing".into(),
        "outcome=refuse&path=/nothing".into(),
        since(1),
        since(30),
        format!("{}&path=/nothing", since(30)),
    ] {
        let path = format!("/-/api/audit?{query}");
        let name = query.split("since=").next().unwrap_or_default().len();
        let name = match (name, query.len()) {
            (0, 0) => "everything".to_owned(),
            (name, whole) if name == whole => query,
            _ => query.replacen("since=", "since ", 1),
        };
        requests.push((format!("audit: {name}"), path, AUDIT_MS_MAX));
    }
    for days in [1, 7, 30, 91] {
        let path = format!("/-/api/audit/summary?{}", since(days));
        requests.push((format!("summary: {days} days"), path, SUMMARY_MS_MAX));
    }
    requests
}

/// The server on a store that was filled.
async fn serve(directory: &Path) -> Result<Running> {
    let gate = Arc::new(fill::open(directory).await?);
    let policies = fill::policies(&gate).await?;
    let running = Server::start(ServerParts {
        gate,
        policies,
        policy_file: None,
        clock: Clock::System,
        listen: ANY_PORT,
        management: Management::Listen(ANY_PORT),
        public_url: None,
        upstream: Upstream {
            url: "http://127.0.0.1:9".parse()?,
            preserve_host: false,
            roots: Vec::new(),
        },
        proxy: ProxyLimits::default(),
        connections: ConnectionLimits::default(),
        trusted_proxies: Vec::new(),
        check: None,
        list_bytes_max: LIST_BYTES_MAX,
        command_line: None,
        metrics: metrics::recorder(),
        secret_scanning: None,
        filters: None,
        audit_keep: None,
        drain: Duration::ZERO,
    });
    Ok(running.await?)
}

/// An administrator who asks.
struct Asker {
    client: Client,
    base: String,
    token: String,
}

impl Asker {
    async fn signed_in(base: String) -> Result<Self> {
        let client = Client::builder().build()?;
        let body = json!({ "email": ADMIN, "password": PASSWORD }).to_string();
        let reply = client
            .post(format!("{base}/-/login"))
            .header("content-type", "application/json")
            .body(body)
            .send()
            .await?;
        let reply: Value = serde_json::from_str(&reply.text().await?)?;
        let token = reply.get("token").and_then(Value::as_str);
        Ok(Self {
            token: token.context("a session")?.to_owned(),
            client,
            base,
        })
    }

    /// The medians of the pages, as a browser asks for them.
    async fn time_pages(&self, name: &str, ms_max: f64) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for path in PAGES {
            let took = self.time(path).await?;
            rows.push(Row::bounded(
                format!("{name}: {path}"),
                took,
                "ms",
                Bound::AtMost(ms_max),
            ));
        }
        Ok(rows)
    }

    /// The median of some requests, in milliseconds.
    async fn time(&self, path: &str) -> Result<f64> {
        let mut each = Vec::new();
        for _ in 0..TIMES + 2 {
            let start = Instant::now();
            let reply = self
                .client
                .get(format!("{}{path}", self.base))
                .bearer_auth(&self.token)
                .header("cookie", format!("scopegate={}", self.token))
                .send()
                .await?;
            let status = reply.status();
            let body = reply.text().await?;
            each.push(ms(start.elapsed()));
            ensure!(status == 200, "{path}: {status}: {body}");
        }
        Ok(median(each.split_off(2)))
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
