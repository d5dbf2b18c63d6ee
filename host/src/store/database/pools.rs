//! The connections to one engine.

use sqlx::Pool;

use super::Kind;

/// Connections by what they are for, so that what waits for one kind does not keep another.
#[derive(Debug)]
pub(in crate::store) struct Pools<DB: sqlx::Database> {
    /// For what writes.
    pub(in crate::store) writer: Pool<DB>,
    /// For what a request waits for.
    pub(in crate::store) readers: Pool<DB>,
    /// For lists and searches.
    pub(in crate::store) searchers: Pool<DB>,
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
