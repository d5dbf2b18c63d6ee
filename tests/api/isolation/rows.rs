//! All that the store has of an organization, as text.

use std::collections::BTreeSet;

use sqlx::{Row, SqlitePool};

use crate::harness::World;

/// Tables without an organization's own state: what the store says of itself, what people were doing, the log, what is
/// about to be told to other gates, and the gate's policies.
const LEFT_OUT: [&str; 11] = [
    "_sqlx_migrations",
    "meta",
    "sqlite_sequence",
    "sessions",
    "last_uses",
    "events",
    "audit",
    "untold",
    "policies",
    "policy_components",
    "shadow",
];

/// Every row that belongs to one of these ids: an organization, and who and what is in it.
pub async fn rows(world: &World, ids: &BTreeSet<String>) -> Vec<String> {
    let url = format!("sqlite://{}", world.store_path().display());
    let pool = SqlitePool::connect(&url).await.expect("the store");
    let tables = texts(&pool, "SELECT name FROM sqlite_master WHERE type = 'table'").await;
    let mut rows = Vec::new();
    for table in tables {
        if LEFT_OUT.iter().any(|name| table.starts_with(name)) {
            continue;
        }
        let columns = texts(
            &pool,
            &format!("SELECT name FROM pragma_table_info('{table}')"),
        )
        .await;
        let owner = match table.as_str() {
            "organizations" => Some("id"),
            _ => ["organization", "user", "actor"]
                .into_iter()
                .find(|name| columns.iter().any(|column| column == name)),
        };
        let owner = owner.unwrap_or_else(|| panic!("say whose the rows of `{table}` are"));
        let all: Vec<String> = columns
            .iter()
            .map(|column| format!("quote(\"{column}\")"))
            .collect();
        let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
        let select = format!(
            "SELECT '{table} ' || {} FROM \"{table}\" WHERE \"{owner}\" IN ({})",
            all.join(" || ' ' || "),
            ids.join(", ")
        );
        rows.extend(texts(&pool, &select).await);
    }
    pool.close().await;
    rows.sort();
    rows
}

async fn texts(pool: &SqlitePool, select: &str) -> Vec<String> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(select.to_owned()))
        .fetch_all(pool)
        .await
        .expect("rows");
    rows.iter().map(|row| row.get(0)).collect()
}
