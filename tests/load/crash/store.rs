//! The store's file as the kill left it: sound, and nothing in it is half.

use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::server::Gate;

/// The audit's records of changes.
const CHANGES: &str = "WITH changes AS (SELECT action, subject FROM audit WHERE kind = 'change') ";

/// Each finds what there must not be.
const NEVER: [(&str, &str); 8] = [
    (
        "a key without the record of its minting",
        "SELECT id FROM credentials WHERE kind = 'api-key' AND predecessor IS NULL AND NOT EXISTS \
         (SELECT 1 FROM changes WHERE action = 'key.mint' AND subject = credentials.id)",
    ),
    (
        "a record of a minting without its key",
        "SELECT subject FROM changes WHERE action = 'key.mint' AND subject NOT IN (SELECT id FROM credentials)",
    ),
    (
        "a revoked key without the record of it, or the other way round",
        "SELECT id FROM credentials WHERE (revoked_at IS NOT NULL) != EXISTS \
         (SELECT 1 FROM changes WHERE action = 'credential.revoke' AND subject = credentials.id)",
    ),
    (
        "a successor whose predecessor has no end",
        "SELECT s.id FROM credentials s JOIN credentials p ON p.id = s.predecessor WHERE p.retires_at IS NULL",
    ),
    (
        "a key that retires without a successor",
        "SELECT id FROM credentials p WHERE retires_at IS NOT NULL AND NOT EXISTS \
         (SELECT 1 FROM credentials s WHERE s.predecessor = p.id)",
    ),
    (
        "a rotation without its record, or the other way round",
        "SELECT id FROM credentials WHERE (retires_at IS NOT NULL) != EXISTS \
         (SELECT 1 FROM changes WHERE action = 'key.rotate' AND subject = credentials.id)",
    ),
    (
        "a cluster without the agent that was asked for with it",
        "SELECT id FROM clusters WHERE id LIKE 'both-%' AND id NOT IN \
         (SELECT cluster FROM credentials WHERE cluster IS NOT NULL)",
    ),
    (
        "a cluster without its record",
        "SELECT id FROM clusters WHERE id NOT IN (SELECT subject FROM changes WHERE action = 'cluster.add')",
    ),
];

/// Checks the file itself, and that everything in it is whole.
pub(super) async fn is_whole(gate: &Gate) {
    let options = SqliteConnectOptions::new()
        .filename(gate.directory.path().join("scopegate.db"))
        .create_if_missing(false);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .expect("it opens");
    let sound: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_all(&mut connection)
        .await
        .expect("it is read");
    assert_eq!(sound, ["ok"]);
    let dangling = sqlx::query("PRAGMA foreign_key_check")
        .fetch_all(&mut connection)
        .await;
    assert!(dangling.expect("it is read").is_empty());
    for (what, sql) in NEVER {
        let sql = sqlx::AssertSqlSafe(format!("{CHANGES}{sql}"));
        let found: Vec<String> = sqlx::query_scalar(sql)
            .fetch_all(&mut connection)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(found.is_empty(), "{what}: {found:?}");
    }
    connection.close().await.expect("it closes");
}
