//! A schema of a PostgreSQL server.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Postgres,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    Pools,
    schema::{self, Marks, Steps},
};
use crate::store::{Missing, OpenError, Purpose, location::Server};

/// The schema's steps, oldest first. A released step is never edited.
const STEPS: Steps<1> = [(
    1,
    "store",
    include_str!("../../../migrations/postgres/0001_store.sql"),
)];

/// Connections for what writes: one that writes and one that waits, for nobody writes beside another.
const WRITERS: u32 = 2;
/// How long a question waits for a connection. Requests wait for that.
const PATIENCE: Duration = Duration::from_secs(2);
/// A connection that was not used for so long is tried before it is used: the server may have gone meanwhile.
const IDLE: Duration = Duration::from_secs(1);

/// Opens the store, and brings it to the schema of this version.
pub(in crate::store) async fn open(
    server: &Server,
    purpose: Purpose,
    missing: Missing,
) -> Result<Pools<Postgres>, OpenError> {
    let options = options(server)?;
    let failed = |error: sqlx::Error| unusable(server, &error);
    // A step of the schema may take longer than any statement of a request.
    let mut connection = PgConnection::connect_with(&options).await.map_err(failed)?;
    let marks = read_marks(&mut connection).await.map_err(failed)?;
    if let (Marks::Empty, Missing::Refuse) = (marks.check(purpose, &server.name())?, missing) {
        return Err(OpenError::Missing(server.name()));
    }
    make_schema(&mut connection).await.map_err(failed)?;
    let migrated = schema::migrator(&STEPS).run(&mut connection).await;
    migrated.map_err(|error| {
        schema::failed(error, &server.name(), &STEPS, |error| {
            unusable(server, error)
        })
    })?;
    sqlx::query("INSERT INTO meta (name, value) VALUES ('purpose', $1) ON CONFLICT DO NOTHING")
        .bind(schema::purpose_text(purpose))
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;

    let searchers = server.connections_max / 4;
    let readers = server.connections_max.saturating_sub(searchers + WRITERS);
    let options = timed(options, server);
    Ok(Pools {
        writer: pool(options.clone(), WRITERS).await.map_err(failed)?,
        readers: pool(options.clone(), readers).await.map_err(failed)?,
        searchers: pool(options, searchers).await.map_err(failed)?,
    })
}

/// Opens the store for questions alone, whatever it was made for.
pub(in crate::store) async fn open_to_read(server: &Server) -> Result<Pools<Postgres>, OpenError> {
    let failed = |error: sqlx::Error| unusable(server, &error);
    let read_only = [("default_transaction_read_only", "on")];
    let options = timed(options(server)?.options(read_only), server);
    let readers = pool(options, server.connections_max)
        .await
        .map_err(failed)?;
    let mut connection = readers.acquire().await.map_err(failed)?;
    let tables = tables(&mut connection).await.map_err(failed)?;
    drop(connection);
    schema::readable(&tables, &server.name())?;
    Ok(Pools {
        writer: readers.clone(),
        searchers: readers.clone(),
        readers,
    })
}

fn options(server: &Server) -> Result<PgConnectOptions, OpenError> {
    let read: Result<PgConnectOptions, _> = server.url().as_str().parse();
    let mut options = read.map_err(|error: sqlx::Error| unusable(server, &error))?;
    if let Some(password) = &server.password {
        options = options.password(password.expose_secret());
    }
    if let Some(ca) = &server.ca {
        options = options.ssl_root_cert_from_pem(ca.clone());
    }
    Ok(options.application_name("scopegate"))
}

fn timed(options: PgConnectOptions, server: &Server) -> PgConnectOptions {
    let statement = server.statement_timeout.as_millis().to_string();
    options.options([
        ("statement_timeout", statement.as_str()),
        // A gate that went away in the middle of a change keeps nobody waiting.
        ("idle_in_transaction_session_timeout", "10000"),
    ])
}

async fn pool(options: PgConnectOptions, connections: u32) -> Result<sqlx::PgPool, sqlx::Error> {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(
            |connection: &mut PgConnection, before: PoolConnectionMetadata| {
                Box::pin(async move {
                    if before.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            },
        )
        .connect_with(options)
        .await
}

async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT CAST(c.relname AS TEXT) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p')",
    )
    .fetch_all(connection)
    .await
}

/// Makes the schema that the URL names (`options=-csearch_path%3D…`), if it is not there.
async fn make_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let make: Option<String> = sqlx::query_scalar(
        "SELECT format('CREATE SCHEMA IF NOT EXISTS %I', \
             btrim(split_part(current_setting('search_path'), ',', 1), ' \"')) \
         WHERE current_schema() IS NULL",
    )
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(make) = make {
        // The server has quoted the name.
        sqlx::raw_sql(AssertSqlSafe(make))
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn read_marks(connection: &mut PgConnection) -> Result<Marks, sqlx::Error> {
    let tables = tables(&mut *connection).await?;
    match schema::is_store(&tables) {
        Some(true) => {}
        Some(false) => return Ok(Marks::Empty),
        None => return Ok(Marks::Foreign),
    }
    let purpose = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'purpose'");
    let purpose: Option<String> = purpose.fetch_optional(connection).await?;
    Ok(purpose.map_or(Marks::Empty, Marks::Purpose))
}

fn unusable(server: &Server, error: &sqlx::Error) -> OpenError {
    OpenError::Unusable {
        store: server.name(),
        what: error.to_string(),
    }
}
