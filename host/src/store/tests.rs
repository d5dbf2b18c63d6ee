mod audit;
mod changes;
mod opening;
mod pools;
mod reading;
mod rollup;
mod servers;

use serde_json::Value;
use sqlx::Sqlite;

use crate::{
    audit::Filter,
    contract::Authority,
    store::{
        Database, Store,
        database::Pools,
        fixture::{Engine, Fixture},
    },
};

async fn fixture() -> Fixture {
    Fixture::new(Authority::Owner).await
}

async fn fixture_on(engine: Engine) -> Fixture {
    Fixture::on(engine, Authority::Owner).await
}

/// The connections to a file.
fn file(store: &Store) -> &Pools<Sqlite> {
    match &store.database {
        Database::Sqlite(pools) => pools,
        Database::Postgres(_) => panic!("it is no file"),
    }
}

/// The newest audit records, newest first.
async fn recorded(store: &Store, count: u32) -> Vec<Value> {
    let found = store.search_audit(&Filter::default(), None, count).await;
    let lines = found.unwrap().records.into_iter().map(|record| record.line);
    lines
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect()
}

fn action(record: &Value) -> &str {
    record["action"].as_str().unwrap()
}
