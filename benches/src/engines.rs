//! Real engines beside a gate: a PostgreSQL and a Redis, each in a directory of its own and gone with its value.

pub(crate) mod postgres;
pub(crate) mod redis;

use std::{ffi::OsStr, fs, process::Command, thread};

use anyhow::Result;

use crate::table::Row;

/// What all of it runs on.
pub(crate) fn machine(postgres: &postgres::Postgres, redis: &redis::Redis) -> Result<Row> {
    let about = fs::read_to_string("/proc/cpuinfo")?;
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("an unknown processor", |(_, name)| name.trim());
    let (postgres, redis) = (postgres.version()?, redis.version());
    let cores = u32::try_from(thread::available_parallelism()?.get())?;
    let name = format!("on {model}, {postgres}, {redis}");
    Ok(Row::figure(name, f64::from(cores), "cores"))
}

/// A command for this program, on one core if there is one to be pinned to.
fn on_core(core: Option<&str>, program: &OsStr) -> Command {
    match core {
        None => Command::new(program),
        Some(core) => {
            let mut command = Command::new("taskset");
            command.args(["-c", core]).arg(program);
            command
        }
    }
}
