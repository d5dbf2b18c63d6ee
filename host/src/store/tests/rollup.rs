//! The numbers beside the chain.

use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

use super::{fixture, fixture_on};
use crate::{
    audit::{LOOK_BACK_SECS, Window},
    store::{
        Missing, Purpose, Store,
        fixture::{Engine, NOW_MS, behaviours},
    },
};

const NOW: i64 = NOW_MS / 1000;
const DAY: i64 = 24 * 3600;

/// Requests of two organizations over some days, of every kind that is counted or is not.
fn lines(organization: Uuid) -> Vec<String> {
    let other = Uuid::from_u128(9);
    let line = |number: i64| {
        let time = jiff::Timestamp::from_second(NOW - number * 1111).unwrap();
        let mut line = json!({
            "time": time.to_string(),
            "kind": if number % 3 == 0 { "session" } else { "api-key" },
            "organization": if number % 7 == 0 { other } else { organization },
            "name": "ada@example.com",
            "outcome": "admit",
            "micros": number * number % 100_000,
        });
        if number % 3 != 0 {
            line["agent"] = json!(format!("key {}", number % 4));
        }
        if number % 5 == 0 {
            line["outcome"] = json!("refuse");
            line["reason"] =
                json!(["rate-limited", "missing-permission", "not-found"][number as usize % 3]);
        }
        match number % 11 {
            0 => line["count"] = json!(number),
            1 => line["asked_by"] = json!({ "kind": "api-key" }),
            2 => line["organization"] = json!(null),
            _ => {}
        }
        line.to_string()
    };
    (0..500).map(line).collect()
}

async fn connected(path: &std::path::Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path);
    SqliteConnection::connect_with(&options).await.unwrap()
}

/// All numbers that there are.
async fn numbers(path: &std::path::Path) -> Vec<(String, i64, i64, String, String, i64)> {
    let mut connection = connected(path).await;
    let rows = sqlx::query(
        "SELECT organization, secs, start, what, name, count FROM audit_rollup ORDER BY 1, 2, 3, 4, 5",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let row = |row: &sqlx::sqlite::SqliteRow| {
        (
            row.get(0),
            row.get(1),
            row.get(2),
            row.get(3),
            row.get(4),
            row.get(5),
        )
    };
    rows.iter().map(row).collect()
}

#[tokio::test]
async fn an_older_store_counts_what_it_has_as_it_would_have_been_counted() {
    let fixture = fixture().await;
    let store = fixture.directory.store();
    for some in lines(fixture.organization).chunks(37) {
        store.append_audit(some).await.unwrap();
    }
    let counted = numbers(&fixture.path()).await;
    assert!(counted.len() > 500, "{}", counted.len());
    store.close().await;
    let mut connection = connected(&fixture.path()).await;
    sqlx::raw_sql(
        "DROP TABLE untold; DROP TABLE audit_rollup; DROP INDEX audit_reason; DROP INDEX audit_action; \
         DROP INDEX audit_refused; DROP INDEX audit_changes; DELETE FROM _sqlx_migrations WHERE version >= 8",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    connection.close().await.unwrap();
    let url = format!("sqlite://{}", fixture.path().display());
    let store = Store::open(&url, Purpose::Serve, Missing::Refuse)
        .await
        .unwrap();
    assert_eq!(numbers(&fixture.path()).await, counted);
    store.close().await;
}

async fn numbers_are_kept_no_longer_than_they_are_looked_at(engine: Engine) {
    let fixture = fixture_on(engine).await;
    let store = fixture.directory.store();
    store
        .append_audit(&lines(fixture.organization))
        .await
        .unwrap();
    let (organization, now) = (fixture.organization, NOW_MS);
    let total = async |since: i64| {
        let window = Window::around(since, NOW + 1);
        let found = store.audit_summary(organization, window).await.unwrap();
        let buckets = found.buckets.iter();
        buckets
            .map(|one| one.admitted + one.refused + one.limited)
            .sum::<u64>()
    };
    let all = total(NOW - 10 * DAY).await;
    assert!(all > 300, "{all}");
    fixture.directory.retain(None, now).await.unwrap();
    assert_eq!(total(NOW - 10 * DAY).await, all);
    fixture
        .directory
        .retain(Some(2 * DAY * 1000), now)
        .await
        .unwrap();
    let kept = total(NOW - 10 * DAY).await;
    assert!(
        kept < all && kept >= total(NOW - 2 * DAY).await,
        "{kept} of {all}"
    );
    let later = now + (LOOK_BACK_SECS + 10 * DAY) * 1000;
    fixture.directory.retain(None, later).await.unwrap();
    assert_eq!(total(NOW - 10 * DAY).await, 0);
}

behaviours! {
    numbers_are_kept_no_longer_than_they_are_looked_at,
}
