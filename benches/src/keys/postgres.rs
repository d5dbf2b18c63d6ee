//! A store with millions of keys in a PostgreSQL, beside a Redis, as many gates have it.
//!
//! The keys are copied into the schema that the gate made. Then the server is stopped, what the kernel keeps of its files is
//! dropped, and a gate starts on it whose memory and look-ups are measured.

use std::{
    fmt::Write as _,
    path::Path,
    process::Command as Process,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use scopegate_host::{engine::Isolation, key::KeyHash};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use super::{
    LOOK_UPS, MEMORY_MIB_MAX, MINTED, USED, all, is_cached, mib, micros, mint_at_once,
    mint_one_by_one, ms, per_second, percent, resident, revoke, scattered, text, times,
};
use crate::{
    engines::{machine, postgres::Postgres, redis::Redis},
    gate::{self, NOW_MS, Shared},
    table::{Bound, Row},
};

/// Keys in one `COPY`, and so in one transaction.
const COPIED_AT_ONCE: u64 = 250_000;
/// Bytes that are sent at once.
const SENT_BYTES: usize = 1 << 20;

/// What filling a store took.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Filled {
    copied_per_second: f64,
    indexed_secs: f64,
    database_mib: f64,
    minted_per_second: f64,
    minted_at_once_per_second: f64,
}

/// Measures with so many keys, in a server whose data are below `directory`.
///
/// # Errors
/// When a server is missing or does not come up, or a step fails.
pub async fn everything(count: u64, directory: &Path) -> Result<Vec<Row>> {
    let mut postgres = Postgres::start(directory, None)?;
    let redis = Redis::start(None)?;
    let shared = Shared {
        store: postgres.url(),
        counters: redis.url(),
    };
    let filling = Process::new(std::env::current_exe()?)
        .args(["fill-keys-postgres", &count.to_string()])
        .args([&shared.store, &shared.counters])
        .output()?;
    if !filling.status.success() {
        bail!("filling: {}", String::from_utf8_lossy(&filling.stderr));
    }
    let filled: Filled = serde_json::from_slice(&filling.stdout)?;
    let mut rows = vec![
        machine(&postgres, &redis)?,
        Row::figure(
            "copy, with the indexes of ids and hashes",
            filled.copied_per_second,
            "keys/s",
        ),
        Row::figure("the other indexes", filled.indexed_secs, "s"),
        Row::figure("the database", filled.database_mib, "MiB"),
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
    ];
    postgres.restart_cold()?;
    rows.extend(looked_up(count, &shared).await?);
    Ok(rows)
}

/// Fills an empty store with so many keys, and mints some more.
///
/// # Errors
/// When a server does not do what it is asked for.
pub async fn fill(count: u64, shared: &Shared) -> Result<Filled> {
    let lines = tempfile::tempdir()?;
    let gate = Arc::new(gate::open_shared(shared, lines.path(), Isolation::Fresh, true).await?);
    gate::people(&gate).await?;
    let store = gate.directory().store();
    let organizations = store.list_organizations().await?;
    let organization = organizations.first().context("an organization")?.id;
    let users = store.list_users(Some(organization)).await?;
    let owner = users.first().context("a user")?.id;

    let mut connection = PgConnection::connect(&shared.store).await?;
    // Made again below as they are: what is sorted first is built several times as fast.
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = 'credentials' \
         AND indexname NOT IN (SELECT conname FROM pg_constraint)",
    )
    .fetch_all(&mut connection)
    .await?;
    for (name, _) in &indexes {
        let drop = format!("DROP INDEX {name}");
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await?;
    }
    // What references are there is known: nobody looks at each.
    sqlx::raw_sql("SET session_replication_role = replica")
        .execute(&mut connection)
        .await?;
    let start = Instant::now();
    for first in (0..count).step_by(usize::try_from(COPIED_AT_ONCE)?) {
        let numbers = first..count.min(first + COPIED_AT_ONCE);
        copy(&mut connection, numbers, organization, owner).await?;
    }
    let copied_per_second = per_second(count, start.elapsed());
    let start = Instant::now();
    for (_, definition) in indexes {
        sqlx::raw_sql(AssertSqlSafe(definition))
            .execute(&mut connection)
            .await?;
    }
    let indexed_secs = start.elapsed().as_secs_f64();
    sqlx::raw_sql("VACUUM ANALYZE credentials")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
    let (bytes,): (i64,) = sqlx::query_as("SELECT pg_database_size(current_database())")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;

    let minted = MINTED.min(count / 4);
    let minted_per_second = mint_one_by_one(&gate, minted).await?;
    let minted_at_once_per_second = mint_at_once(&gate, minted).await?;
    gate.directory().store().close().await;
    Ok(Filled {
        copied_per_second,
        indexed_secs,
        database_mib: mib(u64::try_from(bytes)?),
        minted_per_second,
        minted_at_once_per_second,
    })
}

