//! Reading the chain: following and verifying it.

use std::collections::BTreeMap;

use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{Sqlite, get, hash, unavailable};
use crate::{
    audit::{
        Evidence, Found, PRUNE, Report,
        chain::{Hash, Row},
        line::{Facts, RecordKind},
        verify::{StoredSegment, Verifier},
    },
    store::StoreError,
};

/// Records that verifying reads at once.
const BATCH: i64 = 1000;

impl Sqlite {
    /// The records after this one, oldest first.
    pub(in crate::store) async fn audit_after(
        &self,
        seq: i64,
        limit: u32,
    ) -> Result<Vec<Found>, StoreError> {
        let rows = sqlx::query("SELECT seq, line FROM audit WHERE seq > ? ORDER BY seq LIMIT ?")
            .bind(seq)
            .bind(limit)
            .fetch_all(&self.searchers)
            .await;
        rows.map_err(unavailable)?.iter().map(found).collect()
    }

    /// Verifies the chain as it is at one moment, in batches.
    pub(in crate::store) async fn verify_audit(
        &self,
        evidence: Evidence,
    ) -> Result<Report, StoreError> {
        // One transaction: what is written meanwhile is not seen.
        let mut tx = self.searchers.begin().await.map_err(unavailable)?;
        let segments = segments(&mut tx).await?;
        let left = left(&mut tx, &segments).await?;
        let mut verifier = Verifier::new(evidence, segments, left);
        let mut from = verifier.first_seq();
        loop {
            let rows = sqlx::query(
                "SELECT seq, segment, at_ms, kind, organization, user, credential, action, subject, outcome, reason, \
                 line, hash FROM audit WHERE seq >= ? ORDER BY seq LIMIT ?",
            )
            .bind(from)
            .bind(BATCH)
            .fetch_all(&mut *tx)
            .await
            .map_err(unavailable)?;
            for row in &rows {
                let row = record(row)?;
                from = row.seq + 1;
                verifier.record(&row);
            }
            if rows.is_empty() {
                return Ok(verifier.finish());
            }
        }
    }
}

/// All segments, in order.
pub(super) async fn segments(
    connection: &mut SqliteConnection,
) -> Result<Vec<StoredSegment>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, first_seq, previous, opened_ms, last_seq, hash, closed_ms, key_id, signature, pruned_ms \
         FROM audit_segments ORDER BY id",
    )
    .fetch_all(connection)
    .await
    .map_err(unavailable)?;
    rows.iter().map(segment).collect()
}

/// The hash of the record with this number.
pub(super) async fn hash_at(
    connection: &mut SqliteConnection,
    seq: i64,
) -> Result<Option<Hash>, StoreError> {
    let row = sqlx::query("SELECT hash FROM audit WHERE seq = ?")
        .bind(seq)
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    row.as_ref().map(|row| hash(row, 0)).transpose()
}

/// The newest segment that a record of pruning up to `through` says was pruned, with all before it.
pub(super) async fn pruned_through<'s>(
    connection: &mut SqliteConnection,
    segments: &'s [StoredSegment],
    through: i64,
) -> Result<Option<&'s StoredSegment>, StoreError> {
    let marked = segments.iter().filter(|one| one.pruned_ms.is_some());
    // Usually the last one is the subject of the newest such record.
    for segment in marked.rev() {
        let row = sqlx::query(
            "SELECT line FROM audit WHERE subject = ? AND action = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
        )
        .bind(segment.id.to_string())
        .bind(PRUNE)
        .bind(through)
        .fetch_optional(&mut *connection)
        .await
        .map_err(unavailable)?;
        let line: Option<String> = row.as_ref().map(|row| get(row, 0)).transpose()?;
        if line.is_some_and(|line| segment.is_pruned_by(&line)) {
            return Ok(Some(segment));
        }
    }
    Ok(None)
}

/// How many records each segment still has that is marked as pruned.
async fn left(
    connection: &mut SqliteConnection,
    segments: &[StoredSegment],
) -> Result<BTreeMap<i64, i64>, StoreError> {
    let mut left = BTreeMap::new();
    for segment in segments.iter().filter(|one| one.pruned_ms.is_some()) {
        left.insert(segment.id, records_of(connection, segment).await?);
    }
    Ok(left)
}

/// How many records of a segment there are.
pub(super) async fn records_of(
    connection: &mut SqliteConnection,
    segment: &StoredSegment,
) -> Result<i64, StoreError> {
    let query = sqlx::query("SELECT count(*) FROM audit WHERE seq BETWEEN ? AND ?")
        .bind(segment.first_seq)
        .bind(segment.last_seq);
    let row = query.fetch_one(connection).await;
    get(&row.map_err(unavailable)?, 0)
}

pub(super) fn found(row: &SqliteRow) -> Result<Found, StoreError> {
    Ok(Found {
        seq: get(row, 0)?,
        line: get(row, 1)?,
    })
}

fn segment(row: &SqliteRow) -> Result<StoredSegment, StoreError> {
    let key_id: Option<String> = get(row, 7)?;
    let signature: Option<Vec<u8>> = get(row, 8)?;
    let hash_there = get::<Option<Vec<u8>>>(row, 5)?.is_some();
    Ok(StoredSegment {
        id: get(row, 0)?,
        first_seq: get(row, 1)?,
        previous: hash(row, 2)?,
        opened_ms: get(row, 3)?,
        last_seq: get(row, 4)?,
        hash: hash_there.then(|| hash(row, 5)).transpose()?,
        closed_ms: get(row, 6)?,
        signature: key_id.zip(signature),
        pruned_ms: get(row, 9)?,
    })
}

fn record(row: &SqliteRow) -> Result<Row, StoreError> {
    Ok(Row {
        seq: get(row, 0)?,
        segment: get(row, 1)?,
        facts: Facts {
            at_ms: get(row, 2)?,
            kind: match get::<String>(row, 3)?.as_str() {
                "change" => RecordKind::Change,
                _ => RecordKind::Request,
            },
            organization: get(row, 4)?,
            user: get(row, 5)?,
            credential: get(row, 6)?,
            action: get(row, 7)?,
            subject: get(row, 8)?,
            outcome: get(row, 9)?,
            reason: get(row, 10)?,
        },
        line: get(row, 11)?,
        hash: hash(row, 12)?,
    })
}
