//! What it costs to be one of many gates: the same server on SQLite with counters in its memory, and on PostgreSQL with
//! counters in Redis; and how soon a revocation on one gate ends what is under way on another.
//!
//! The gate's process has one core for itself, whichever of the two is asked; the load, the upstream, Redis and PostgreSQL
//! have the other. Runs alternate, as those of the comparison with no gate do.

use std::{path::Path, time::Duration};

use anyhow::Result;
use scopegate_host::engine::Isolation;
use secrecy::ExposeSecret as _;

mod ends;
pub mod load;

use crate::{
    engines::{machine, postgres::Postgres, redis::Redis},
    gate::{self, Shared},
    http::{
        LOAD_CORE, SERVER_CORE,
        process::{Process, processor_time},
        require,
    },
    measure::median,
    table::Row,
};
use load::{Load, Pace, Running};

/// Rounds in which each has a turn.
const ROUNDS: usize = 5;
/// One turn at full load.
const FULL_TURN: Duration = Duration::from_secs(3);
/// One turn at half load.
const HALF_TURN: Duration = Duration::from_secs(6);

/// Measures both, with the servers' data below `directory`.
///
/// # Errors
/// When a program is missing, does not come up, or anything but a 200 came back.
pub async fn everything(directory: &Path) -> Result<Vec<Row>> {
    require("taskset", "util-linux")?;
    let postgres = Postgres::start(directory, Some(LOAD_CORE))?;
    let redis = Redis::start(Some(LOAD_CORE))?;
    let shared = Shared {
        store: postgres.url(),
        counters: redis.url(),
    };
    // The other gate: it is in this process, and changes things.
    let lines = tempfile::tempdir()?;
    let first = gate::open_shared(&shared, lines.path(), Isolation::Fresh, false).await?;
    gate::people(&first).await?;
    let (_, key) = gate::mint(&first).await?;
    let upstream = Process::start(LOAD_CORE, &["upstream"])?;
    let to = upstream.address.to_string();
    let alone = Process::start(SERVER_CORE, &["proxy", &to, "--gated"])?;
    let of_many = Process::start(
        SERVER_CORE,
        &[
            "proxy",
            &to,
            "--gated",
            "--store",
            &shared.store,
            "--counters",
            &shared.counters,
        ],
    )?;
    let alone = Subject {
        key: alone.key.clone().unwrap_or_default(),
        gate: alone,
    };
    let of_many = Subject {
        key: key.expose_secret().to_owned(),
        gate: of_many,
    };
    let (mut full, mut half) = (Vec::new(), Vec::new());
    for subject in [&alone, &of_many] {
        subject.run(Pace::Full, FULL_TURN, &redis)?;
    }
    for _ in 0..ROUNDS {
        let turn = |subject: &Subject| subject.run(Pace::Full, FULL_TURN, &redis);
        full.push((turn(&alone)?, turn(&of_many)?));
    }
    let rate = median(full.iter().map(|(_, many)| many.load.per_second).collect()) / 2.0;
    for _ in 0..ROUNDS {
        let pace = Pace::Steady(rate);
        let turn = |subject: &Subject| subject.run(pace, HALF_TURN, &redis);
        half.push((turn(&alone)?, turn(&of_many)?));
    }
    let mut rows = rows(&full, &half, rate);
    rows.insert(0, machine(&postgres, &redis)?);
    rows.extend(ends::rows(&first, &of_many.gate, &of_many.key, rate).await?);
    first.directory().store().close().await;
    Ok(rows)
}

/// A gate that is asked.
struct Subject {
    gate: Process,
    key: String,
}

/// One turn.
#[derive(Clone, Copy)]
struct Run {
    load: Load,
    /// Processor time of the gate per request.
    cpu_micros: f64,
    /// And that of Redis.
    redis_micros: f64,
    /// Redis's scripts per request: one, as long as it is not away.
    scripts: f64,
}

impl Subject {
    fn run(&self, pace: Pace, duration: Duration, redis: &Redis) -> Result<Run> {
        let used = || anyhow::Ok((processor_time(self.gate.id())?, processor_time(redis.id())?));
        let (before, scripts) = (used()?, redis.scripts()?);
        let load = Running::start(self.gate.address, &self.key, pace, duration)?.end()?;
        let (after, scripts) = (used()?, redis.scripts()? - scripts);
        let per_request = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / load.requests
        };
        Ok(Run {
            load,
            cpu_micros: per_request(before.0, after.0),
            redis_micros: per_request(before.1, after.1),
            scripts: scripts / load.requests,
        })
    }
}

fn rows(full: &[(Run, Run)], half: &[(Run, Run)], rate: f64) -> Vec<Row> {
    /// What is looked at, of a turn.
    type Of = fn(&Run) -> f64;
    const ALONE: &str = "SQLite, counters in memory";
    const MANY: &str = "PostgreSQL and Redis";
    let median_of = |pairs: &[(Run, Run)], value: &dyn Fn(&(Run, Run)) -> f64| {
        median(pairs.iter().map(value).collect())
    };
    let per_second: Of = |run| run.load.per_second;
    let mut rows = vec![
        Row::figure(
            format!("{ALONE}: full load"),
            median_of(full, &|(alone, _)| per_second(alone)),
            "requests/s",
        ),
        Row::figure(
            format!("{MANY}: full load"),
            median_of(full, &|(_, many)| per_second(many)),
            "requests/s",
        ),
    ];
    let looked_at: [(String, Of); 3] = [
        (format!("p50 at {rate:.0} requests/s"), |run| {
            run.load.p50_micros
        }),
        (format!("p99 at {rate:.0} requests/s"), |run| {
            run.load.p99_micros
        }),
        ("gate's CPU per request".into(), |run| run.cpu_micros),
    ];
    for (what, of) in looked_at {
        rows.extend([
            Row::figure(
                format!("{ALONE}: {what}"),
                median_of(half, &|(alone, _)| of(alone)),
                "µs",
            ),
            Row::figure(
                format!("{MANY}: {what}"),
                median_of(half, &|(_, many)| of(many)),
                "µs",
            ),
            Row::figure(
                format!("{MANY}: adds to the {what}"),
                median_of(half, &|(alone, many)| of(many) - of(alone)),
                "µs",
            ),
        ]);
    }
    rows.extend([
        Row::figure(
            format!("{MANY}: Redis's CPU per request"),
            median_of(half, &|(_, many)| many.redis_micros),
            "µs",
        ),
        Row::figure(
            format!("{MANY}: round trips to Redis per request"),
            median_of(half, &|(_, many)| many.scripts),
            "",
        ),
    ]);
    rows
}
