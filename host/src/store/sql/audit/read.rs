//! Reading the chain: following and verifying it.

use std::collections::BTreeMap;

use super::hash;
use crate::{
    audit::{
        Evidence, Found, PRUNE, Report,
        chain::{self, Hash},
        line::{Facts, RecordKind},
        verify::{StoredSegment, Verifier},
    },
    store::{
        Store, StoreError,
        database::{Kind, Row, Transaction, query},
    },
};

/// Records that verifying reads at once.
const BATCH: i64 = 1000;

impl Store {
    /// The audit records after this number, oldest first, at most `limit`.
    pub async fn audit_after(&self, seq: i64, limit: u32) -> Result<Vec<Found>, StoreError> {
        let rows = query("SELECT seq, line FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq)
            .bind(limit);
        self.search(rows, found).await
    }

    /// Verifies the audit's chain, as of one moment, in batches. The exported heads must have been read before: what is
    /// written meanwhile is not seen.
    pub async fn verify_audit(&self, evidence: Evidence) -> Result<Report, StoreError> {
        // One transaction: what is written meanwhile is not seen.
        let mut tx = self.database.snapshot(Kind::Search).await?;
        let segments = segments(&mut tx).await?;
        let left = left(&mut tx, &segments).await?;
        let mut verifier = Verifier::new(evidence, segments, left);
        let mut from = verifier.first_seq();
        loop {
            let rows = query(
                "SELECT seq, segment, at_ms, kind, organization, \"user\", credential, action, subject, outcome, reason, \
                 line, hash FROM audit WHERE seq >= $1 ORDER BY seq LIMIT $2",
            )
            .bind(from)
            .bind(BATCH)
            .fetch_all(&mut tx)
            .await?;
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
pub(super) async fn segments(tx: &mut Transaction) -> Result<Vec<StoredSegment>, StoreError> {
    let rows = query(
        "SELECT id, first_seq, previous, opened_ms, last_seq, hash, closed_ms, key_id, signature, pruned_ms \
         FROM audit_segments ORDER BY id",
    )
    .fetch_all(tx)
    .await?;
    rows.iter().map(segment).collect()
}

/// The hash of the record with this number.
pub(super) async fn hash_at(tx: &mut Transaction, seq: i64) -> Result<Option<Hash>, StoreError> {
    let row = query("SELECT hash FROM audit WHERE seq = $1")
        .bind(seq)
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(|row| hash(row, 0)).transpose()
}

/// The newest segment that a record of pruning up to `through` says was pruned, with all before it.
pub(super) async fn pruned_through<'s>(
    tx: &mut Transaction,
    segments: &'s [StoredSegment],
    through: i64,
) -> Result<Option<&'s StoredSegment>, StoreError> {
    let marked = segments.iter().filter(|one| one.pruned_ms.is_some());
    // Usually the last one is the subject of the newest such record.
    for segment in marked.rev() {
        let row = query(
            "SELECT line FROM audit WHERE subject = $1 AND action = $2 AND seq <= $3 ORDER BY seq DESC LIMIT 1",
        )
        .bind(segment.id.to_string())
        .bind(PRUNE)
        .bind(through)
        .fetch_optional(tx)
            .await?;
        let line: Option<String> = row.map(|row| row.get(0)).transpose()?;
        if line.is_some_and(|line| segment.is_pruned_by(&line)) {
            return Ok(Some(segment));
        }
    }
    Ok(None)
}

/// How many records each segment still has that is marked as pruned.
async fn left(
    tx: &mut Transaction,
    segments: &[StoredSegment],
) -> Result<BTreeMap<i64, i64>, StoreError> {
    let mut left = BTreeMap::new();
    for segment in segments.iter().filter(|one| one.pruned_ms.is_some()) {
        left.insert(segment.id, records_of(tx, segment).await?);
    }
    Ok(left)
}

/// How many records of a segment there are.
pub(super) async fn records_of(
    tx: &mut Transaction,
    segment: &StoredSegment,
) -> Result<i64, StoreError> {
    let query = query("SELECT count(*) FROM audit WHERE seq BETWEEN $1 AND $2")
        .bind(segment.first_seq)
        .bind(segment.last_seq);
    query.fetch_one(tx).await?.get(0)
}

pub(super) fn found(row: &Row) -> Result<Found, StoreError> {
    Ok(Found {
        seq: row.get(0)?,
        line: row.get(1)?,
    })
}

fn segment(row: &Row) -> Result<StoredSegment, StoreError> {
    let key_id: Option<String> = row.get(7)?;
    let signature: Option<Vec<u8>> = row.get(8)?;
    let hash_there = row.get::<Option<Vec<u8>>, _>(5)?.is_some();
    Ok(StoredSegment {
        id: row.get(0)?,
        first_seq: row.get(1)?,
        previous: hash(row, 2)?,
        opened_ms: row.get(3)?,
        last_seq: row.get(4)?,
        hash: hash_there.then(|| hash(row, 5)).transpose()?,
        closed_ms: row.get(6)?,
        signature: key_id.zip(signature),
        pruned_ms: row.get(9)?,
    })
}

fn record(row: &Row) -> Result<chain::Row, StoreError> {
    Ok(chain::Row {
        seq: row.get(0)?,
        segment: row.get(1)?,
        facts: Facts {
            at_ms: row.get(2)?,
            kind: match row.get::<String, _>(3)?.as_str() {
                "change" => RecordKind::Change,
                _ => RecordKind::Request,
            },
            organization: row.get(4)?,
            user: row.get(5)?,
            credential: row.get(6)?,
            action: row.get(7)?,
            subject: row.get(8)?,
            outcome: row.get(9)?,
            reason: row.get(10)?,
        },
        line: row.get(11)?,
        hash: hash(row, 12)?,
    })
}
