//! Files that are stores, and files that are none.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sqlx::{Connection, Row, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{action, file, fixture, recorded};
use crate::store::{Change, Missing, OpenError, Purpose, Store, fixture::NOW_MS, path_of_url};

async fn open(path: &Path, purpose: Purpose) -> Result<Store, OpenError> {
    Store::open(
        &format!("sqlite://{}", path.display()),
        purpose,
        Missing::Create,
    )
    .await
}

/// Another program's or version's work on a database file.
async fn raw(path: &Path, sql: &'static str) {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[test]
fn urls() {
    assert_eq!(
        path_of_url("sqlite:///var/lib/gate.db").unwrap(),
        Path::new("/var/lib/gate.db")
    );
    assert_eq!(
        path_of_url("sqlite://gate.db").unwrap(),
        Path::new("gate.db")
    );
    for bad in [
        "",
        "gate.db",
        "postgres://localhost/gate",
        "sqlite:gate.db",
        "sqlite://",
        "sqlite:///var/lib/",
        "sqlite://:memory:",
        "sqlite://gate.db?mode=ro",
    ] {
        let error = path_of_url(bad).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{bad}` is not the URL of a store: ")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn files_that_are_no_store_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    let missing = Store::open(
        &format!("sqlite://{}", path.display()),
        Purpose::Serve,
        Missing::Refuse,
    )
    .await;
    assert!(matches!(missing, Err(OpenError::Missing(_))), "{missing:?}");
    assert!(!path.exists());

    let nowhere = open(&dir.path().join("none/gate.db"), Purpose::Serve)
        .await
        .unwrap_err();
    assert!(matches!(nowhere, OpenError::Unusable { .. }), "{nowhere}");

    let directory = open(dir.path(), Purpose::Serve).await.unwrap_err();
    assert!(
        directory.to_string().ends_with("it is a directory"),
        "{directory}"
    );

    let text =
        "just some text, and enough of it to be read as the head of a database file\n".repeat(20);
    fs::write(&path, &text).unwrap();
    let error = open(&path, Purpose::Serve).await.unwrap_err();
    assert!(
        error.to_string().ends_with("it is not a database"),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let foreign = dir.path().join("foreign.db");
    raw(
        &foreign,
        "CREATE TABLE cats (name TEXT); INSERT INTO cats VALUES ('Tom')",
    )
    .await;
    let before = fs::read(&foreign).unwrap();
    let error = open(&foreign, Purpose::Serve).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("it is another program's database"),
        "{error}"
    );
    assert_eq!(fs::read(&foreign).unwrap(), before);
}

#[tokio::test]
async fn a_newer_or_altered_schema_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    open(&path, Purpose::Serve).await.unwrap().close().await;
    raw(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (99, 'later', TRUE, x'00', 0)",
    )
    .await;
    let error = open(&path, Purpose::Serve).await.unwrap_err();
    assert!(
        matches!(
            error,
            OpenError::Newer {
                found: 99,
                known: 9,
                ..
            }
        ),
        "{error}"
    );
    raw(&path, "DELETE FROM _sqlx_migrations WHERE version = 99").await;
    raw(&path, "UPDATE _sqlx_migrations SET checksum = x'00'").await;
    let error = open(&path, Purpose::Serve).await.unwrap_err();
    assert!(
        error.to_string().ends_with("not one that was released"),
        "{error}"
    );
}

#[tokio::test]
async fn demonstrations_and_real_use_never_share_a_store() {
    let dir = tempfile::tempdir().unwrap();
    for (name, made, wanted) in [
        ("demo.db", Purpose::Demo, Purpose::Serve),
        ("real.db", Purpose::Serve, Purpose::Demo),
    ] {
        let path = dir.path().join(name);
        open(&path, made).await.unwrap().close().await;
        let error = open(&path, wanted).await.unwrap_err();
        assert!(matches!(error, OpenError::WrongPurpose { .. }), "{error}");
        open(&path, made).await.unwrap().close().await;
    }
}

#[tokio::test]
async fn an_interrupted_making_is_taken_up_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("gate.db");
    fs::write(&path, "").unwrap();
    open(&path, Purpose::Serve).await.unwrap().close().await;
    raw(&path, "DELETE FROM meta").await;
    open(&path, Purpose::Serve).await.unwrap().close().await;
}

#[tokio::test]
async fn only_its_owner_reads_the_file_and_all_of_it_is_durable() {
    let fixture = fixture().await;
    for name in ["gate.db", "gate.db-wal", "gate.db-shm"] {
        let mode = fs::metadata(fixture.dir.path().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let store = file(fixture.directory.store());
    let pragma = async |sql: &'static str| -> String {
        let row = sqlx::query(sql).fetch_one(&store.writer).await.unwrap();
        row.try_get::<String, _>(0)
            .or_else(|_| row.try_get::<i64, _>(0).map(|n| n.to_string()))
            .unwrap()
    };
    assert_eq!(pragma("PRAGMA journal_mode").await, "wal");
    assert_eq!(pragma("PRAGMA synchronous").await, "2");
    assert_eq!(pragma("PRAGMA foreign_keys").await, "1");
    let written = sqlx::query("DELETE FROM meta")
        .execute(&store.readers)
        .await;
    assert!(written.is_err(), "readers cannot write");
}

/// Copies the files as a power cut would leave them, without closing anything.
#[tokio::test]
async fn what_was_acknowledged_survives() {
    let fixture = fixture().await;
    let ada = fixture.user("ada@example.com", "viewer").await;
    let (id, hash) = fixture.key(Some(ada)).await;
    fixture.make(Change::Revoke(id)).await;
    let copy = tempfile::tempdir().unwrap();
    for name in ["gate.db", "gate.db-wal"] {
        fs::copy(fixture.dir.path().join(name), copy.path().join(name)).unwrap();
    }
    let store = open(&copy.path().join("gate.db"), Purpose::Serve)
        .await
        .unwrap();
    let facts = store.find_credential_by_hash(&hash).await.unwrap().unwrap();
    assert_eq!(facts.credential.revoked_at, Some(NOW_MS / 1000));
    assert_eq!(facts.owner.unwrap().user.id, ada);
    let records = recorded(&store, 2).await;
    let actions: Vec<&str> = records.iter().map(action).collect();
    assert_eq!(actions, ["credential.revoke", "key.mint"]);
    assert_eq!(records[0]["subject"], id.to_string());
    assert_eq!(records[0]["organization"], fixture.organization.to_string());
}