/// Copies the keys of these numbers.
async fn copy(
    connection: &mut PgConnection,
    numbers: std::ops::Range<u64>,
    organization: Uuid,
    owner: Uuid,
) -> Result<()> {
    let mut copying = connection
        .copy_in_raw(
            "COPY credentials (id, organization, kind, name, owner, scopes, allowed_clusters, hash, prefix, last_four, \
             created_at) FROM STDIN",
        )
        .await?;
    let mut lines = String::with_capacity(SENT_BYTES + 1024);
    for number in numbers {
        let (id, key) = (Uuid::now_v7(), text(number));
        let last_four = key.get(key.len().saturating_sub(4)..).unwrap_or_default();
        write!(
            lines,
            "{id}\t{organization}\tapi-key\tgrafana-{number}\t{owner}\t[\"clusters:read\"]\t[\"prod\",\"staging\"]\t\\\\x",
        )?;
        for byte in KeyHash::of(&key).as_bytes() {
            write!(lines, "{byte:02x}")?;
        }
        writeln!(lines, "\timported\t{last_four}\t{}", NOW_MS / 1000)?;
        if lines.len() >= SENT_BYTES {
            copying.send(lines.as_bytes()).await?;
            lines.clear();
        }
    }
    copying.send(lines.as_bytes()).await?;
    copying.finish().await?;
    Ok(())
}

/// What a gate that starts on the store measures.
async fn looked_up(count: u64, shared: &Shared) -> Result<Vec<Row>> {
    let bound = Bound::AtMost(MEMORY_MIB_MAX);
    let before = resident()?;
    let lines = tempfile::tempdir()?;
    let start = Instant::now();
    let gate = Arc::new(gate::open_shared(shared, lines.path(), Isolation::Fresh, true).await?);
    let ready = start.elapsed();
    let started = resident()?;
    let scattered = || (0..LOOK_UPS.min(count / 10)).map(|at| scattered(at, count));

    let cold = times(&gate, scattered()).await?;
    let unknown = times(&gate, (0..LOOK_UPS).map(|at| count + at)).await?;
    let start = Instant::now();
    all(&gate, 0..USED.min(count)).await?;
    let used = per_second(USED.min(count), start.elapsed());
    let after_used = resident()?;
    let more = USED..count.clamp(USED, 3 * USED);
    all(&gate, more).await?;
    let after_more = resident()?;

    let in_cache = LOOK_UPS.min(count / 2);
    // The newest, as with SQLite: others have displaced those that were asked for first.
    let last = count.min(3 * USED) - in_cache;
    let same = || (0..in_cache).map(|at| last + at);
    times(&gate, same()).await?;
    let cached: Vec<u64> = same().filter(|at| is_cached(&gate, *at)).collect();
    let share = percent(cached.len(), in_cache);
    let warm = times(&gate, cached.into_iter()).await?;

    // The server has read these once, and the gate has forgotten most of them since.
    let forgotten: Vec<u64> = scattered().filter(|at| !is_cached(&gate, *at)).collect();
    let from_server = times(&gate, forgotten.into_iter()).await?;
    let revoked = revoke(&gate, count).await?;
    gate.directory().store().close().await;

    let figure = |name: &str, took: Duration| Row::figure(name, micros(took), "µs");
    let mut rows = vec![
        Row::figure(
            "start-up: policy built and compiled, store opened",
            ms(ready),
            "ms",
        ),
        Row::figure("memory: before the start", before, "MiB"),
        Row::bounded("memory: after the start", started, "MiB", bound),
        figure("look-up: the server read nothing yet, median", cold.median),
        figure("look-up: the server read nothing yet, p99", cold.p99),
        figure(
            "look-up: the server has read it, median",
            from_server.median,
        ),
        figure("look-up: the server has read it, p99", from_server.p99),
        figure("look-up: unknown, median", unknown.median),
        Row::bounded(
            "look-up: cached, of 20,000 keys asked for twice",
            share,
            "%",
            Bound::AtLeast(90.0),
        ),
        figure("look-up: warm, median", warm.median),
        figure("look-up: warm, p99", warm.p99),
        Row::figure("requests with a key each, 16 at once", used, "requests/s"),
        Row::figure("revoke with a full cache, median", ms(revoked.median), "ms"),
        Row::bounded("memory: 100,000 keys in use", after_used, "MiB", bound),
    ];
    if count >= 3 * USED {
        let name = "memory: after 200,000 other keys";
        rows.push(Row::bounded(name, after_more, "MiB", bound));
    }
    Ok(rows)
}
