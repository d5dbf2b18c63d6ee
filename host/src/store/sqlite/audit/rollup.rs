//! The numbers beside the chain: what happened to requests over time.

use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};
use uuid::Uuid;

use super::{Sqlite, get, unavailable};
use crate::{
    audit::{
        Summary, Window,
        rollup::{Counted, KEPT_SECS, PIECES_SECS},
    },
    store::StoreError,
};

/// Numbers that one transaction deletes: what else is to be written waits that long at most.
const DELETED_MAX: i64 = 5_000;

/// Adds to the numbers, in the transaction of the records that are counted.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    counted: &[Counted<'_>],
) -> Result<(), StoreError> {
    if counted.is_empty() {
        return Ok(());
    }
    let text = |error: serde_json::Error| StoreError::Unavailable(error.to_string());
    let counted = serde_json::to_string(counted).map_err(text)?;
    let pieces = serde_json::Value::from(PIECES_SECS.as_slice()).to_string();
    sqlx::query(
        "INSERT INTO audit_rollup (organization, secs, start, what, name, count) \
         SELECT one.value ->> 'organization', piece.value, \
             (one.value ->> 'start') / piece.value * piece.value, \
             one.value ->> 'what', one.value ->> 'name', one.value ->> 'count' \
         FROM json_each(?) AS one, json_each(?) AS piece WHERE true \
         ON CONFLICT DO UPDATE SET count = count + excluded.count",
    )
    .bind(counted)
    .bind(pieces)
    .execute(connection)
    .await
    .map(drop)
    .map_err(unavailable)
}

impl Sqlite {
    /// What happened to an organization's requests in a span of time.
    pub(in crate::store) async fn audit_summary(
        &self,
        organization: Uuid,
        window: Window,
    ) -> Result<Summary, StoreError> {
        // One transaction: both statements see the numbers as of one moment.
        let mut tx = self.searchers.begin().await.map_err(unavailable)?;
        let outcomes = sqlx::query(
            "SELECT (start - ?3) / ?5 AS place, name, sum(count) FROM audit_rollup \
             WHERE organization = ?1 AND secs = ?2 AND what = 'outcome' AND start >= ?3 AND start < ?4 \
             GROUP BY place, name",
        )
        .bind(organization.to_string())
        .bind(window.piece_secs())
        .bind(window.since)
        .bind(window.until)
        .bind(window.bucket_secs)
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        let others = sqlx::query(
            "SELECT what, name, sum(count) FROM audit_rollup \
             WHERE organization = ?1 AND secs = ?2 AND what IN ('reason', 'limit', 'latency') \
             AND start >= ?3 AND start < ?4 GROUP BY what, name",
        )
        .bind(organization.to_string())
        .bind(window.piece_secs())
        .bind(window.since)
        .bind(window.until)
        .fetch_all(&mut *tx)
        .await
        .map_err(unavailable)?;
        let outcomes = outcomes
            .iter()
            .map(|row| Ok((get(row, 0)?, get(row, 1)?, many(row)?)));
        let others = others
            .iter()
            .map(|row| Ok((get(row, 0)?, get(row, 1)?, many(row)?)));
        Ok(Summary::of(
            window,
            outcomes.collect::<Result<_, StoreError>>()?,
            others.collect::<Result<_, StoreError>>()?,
        ))
    }

    /// Deletes numbers of before this moment, and those that nobody may look at any more.
    pub(in crate::store) async fn prune_rollup(
        &self,
        before_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let oldest = now_ms.div_euclid(1000) - KEPT_SECS;
        let before = before_ms.map_or(oldest, |before_ms| oldest.max(before_ms.div_euclid(1000)));
        loop {
            let deleted = sqlx::query(
                "DELETE FROM audit_rollup WHERE (organization, secs, what, start, name) IN \
                 (SELECT organization, secs, what, start, name FROM audit_rollup \
                 WHERE start < ?1 AND start + secs <= ?1 LIMIT ?2)",
            )
            .bind(before)
            .bind(DELETED_MAX)
            .execute(&self.writer)
            .await
            .map_err(unavailable)?;
            if deleted.rows_affected() == 0 {
                return Ok(());
            }
        }
    }
}

fn many(row: &SqliteRow) -> Result<u64, StoreError> {
    let count: i64 = row.try_get(2).map_err(unavailable)?;
    Ok(count.unsigned_abs())
}
