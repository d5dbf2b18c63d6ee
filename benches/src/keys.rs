//! A store with a million keys: how fast they are minted and looked up, and what that takes of memory.
//!
//! The store is made and filled by a process of its own, so that the memory measured afterwards is a gate's alone.

use std::{
    fs,
    net::Ipv4Addr,
    ops::Range,
    path::Path,
    process::Command as Process,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use http::{HeaderMap, HeaderValue};
use scopegate_host::{
    Clusters, Gate, Request, Verdict,
    admin::{Admin, Command, KeyRequest},
    directory::LookUp,
    engine::Isolation,
    key::KeyHash,
    store::{Actor, Change, Credential, CredentialKind, NewCredential},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub mod postgres;

use crate::{
    gate::{self, NOW_MS, VIEWER},
    table::{Bound, Row},
};

/// Keys that are in use at once: more than the look-up cache holds.
const USED: u64 = 100_000;
/// What a gate may take: 300 MB.
const MEMORY_MIB_MAX: f64 = 286.0;
/// Keys that are minted one by one, each in a transaction of its own.
const MINTED: u64 = 4_000;
/// Who mints or looks up at once, where it is not one alone.
const AT_ONCE: u64 = 16;
/// Keys in one transaction, where they are imported.
const BATCH: u64 = 10_000;
/// Look-ups that are timed.
const LOOK_UPS: u64 = 20_000;

/// What filling a store took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Filled {
    minted_per_second: f64,
    minted_at_once_per_second: f64,
    imported_per_second: f64,
}

/// Measures with so many keys, in a store below `directory`.
///
/// # Errors
/// When a process cannot be started, or a step fails.
pub async fn everything(count: u64, directory: &Path) -> Result<Vec<Row>> {
    let directory = tempfile::tempdir_in(directory)?;
    let filling = Process::new(std::env::current_exe()?)
        .arg("fill-keys")
        .arg(directory.path())
        .arg(count.to_string())
        .output()?;
    if !filling.status.success() {
        bail!("filling: {}", String::from_utf8_lossy(&filling.stderr));
    }
    let filled: Filled = serde_json::from_slice(&filling.stdout)?;
    let mut rows = vec![
        Row::figure(
            "mint: one after the other",
            filled.minted_per_second,
            "keys/s",
        ),
        Row::figure(
            "mint: 16 at once",
            filled.minted_at_once_per_second,
            "keys/s",
        ),
        Row::figure(
            "import: 10,000 at once",
            filled.imported_per_second,
            "keys/s",
        ),
        Row::figure(
            "the store's file",
            mib(fs::metadata(gate::store(directory.path()))?.len()),
            "MiB",
        ),
    ];
    rows.extend(looked_up(count, directory.path()).await?);
    Ok(rows)
}

/// Makes a store with so many keys: some minted as the command line does, the others imported.
///
/// # Errors
/// When a change is not made.
pub async fn fill(directory: &Path, count: u64) -> Result<Filled> {
    let gate = Arc::new(gate::open(directory, Isolation::Fresh, true).await?);
    gate::people(&gate).await?;
    let minted = MINTED.min(count / 4);
    let one_by_one = mint_one_by_one(&gate, minted).await?;
    let at_once = mint_at_once(&gate, minted).await?;
    let start = Instant::now();
    let organizations = gate.directory().store().list_organizations().await?;
    let organization = organizations.first().context("an organization")?.id;
    let users = gate
        .directory()
        .store()
        .list_users(Some(organization))
        .await?;
    let owner = users.first().context("a user")?.id;
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let credentials = (first..count.min(first + BATCH))
            .map(|number| imported(number, organization, owner))
            .collect();
        let import = Change::Import {
            organization,
            credentials,
        };
        gate.directory()
            .apply(import, Actor::Machine, NOW_MS)
            .await?;
    }
    let imported_per_second = per_second(count, start.elapsed());
    gate.directory().store().close().await;
    Ok(Filled {
        minted_per_second: one_by_one,
        minted_at_once_per_second: at_once,
        imported_per_second,
    })
}

