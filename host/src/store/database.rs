//! The engines, and one way to ask both.
//!
//! Statements are written once, with `$1` for what is bound, in the SQL that both engines read alike. Where they do not, a
//! statement is given in both ([`either`]), or put together for the engine at hand ([`Builder`]).

mod pools;
pub(super) mod postgres;
mod query;
mod row;
mod schema;
pub(super) mod sqlite;

use std::time::Duration;

use sqlx::{Postgres, Sqlite, Transaction as Begun};
use tokio::time::timeout;

pub(super) use pools::Pools;
use pools::in_time;
pub(crate) use postgres::Listener;
pub(super) use query::{Builder, Query, Value, either, query};
pub(super) use row::{Column, Row};

use super::StoreError;

/// An engine, with its connections.
#[derive(Debug)]
pub(super) enum Database {
    /// One file, for one gate.
    Sqlite(Pools<Sqlite>),
    /// A server, for as many gates as there are.
    Postgres(Pools<Postgres>),
}

/// Which SQL an engine reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// That of SQLite.
    Sqlite,
    /// That of PostgreSQL.
    Postgres,
}

/// Statements between which nothing comes.
#[derive(Debug)]
pub(super) enum Transaction {
    /// In SQLite.
    Sqlite(Begun<'static, Sqlite>),
    /// In PostgreSQL, and how long each answer is waited for.
    Postgres(Begun<'static, Postgres>, Duration),
}

/// Whose connections a question takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A request waits for it, and it is found by an index.
    LookUp,
    /// It may read a lot. However many there are, look-ups do not wait for them.
    Search,
}

/// One writer at a time has this lock, whichever gate it is in, so that what a change was checked against stays so until
/// it is made, and the audit's chain has one end. Tables of another schema are another store.
const WRITING: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended('scopegate:' || current_schema(), 0))";

impl Database {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Begins to write: nobody else does until this has ended.
    pub(super) async fn change(&self) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let begun = pools.writer.begin_with("BEGIN IMMEDIATE").await;
                Ok(Transaction::Sqlite(begun.map_err(unavailable)?))
            }
            Self::Postgres(pools) => {
                let mut begun = in_time(timeout(pools.patience, pools.writer.begin()).await)?;
                let locking = sqlx::query(WRITING).execute(&mut *begun);
                in_time(timeout(pools.patience, locking).await)?;
                Ok(Transaction::Postgres(begun, pools.patience))
            }
        }
    }

    /// Begins to read: all that is asked is of one moment.
    pub(super) async fn snapshot(&self, kind: Kind) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let begun = pools.of(kind).begin().await;
                Ok(Transaction::Sqlite(begun.map_err(unavailable)?))
            }
            Self::Postgres(pools) => {
                let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
                let begun = timeout(pools.patience, pools.of(kind).begin_with(begin)).await;
                Ok(Transaction::Postgres(in_time(begun)?, pools.patience))
            }
        }
    }

    pub(super) async fn fetch_optional(
        &self,
        kind: Kind,
        query: Query,
    ) -> Result<Option<Row>, StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let found = query.sqlite()?.fetch_optional(pools.of(kind)).await;
                Ok(found.map_err(unavailable)?.map(Row::Sqlite))
            }
            Self::Postgres(pools) => {
                let query = query.postgres()?;
                let found = pools.ask(kind, |on| Box::pin(query.fetch_optional(on)));
                Ok(found.await?.map(Row::Postgres))
            }
        }
    }

    pub(super) async fn fetch_all(&self, kind: Kind, query: Query) -> Result<Vec<Row>, StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let found = query.sqlite()?.fetch_all(pools.of(kind)).await;
                let found = found.map_err(unavailable)?;
                Ok(found.into_iter().map(Row::Sqlite).collect())
            }
            Self::Postgres(pools) => {
                let query = query.postgres()?;
                let found = pools.ask(kind, |on| Box::pin(query.fetch_all(on)));
                Ok(found.await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// Makes a change of one statement; tells how many rows it changed.
    pub(super) async fn execute(&self, query: Query) -> Result<u64, StoreError> {
        let mut tx = self.change().await?;
        let changed = query.execute(&mut tx).await?;
        tx.commit().await?;
        Ok(changed)
    }

    /// Makes a change of one statement that nothing else is checked against, beside whoever writes.
    pub(super) async fn note(&self, query: Query) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(pools) => {
                let done = query.sqlite()?.execute(&pools.writer).await;
                done.map_err(unavailable)?;
            }
            Self::Postgres(pools) => {
                let query = query.postgres()?;
                let noted = pools.ask(Kind::LookUp, |on| Box::pin(query.execute(on)));
                noted.await?;
            }
        }
        Ok(())
    }

    /// Hears what other gates tell, where there may be any.
    pub(super) async fn listen(&self) -> Result<Option<Listener>, StoreError> {
        match self {
            Self::Sqlite(_) => Ok(None),
            Self::Postgres(pools) => Ok(Some(postgres::listen(pools).await.map_err(unavailable)?)),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pools) => pools.close().await,
            Self::Postgres(pools) => pools.close().await,
        }
    }
}

impl Transaction {
    pub(super) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(..) => Dialect::Postgres,
        }
    }

    /// What was written is on disk when this returns.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(begun) => begun.commit().await.map_err(unavailable),
            Self::Postgres(begun, patience) => in_time(timeout(patience, begun.commit()).await),
        }
    }
}

/// What a failed statement means to whoever asked.
fn unavailable(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
