//! A schema of a PostgreSQL server.

use std::time::Duration;

use secrecy::ExposeSecret;
use sqlx::{
    AssertSqlSafe, Connection, PgConnection, Postgres,
    pool::PoolConnectionMetadata,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};

use tokio::time::timeout;

use super::{
    Pools,
    schema::{self, Marks, Steps},
    unavailable,
};
use crate::store::{Missing, OpenError, Purpose, StoreError, location::Server};

/// The schema's steps, oldest first. A released step is never edited.
const STEPS: Steps<2> = [
    (
        1,
        "store",
        include_str!("../../../migrations/postgres/0001_store.sql"),
    ),
    (
        2,
        "nodes",
        include_str!("../../../migrations/postgres/0002_nodes.sql"),
    ),
];

/// Connections for what writes: one that writes and one that waits, for nobody writes beside another.
const WRITERS: u32 = 2;
/// The connection that hears what is told.
const LISTENERS: u32 = 1;
/// Where it is told that another policy is active, or in the shadow.
pub(in crate::store) const POLICIES_TOLD: &str = "SELECT pg_notify('scopegate_policies', '')";
const POLICIES: &str = "scopegate_policies";
/// How long a question waits for a connection. Requests wait for that.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long after its end by the server a statement's answer is waited for.
const LATE: Duration = Duration::from_secs(2);
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
    match newer(&mut connection).await.map_err(failed)? {
        Some(found) => tracing::warn!(
            found,
            known = schema::known(&STEPS),
            "a newer version has changed the store's schema, in ways that this one can serve with: bring it up to date"
        ),
        None => {
            let migrated = schema::migrator(&STEPS).run(&mut connection).await;
            migrated.map_err(|error| {
                schema::failed(error, &server.name(), &STEPS, |error| {
                    unusable(server, error)
                })
            })?;
        }
    }
    sqlx::query("INSERT INTO meta (name, value) VALUES ('purpose', $1) ON CONFLICT DO NOTHING")
        .bind(schema::purpose_text(purpose))
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    connection.close().await.map_err(failed)?;

    let searchers = server.connections_max / 4;
    let readers = server
        .connections_max
        .saturating_sub(searchers + WRITERS + LISTENERS);
    let options = timed(options, server);
    Ok(Pools {
        patience: server.statement_timeout + LATE,
        writer: transactions(options.clone(), WRITERS)
            .await
            .map_err(failed)?,
        readers: pool(options.clone(), readers).await.map_err(failed)?,
        searchers: transactions(options, searchers).await.map_err(failed)?,
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
        patience: server.statement_timeout + LATE,
        writer: readers.clone(),
        searchers: readers.clone(),
        readers,
    })
}

/// A connection that hears of policies.
pub(crate) struct Listener(PgListener);

impl Listener {
    /// Resolves when something was told; or may have been, for the connection was lost.
    pub(crate) async fn told(&mut self) -> Result<(), StoreError> {
        self.0.recv().await.map(drop).map_err(unavailable)
    }
}

/// Listens, on a connection of its own.
pub(super) async fn listen(pools: &Pools<Postgres>) -> Result<Listener, sqlx::Error> {
    let options = pools.readers.connect_options();
    let pool = PgPoolOptions::new()
        .max_connections(LISTENERS)
        .acquire_timeout(PATIENCE)
        .connect_lazy_with((*options).clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(POLICIES).await?;
    Ok(Listener(listener))
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
        ("idle_in_transaction_session_timeout", "3000"),
    ])
}

async fn pool(options: PgConnectOptions, connections: u32) -> Result<sqlx::PgPool, sqlx::Error> {
    pools_of(connections).connect_with(options).await
}

/// For transactions, which may be let go in the middle: a connection that does not say soon that it is over is given up. Before
/// its own test, which would wait for as long as it takes.
async fn transactions(
    options: PgConnectOptions,
    connections: u32,
) -> Result<sqlx::PgPool, sqlx::Error> {
    pools_of(connections)
        .after_release(|connection, _| Box::pin(is_there(connection)))
        .connect_with(options)
        .await
}

fn pools_of(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections.max(1))
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .before_acquire(
            |connection: &mut PgConnection, before: PoolConnectionMetadata| {
                Box::pin(async move {
                    match before.idle_for > IDLE {
                        true => is_there(connection).await,
                        false => Ok(true),
                    }
                })
            },
        )
}

/// Whether the server at its end answers soon.
async fn is_there(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match timeout(IDLE, connection.ping()).await {
        Ok(answer) => answer.map(|()| true),
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
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

/// The schema of a newer version, if that says that this version's programs can serve with it: while gates are replaced one by
/// one, one of the version before may have to start again.
async fn newer(connection: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    let tables = tables(&mut *connection).await?;
    if schema::is_store(&tables) != Some(true) {
        return Ok(None);
    }
    let found = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations WHERE success");
    let found: Option<i64> = found.fetch_one(&mut *connection).await?;
    let since = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1");
    let since: Option<String> = since
        .bind(schema::SERVES_SINCE)
        .fetch_optional(connection)
        .await?;
    let since = since.and_then(|since| since.parse::<i64>().ok());
    let known = schema::known(&STEPS);
    Ok(found.filter(|found| *found > known && since.is_some_and(|since| since <= known)))
}

fn unusable(server: &Server, error: &sqlx::Error) -> OpenError {
    OpenError::Unusable {
        store: server.name(),
        what: error.to_string(),
    }
}
