//! Copying a store that others are using, and looking one through.

use std::path::Path;

use sqlx::{Connection, Sqlite, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{Marks, PATIENCE, name, probe, unusable};
use crate::store::{OpenError, Purpose, database::Pools};

/// Refuses a file that is no store for this purpose, or holds nothing yet.
pub(in crate::store) async fn require(path: &Path, purpose: Purpose) -> Result<(), OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing(name(path)));
    }
    match probe(path, purpose).await? {
        Marks::Empty => Err(OpenError::NotAStore {
            store: name(path),
            what: "it is empty",
        }),
        _ => Ok(()),
    }
}

/// Copies the store at `path` to `copy`, which must not be there yet, as of one moment. A server that uses the
/// store neither waits nor is told.
pub(in crate::store) async fn copy(
    path: &Path,
    purpose: Purpose,
    copy: &Path,
) -> Result<(), OpenError> {
    require(path, purpose).await?;
    // SQLite would make it readable by everybody; an empty file it takes as it is.
    let failed = |what: String| OpenError::Unusable {
        store: name(copy),
        what,
    };
    super::create_private(copy).map_err(|error| failed(error.to_string()))?;
    let Some(target) = copy.to_str() else {
        return Err(failed("its name is not UTF-8".to_owned()));
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .busy_timeout(PATIENCE);
    let mut connection = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| unusable(path, &error))?;
    let copied = sqlx::query("VACUUM INTO ?")
        .bind(target.to_owned())
        .execute(&mut connection)
        .await;
    let closed = connection.close().await;
    copied.map_err(|error| unusable(path, &error))?;
    closed.map_err(|error| unusable(path, &error))
}

/// Whether the file is sound, and every reference in it leads somewhere. Reads all of it.
pub(in crate::store) async fn check(pools: &Pools<Sqlite>, path: &Path) -> Result<(), OpenError> {
    let found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_all(&pools.readers)
        .await
        .map_err(|error| unusable(path, &error))?;
    let dangling = sqlx::query("PRAGMA foreign_key_check")
        .fetch_optional(&pools.readers)
        .await
        .map_err(|error| unusable(path, &error))?;
    if found != ["ok"] || dangling.is_some() {
        return Err(OpenError::NotAStore {
            store: name(path),
            what: "it is a damaged database",
        });
    }
    Ok(())
}