/// Mints so many keys one after the other, and says how many in a second.
async fn mint_one_by_one(gate: &Gate, count: u64) -> Result<f64> {
    let start = Instant::now();
    for _ in 0..count {
        mint(gate).await?;
    }
    Ok(per_second(count, start.elapsed()))
}

/// The same by many at once.
async fn mint_at_once(gate: &Arc<Gate>, count: u64) -> Result<f64> {
    let start = Instant::now();
    let minting = (0..AT_ONCE).map(|_| {
        let gate = Arc::clone(gate);
        tokio::spawn(async move {
            for _ in 0..count / AT_ONCE {
                mint(&gate).await?;
            }
            anyhow::Ok(())
        })
    });
    for minting in minting.collect::<Vec<_>>() {
        minting.await??;
    }
    Ok(per_second(count / AT_ONCE * AT_ONCE, start.elapsed()))
}

async fn mint(gate: &Gate) -> Result<()> {
    let policy = gate.policy();
    let admin = Admin::new(gate.directory(), gate.contract(), policy.description());
    let request = KeyRequest {
        organization: None,
        owner: Some(VIEWER.into()),
        name: "ci".into(),
        scopes: Some(vec!["clusters:read".into()]),
        allowed_cluster_ids: vec!["prod".into()],
        expires_at: None,
    };
    admin.execute(Command::KeyMint(request), NOW_MS).await?;
    Ok(())
}

/// The key of this number, so that nobody has to keep a million of them.
fn text(number: u64) -> String {
    format!("imported-key-of-the-bench-{number:012}")
}

fn imported(number: u64, organization: Uuid, owner: Uuid) -> NewCredential {
    let key = text(number);
    let credential = Credential {
        id: Uuid::now_v7(),
        organization,
        kind: CredentialKind::ApiKey,
        name: format!("grafana-{number}"),
        owner: Some(owner),
        owner_email: None,
        scopes: Some(vec!["clusters:read".into()]),
        allowed_clusters: Clusters::only(["prod", "staging"]),
        cluster: None,
        prefix: "imported".into(),
        last_four: key.chars().skip(key.len().saturating_sub(4)).collect(),
        created_at: NOW_MS / 1000,
        expires_at: None,
        revoked_at: None,
        predecessor: None,
        successor: None,
        retires_at: None,
        last_used_at: None,
    };
    NewCredential {
        credential,
        hash: KeyHash::of(&key),
        idempotency: None,
    }
}

/// What a gate that starts on the store measures.
async fn looked_up(count: u64, directory: &Path) -> Result<Vec<Row>> {
    let bound = Bound::AtMost(MEMORY_MIB_MAX);
    let before = resident()?;
    let start = Instant::now();
    let gate = Arc::new(gate::open(directory, Isolation::Fresh, true).await?);
    let ready = start.elapsed();
    let mut rows = vec![
        Row::figure(
            "start-up: policy built and compiled, store opened",
            ms(ready),
            "ms",
        ),
        Row::figure("memory: before the start", before, "MiB"),
        Row::bounded("memory: after the start", resident()?, "MiB", bound),
    ];

    let cold = times(
        &gate,
        (0..LOOK_UPS.min(count / 10)).map(|at| scattered(at, count)),
    );
    let cold = cold.await?;
    let unknown = times(&gate, (0..LOOK_UPS).map(|at| count + at)).await?;
    let start = Instant::now();
    all(&gate, 0..USED.min(count)).await?;
    let used = per_second(USED.min(count), start.elapsed());
    let in_cache = LOOK_UPS.min(count / 2);
    let memory = resident()?;
    // Once to have them all there, and once to time them.
    let last = USED.min(count) - in_cache;
    let of_the_last = || (0..in_cache).map(|at| last + at);
    times(&gate, of_the_last()).await?;
    let cached = of_the_last()
        .filter(|at| is_cached(&gate, *at))
        .collect::<Vec<_>>();
    let share = percent(cached.len(), in_cache);
    let warm = times(&gate, cached.into_iter()).await?;
    let revoked = revoke(&gate, count).await?;
    rows.extend([
        Row::figure("look-up: cold, median", micros(cold.median), "µs"),
        Row::figure("look-up: cold, p99", micros(cold.p99), "µs"),
        Row::figure("look-up: unknown, median", micros(unknown.median), "µs"),
        Row::bounded(
            "look-up: cached, of 20,000 keys asked for twice",
            share,
            "%",
            Bound::AtLeast(90.0),
        ),
        Row::figure("look-up: warm, median", micros(warm.median), "µs"),
        Row::figure("look-up: warm, p99", micros(warm.p99), "µs"),
        Row::figure("requests with a key each, 16 at once", used, "requests/s"),
        Row::figure("revoke with a full cache, median", ms(revoked.median), "ms"),
        Row::bounded("memory: 100,000 keys in use", memory, "MiB", bound),
    ]);
    if count > USED {
        // Others take their places, again and again.
        all(&gate, USED..count.min(6 * USED)).await?;
        rows.push(Row::bounded(
            "memory: after many more keys",
            resident()?,
            "MiB",
            bound,
        ));
    }
    gate.directory().store().close().await;
    Ok(rows)
}

