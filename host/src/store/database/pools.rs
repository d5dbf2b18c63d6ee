//! The connections to one engine.

use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::{PgConnection, Pool, Postgres};
use tokio::time::{error::Elapsed, timeout};

use super::{Kind, unavailable};
use crate::store::StoreError;

/// Connections by what they are for, so that what waits for one kind does not keep another.
#[derive(Debug)]
pub(in crate::store) struct Pools<DB: sqlx::Database> {
    /// For what writes.
    pub(in crate::store) writer: Pool<DB>,
    /// For what a request waits for.
    pub(in crate::store) readers: Pool<DB>,
    /// For lists and searches.
    pub(in crate::store) searchers: Pool<DB>,
    /// How long an answer is waited for. A server that is cut off without a word never gives one.
    pub(in crate::store) patience: Duration,
}

/// Why there is no answer.
pub(super) const SILENT: &str = "the server does not answer";

/// What came of waiting. A transaction is over with that.
pub(super) fn in_time<T>(waited: Result<Result<T, sqlx::Error>, Elapsed>) -> Result<T, StoreError> {
    match waited {
        Ok(answer) => answer.map_err(unavailable),
        Err(_) => Err(StoreError::Unavailable(SILENT.to_owned())),
    }
}

impl<DB: sqlx::Database> Pools<DB> {
    pub(super) fn of(&self, kind: Kind) -> &Pool<DB> {
        match kind {
            Kind::LookUp => &self.readers,
            Kind::Search => &self.searchers,
        }
    }

    pub(in crate::store) async fn close(&self) {
        self.readers.close().await;
        self.searchers.close().await;
        self.writer.close().await;
    }
}

impl Pools<Postgres> {
    /// Asks on a connection of its own, to the end, also where nobody waits for it any more: a connection that is let go before
    /// its answer is there would wait for that for as long as it takes, and keep its place. One on which nothing comes is given
    /// up.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        kind: Kind,
        asking: impl FnOnce(&mut PgConnection) -> BoxFuture<'_, Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (pool, patience) = (self.of(kind).clone(), self.patience);
        let asked = tokio::spawn(async move {
            let mut connection = pool.acquire().await.map_err(unavailable)?;
            let waited = timeout(patience, asking(&mut connection)).await;
            if waited.is_err() {
                drop(connection.detach());
            }
            in_time(waited)
        });
        let asked = asked.await;
        asked.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}
