//! The numbers beside the chain: what happened to requests over time.

use uuid::Uuid;

use crate::{
    audit::{
        Summary, Window,
        rollup::{Counted, KEPT_SECS, PIECES_SECS},
    },
    store::{
        Store, StoreError,
        database::{Kind, Row, Transaction, either, query},
    },
};

/// Numbers that one transaction deletes: what else is to be written waits that long at most.
const DELETED_MAX: i64 = 5_000;

/// Adds to the numbers, in the transaction of the records that are counted.
pub(super) async fn add(tx: &mut Transaction, counted: &[Counted<'_>]) -> Result<(), StoreError> {
    if counted.is_empty() {
        return Ok(());
    }
    let text = |error: serde_json::Error| StoreError::Unavailable(error.to_string());
    let counted = serde_json::to_string(counted).map_err(text)?;
    let pieces = serde_json::Value::from(PIECES_SECS.as_slice()).to_string();
    query(either(ADD_SQLITE, ADD_POSTGRES))
        .bind(counted)
        .bind(pieces)
        .execute(tx)
        .await
        .map(drop)
}

const ADD_SQLITE: &str = "INSERT INTO audit_rollup (organization, secs, start, what, name, count) \
     SELECT one.value ->> 'organization', piece.value, \
         (one.value ->> 'start') / piece.value * piece.value, \
         one.value ->> 'what', one.value ->> 'name', one.value ->> 'count' \
     FROM json_each($1) AS one, json_each($2) AS piece WHERE true \
     ON CONFLICT DO UPDATE SET count = count + excluded.count";
/// One row is changed once in a statement, and locked in the order of the key.
const ADD_POSTGRES: &str = "INSERT INTO audit_rollup (organization, secs, start, what, name, count) \
     SELECT organization, piece, start / piece * piece AS begun, what, name, CAST(sum(count) AS BIGINT) \
     FROM json_to_recordset(CAST($1 AS json)) \
         AS one (organization TEXT, start BIGINT, what TEXT, name TEXT, count BIGINT), \
     (SELECT CAST(json_array_elements_text(CAST($2 AS json)) AS BIGINT) AS piece) AS pieces \
     GROUP BY organization, piece, begun, what, name ORDER BY organization, piece, what, begun, name \
     ON CONFLICT (organization, secs, what, start, name) DO UPDATE SET count = audit_rollup.count + excluded.count";

impl Store {
    /// What happened to an organization's requests in a span of time. It is counted as their records are added, and costs
    /// no search.
    pub async fn audit_summary(
        &self,
        organization: Uuid,
        window: Window,
    ) -> Result<Summary, StoreError> {
        // One transaction: both statements see the numbers as of one moment.
        let mut tx = self.database.snapshot(Kind::Search).await?;
        let outcomes = query(
            "SELECT (start - $3) / $5 AS place, name, CAST(sum(count) AS BIGINT) FROM audit_rollup \
             WHERE organization = $1 AND secs = $2 AND what = 'outcome' AND start >= $3 AND start < $4 \
             GROUP BY place, name",
        )
        .bind(organization)
        .bind(window.piece_secs())
        .bind(window.since)
        .bind(window.until)
        .bind(window.bucket_secs)
        .fetch_all(&mut tx)
        .await?;
        let others = query(
            "SELECT what, name, CAST(sum(count) AS BIGINT) FROM audit_rollup \
             WHERE organization = $1 AND secs = $2 AND what IN ('reason', 'limit', 'latency') \
             AND start >= $3 AND start < $4 GROUP BY what, name",
        )
        .bind(organization)
        .bind(window.piece_secs())
        .bind(window.since)
        .bind(window.until)
        .fetch_all(&mut tx)
        .await?;
        let outcomes = outcomes
            .iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?, many(row)?)));
        let others = others
            .iter()
            .map(|row| Ok((row.get(0)?, row.get(1)?, many(row)?)));
        Ok(Summary::of(
            window,
            outcomes.collect::<Result<_, StoreError>>()?,
            others.collect::<Result<_, StoreError>>()?,
        ))
    }

    /// Deletes what was counted of requests before this moment, and what nobody may look at any more.
    pub(crate) async fn prune_rollup(
        &self,
        before_ms: Option<i64>,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let oldest = now_ms.div_euclid(1000) - KEPT_SECS;
        let before = before_ms.map_or(oldest, |before_ms| oldest.max(before_ms.div_euclid(1000)));
        loop {
            let deleted = query(
                "DELETE FROM audit_rollup WHERE (organization, secs, what, start, name) IN \
                 (SELECT organization, secs, what, start, name FROM audit_rollup \
                 WHERE start < $1 AND start + secs <= $1 LIMIT $2)",
            )
            .bind(before)
            .bind(DELETED_MAX);
            if self.database.execute(deleted).await? == 0 {
                return Ok(());
            }
        }
    }
}

fn many(row: &Row) -> Result<u64, StoreError> {
    let count: i64 = row.get(2)?;
    Ok(count.unsigned_abs())
}
