//! The store as one SQLite file: WAL, `synchronous = FULL`, one writing connection and several reading ones.

mod audit;
mod copy;
mod credentials;
mod page;
mod read;
mod row;
mod write;

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    Connection, Row, SqlSafeStr, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Missing, OpenError, Purpose, StoreError};

/// The schema's steps, oldest first. A released step is never edited.
const MIGRATIONS: [(i64, &str, &str); 8] = [
    (1, "store", include_str!("../../migrations/0001_store.sql")),
    (
        2,
        "credentials",
        include_str!("../../migrations/0002_credentials.sql"),
    ),
    (3, "audit", include_str!("../../migrations/0003_audit.sql")),
    (
        4,
        "factors",
        include_str!("../../migrations/0004_factors.sql"),
    ),
    (
        5,
        "policies",
        include_str!("../../migrations/0005_policies.sql"),
    ),
    (
        6,
        "shadow",
        include_str!("../../migrations/0006_shadow.sql"),
    ),
    (7, "lists", include_str!("../../migrations/0007_lists.sql")),
    (
        8,
        "audit rollup",
        include_str!("../../migrations/0008_audit_rollup.sql"),
    ),
];

/// Connections for what a request waits for: each question is a look-up by an index.
const READERS: u32 = 4;
/// Connections for lists and searches, which may read a lot: however many there are, look-ups do not wait for them.
const SEARCHERS: u32 = 2;
/// How long a question waits for a connection, and a connection for another process's lock.
const PATIENCE: Duration = Duration::from_secs(5);

/// One SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    searchers: SqlitePool,
    ledger: audit::Ledger,
}

/// The file that `sqlite://PATH` names.
pub fn path_of_url(url: &str) -> Result<PathBuf, OpenError> {
    let bad = |what| OpenError::BadUrl {
        url: url.to_owned(),
        what,
    };
    let Some(path) = url.strip_prefix("sqlite://") else {
        return Err(bad("it must be `sqlite://` and the path of a file"));
    };
    if path.is_empty() || path.ends_with('/') {
        return Err(bad("the path of a file is missing"));
    }
    if path.starts_with(":memory:") || path.contains(['?', '#', '\0']) {
        return Err(bad("it takes a path and no parameters"));
    }
    Ok(PathBuf::from(path))
}

impl Sqlite {
    pub(super) async fn open(
        path: &Path,
        purpose: Purpose,
        missing: Missing,
    ) -> Result<Self, OpenError> {
        prepare_file(path, missing)?;
        // Looked at through a connection that changes nothing: a file of somebody else's stays as it is.
        probe(path, purpose).await?;

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
            .map_err(|error| unusable(path, &error))?;
        migrate(&writer, path).await?;
        mark(&writer, purpose)
            .await
            .map_err(|error| unusable(path, &error))?;
        audit::carry_over(&writer)
            .await
            .map_err(|error| damaged(path, &error))?;
        let options = options.read_only(true);
        let readers = pool(READERS)
            .connect_with(options.clone())
            .await
            .map_err(|error| unusable(path, &error))?;
        let searchers = pool(SEARCHERS)
            .connect_with(options)
            .await
            .map_err(|error| unusable(path, &error))?;
        Self::over(path, writer, readers, searchers).await
    }

    /// Opens a store beside the process that changes it, or a copy of one, for questions alone.
    pub(super) async fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        if !path.is_file() {
            return Err(OpenError::Missing(path.to_owned()));
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(PATIENCE);
        let readers = pool(READERS)
            .connect_with(options)
            .await
            .map_err(|error| unusable(path, &error))?;
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
                .fetch_all(&readers)
                .await
                .map_err(|error| unusable(path, &error))?;
        let has = |name: &str| tables.iter().any(|table| table == name);
        let what = match (has("meta"), has("audit_segments")) {
            (true, true) => {
                return Self::over(path, readers.clone(), readers.clone(), readers).await;
            }
            (true, false) => "an older version made it; `serve` brings it up to date",
            (false, _) => "it is another program's database, or empty",
        };
        Err(OpenError::NotAStore {
            path: path.to_owned(),
            what,
        })
    }

    async fn over(
        path: &Path,
        writer: SqlitePool,
        readers: SqlitePool,
        searchers: SqlitePool,
    ) -> Result<Self, OpenError> {
        let this = Self {
            writer,
            readers,
            searchers,
            ledger: audit::Ledger::default(),
        };
        this.find_audit_end()
            .await
            .map_err(|error| damaged(path, &error))?;
        Ok(this)
    }

