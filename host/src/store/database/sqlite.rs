//! One SQLite file: WAL, `synchronous = FULL`, one writing connection and several reading ones.

mod copy;

use std::{fs, io::ErrorKind, path::Path, time::Duration};

use sqlx::{
    Connection, Row, Sqlite, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub(in crate::store) use copy::{check, copy, require};

use super::{
    Pools,
    schema::{self, Marks, Steps},
};
use crate::store::{Missing, OpenError, Purpose};

/// The schema's steps, oldest first. A released step is never edited.
const STEPS: Steps<9> = [
    (
        1,
        "store",
        include_str!("../../../migrations/sqlite/0001_store.sql"),
    ),
    (
        2,
        "credentials",
        include_str!("../../../migrations/sqlite/0002_credentials.sql"),
    ),
    (
        3,
        "audit",
        include_str!("../../../migrations/sqlite/0003_audit.sql"),
    ),
    (
        4,
        "factors",
        include_str!("../../../migrations/sqlite/0004_factors.sql"),
    ),
    (
        5,
        "policies",
        include_str!("../../../migrations/sqlite/0005_policies.sql"),
    ),
    (
        6,
        "shadow",
        include_str!("../../../migrations/sqlite/0006_shadow.sql"),
    ),
    (
        7,
        "lists",
        include_str!("../../../migrations/sqlite/0007_lists.sql"),
    ),
    (
        8,
        "audit rollup",
        include_str!("../../../migrations/sqlite/0008_audit_rollup.sql"),
    ),
    (
        9,
        "untold",
        include_str!("../../../migrations/sqlite/0009_untold.sql"),
    ),
];

/// Connections for what a request waits for: each question is a look-up by an index.
const READERS: u32 = 4;
/// Connections for lists and searches, which may read a lot: however many there are, look-ups do not wait for them.
pub(in crate::store) const SEARCHERS: u32 = 2;
/// How long a question waits for a connection, and a connection for another process's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens the file, and brings it to the schema of this version.
pub(in crate::store) async fn open(
    path: &Path,
    purpose: Purpose,
    missing: Missing,
) -> Result<Pools<Sqlite>, OpenError> {
    prepare_file(path, missing)?;
    // Looked at through a connection that changes nothing: a file of somebody else's stays as it is.
    probe(path, purpose).await?;

    let failed = |error: sqlx::Error| unusable(path, &error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(PATIENCE);
    let writer = pool(1)
        .connect_with(
            options
                .clone()
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full),
        )
        .await
        .map_err(failed)?;
    migrate(&writer, path).await?;
    mark(&writer, purpose).await.map_err(failed)?;
    let options = options.read_only(true);
    Ok(Pools {
        patience: Duration::MAX,
        writer,
        readers: pool(READERS)
            .connect_with(options.clone())
            .await
            .map_err(failed)?,
        searchers: pool(SEARCHERS)
            .connect_with(options)
            .await
            .map_err(failed)?,
    })
}

/// Opens the file beside the process that changes it, or a copy of it, for questions alone.
pub(in crate::store) async fn open_to_read(path: &Path) -> Result<Pools<Sqlite>, OpenError> {
    if !path.is_file() {
        return Err(OpenError::Missing(name(path)));
    }
    let failed = |error: sqlx::Error| unusable(path, &error);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(PATIENCE);
    let readers = pool(READERS).connect_with(options).await.map_err(failed)?;
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&readers)
            .await
            .map_err(failed)?;
    schema::readable(&tables, &name(path))?;
    Ok(Pools {
        patience: Duration::MAX,
        writer: readers.clone(),
        searchers: readers.clone(),
        readers,
    })
}

/// How the file is named in errors.
fn name(path: &Path) -> String {
    path.display().to_string()
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

/// Makes the file where it may be made, and checks that it can be written.
fn prepare_file(path: &Path, missing: Missing) -> Result<(), OpenError> {
    let unusable = |error: std::io::Error| OpenError::Unusable {
        store: name(path),
        what: error.to_string(),
    };
    if path.is_dir() {
        return Err(OpenError::NotAStore {
            store: name(path),
            what: "it is a directory",
        });
    }
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => match missing {
            Missing::Refuse => Err(OpenError::Missing(name(path))),
            Missing::Create => create_private(path).map_err(unusable),
        },
        Err(error) => Err(unusable(error)),
    }
}

/// The file holds hashes and names, so nobody but its owner reads it; SQLite gives its side files the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

async fn probe(path: &Path, purpose: Purpose) -> Result<Marks, OpenError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(PATIENCE);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| unusable(path, &error))?;
    let found = read_marks(&mut connection).await;
    connection
        .close()
        .await
        .map_err(|error| unusable(path, &error))?;
    let found = found.map_err(|error| unusable(path, &error))?;
    found.check(purpose, &name(path))
}

async fn read_marks(connection: &mut SqliteConnection) -> Result<Marks, sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await?;
    match schema::is_store(&tables) {
        Some(true) => {}
        Some(false) => return Ok(Marks::Empty),
        None => return Ok(Marks::Foreign),
    }
    let purpose = sqlx::query("SELECT value FROM meta WHERE name = 'purpose'")
        .fetch_optional(connection)
        .await?;
    Ok(match purpose {
        Some(row) => Marks::Purpose(row.try_get(0)?),
        // The making of it was interrupted between its schema and its mark: nothing else is in it yet.
        None => Marks::Empty,
    })
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let migrated = schema::migrator(&STEPS).run(writer).await;
    migrated
        .map_err(|error| schema::failed(error, &name(path), &STEPS, |error| unusable(path, error)))
}

async fn mark(writer: &SqlitePool, purpose: Purpose) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ('purpose', ?) ON CONFLICT DO NOTHING")
        .bind(schema::purpose_text(purpose))
        .execute(writer)
        .await?;
    Ok(())
}

fn unusable(path: &Path, error: &sqlx::Error) -> OpenError {
    let store = name(path);
    match error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .as_deref()
    {
        // SQLITE_NOTADB
        Some("26") => OpenError::NotAStore {
            store,
            what: "it is not a database",
        },
        // SQLITE_CORRUPT, with its extended codes
        Some("11" | "267" | "523" | "779") => OpenError::NotAStore {
            store,
            what: "it is a damaged database",
        },
        _ => OpenError::Unusable {
            store,
            what: error.to_string(),
        },
    }
}