/// Numbers below `count` without any order; hardly any of them twice.
fn scattered(at: u64, count: u64) -> u64 {
    at.wrapping_mul(0x9e37_79b9_7f4a_7c15) % count
}

fn is_cached(gate: &Gate, number: u64) -> bool {
    let hash = KeyHash::of(&text(number));
    gate.directory().cached(&hash, NOW_MS).is_some()
}

/// How long things took.
struct Times {
    median: Duration,
    p99: Duration,
}

impl Times {
    fn of(mut each: Vec<Duration>) -> Self {
        each.sort_unstable();
        let at = |percent: usize| {
            each.get(each.len() * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        Self {
            median: at(50),
            p99: at(99),
        }
    }
}

/// Looks keys up, one after the other.
async fn times(gate: &Gate, numbers: impl Iterator<Item = u64>) -> Result<Times> {
    let mut each = Vec::new();
    for number in numbers {
        let hash = KeyHash::of(&text(number));
        let start = Instant::now();
        let found = gate.directory().by_key(&hash, NOW_MS).await?;
        each.push(start.elapsed());
        drop(found);
    }
    Ok(Times::of(each))
}

/// Sends a request with each of these keys through the whole gate, which must admit it.
async fn all(gate: &Arc<Gate>, numbers: Range<u64>) -> Result<()> {
    let sending = (0..AT_ONCE).map(|lane| {
        let (gate, numbers) = (Arc::clone(gate), numbers.clone());
        tokio::spawn(async move {
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("api.example"));
            for number in (numbers.start + lane..numbers.end).step_by(usize::try_from(AT_ONCE)?) {
                headers.insert("x-api-key", HeaderValue::from_str(&text(number))?);
                let request = Request {
                    method: "GET",
                    path: "/v1/clusters/prod/workloads",
                    query: "",
                    authority: None,
                    headers: &headers,
                    peer: Ipv4Addr::LOCALHOST.into(),
                    now_ms: NOW_MS,
                };
                let admitted = matches!(gate.check(&request).await, Verdict::Admit(_));
                ensure!(admitted, "key {number} is refused");
            }
            Ok(())
        })
    });
    for sending in sending.collect::<Vec<_>>() {
        sending.await??;
    }
    Ok(())
}

/// Revokes some keys that are in the cache.
async fn revoke(gate: &Gate, count: u64) -> Result<Times> {
    let mut each = Vec::new();
    for number in (count.min(USED) - 100)..count.min(USED) {
        let hash = KeyHash::of(&text(number));
        let LookUp::Found(key) = gate.directory().by_key(&hash, NOW_MS).await? else {
            bail!("key {number} is not there");
        };
        let start = Instant::now();
        let change = Change::Revoke(key.credential);
        gate.directory()
            .apply(change, Actor::Machine, NOW_MS)
            .await?;
        each.push(start.elapsed());
    }
    Ok(Times::of(each))
}

/// What this process has in memory, in MiB (`VmRSS`).
fn resident() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("/proc/self/status has VmRSS")?.parse()?;
    Ok(kib / 1024.0)
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
fn percent(part: usize, whole: u64) -> f64 {
    100.0 * part as f64 / whole as f64
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}