    pub(super) async fn close(&self) {
        self.sync_heads();
        self.readers.close().await;
        self.searchers.close().await;
        self.writer.close().await;
    }
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
        path: path.to_owned(),
        what: error.to_string(),
    };
    if path.is_dir() {
        return Err(OpenError::NotAStore {
            path: path.to_owned(),
            what: "it is a directory",
        });
    }
    match fs::OpenOptions::new().read(true).write(true).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => match missing {
            Missing::Refuse => Err(OpenError::Missing(path.to_owned())),
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
    let not_a_store = |what| OpenError::NotAStore {
        path: path.to_owned(),
        what,
    };
    match found.map_err(|error| unusable(path, &error))? {
        Marks::Empty => Ok(Marks::Empty),
        Marks::Foreign => Err(not_a_store("it is another program's database")),
        Marks::Purpose(text) => match purpose_of(&text) {
            None => Err(not_a_store("it does not say what it was made for")),
            Some(made_for) if made_for != purpose => Err(OpenError::WrongPurpose {
                path: path.to_owned(),
                made_for,
            }),
            Some(_) => Ok(Marks::Purpose(text)),
        },
    }
}

/// What a database file says of itself.
enum Marks {
    /// Nothing yet.
    Empty,
    /// Something else's tables.
    Foreign,
    /// What it was made for.
    Purpose(String),
}

async fn read_marks(connection: &mut SqliteConnection) -> Result<Marks, sqlx::Error> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await?;
    let has = |name: &str| tables.iter().any(|table| table == name);
    if has("meta") && has("_sqlx_migrations") {
        let purpose = sqlx::query("SELECT value FROM meta WHERE name = 'purpose'")
            .fetch_optional(connection)
            .await?;
        return match purpose {
            Some(row) => Ok(Marks::Purpose(row.try_get(0)?)),
            // The making of it was interrupted between its schema and its mark: nothing else is in it yet.
            None => Ok(Marks::Empty),
        };
    }
    // Its making was interrupted even earlier.
    let only_begun = tables.iter().all(|table| table == "_sqlx_migrations");
    Ok(if only_begun {
        Marks::Empty
    } else {
        Marks::Foreign
    })
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), OpenError> {
    let steps = MIGRATIONS.into_iter().map(|(version, name, sql)| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    });
    let migrator = Migrator::with_migrations(steps.collect());
    let known = MIGRATIONS
        .iter()
        .map(|(version, ..)| *version)
        .max()
        .unwrap_or_default();
    migrator.run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(found) => OpenError::Newer {
            path: path.to_owned(),
            found,
            known,
        },
        MigrateError::VersionMismatch(_) => OpenError::NotAStore {
            path: path.to_owned(),
            what: "its schema is not one that was released",
        },
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            unusable(path, &error)
        }
        other => OpenError::Unusable {
            path: path.to_owned(),
            what: other.to_string(),
        },
    })
}

async fn mark(writer: &SqlitePool, purpose: Purpose) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO meta (name, value) VALUES ('purpose', ?) ON CONFLICT DO NOTHING")
        .bind(purpose_text(purpose))
        .execute(writer)
        .await?;
    Ok(())
}

fn purpose_text(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Serve => "serve",
        Purpose::Demo => "demo",
    }
}

fn purpose_of(text: &str) -> Option<Purpose> {
    [Purpose::Serve, Purpose::Demo]
        .into_iter()
        .find(|purpose| purpose_text(*purpose) == text)
}

fn unusable(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_owned();
    match error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .as_deref()
    {
        // SQLITE_NOTADB
        Some("26") => OpenError::NotAStore {
            path,
            what: "it is not a database",
        },
        // SQLITE_CORRUPT, with its extended codes
        Some("11" | "267" | "523" | "779") => OpenError::NotAStore {
            path,
            what: "it is a damaged database",
        },
        _ => OpenError::Unusable {
            path,
            what: error.to_string(),
        },
    }
}

fn damaged(path: &Path, error: &StoreError) -> OpenError {
    OpenError::Unusable {
        path: path.to_owned(),
        what: error.to_string(),
    }
}

/// What a failed statement means to whoever asked.
fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
