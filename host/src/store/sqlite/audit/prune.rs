//! Retention: whole segments that are too old go, and the chain says so.

use serde_json::json;

use super::{Sqlite, read, unavailable};
use crate::{
    audit::{PRUNE, Pruned, line::ChangeLine, verify::StoredSegment},
    store::{Actor, Origin, StoreError},
};

/// Segments that one record names.
const SEGMENTS_MAX: usize = 100;
/// Records that one transaction deletes: what else is to be written waits that long at most.
const RECORDS_MAX: i64 = 2000;
/// How long uses of credentials that the store does not have are kept, in seconds: those are sessions, which end sooner.
const STRANGE_USES_KEPT_SECS: i64 = 30 * 24 * 3600;

impl Sqlite {
    /// Deletes the segments that were closed before this moment, after a record that names them and is exported.
    pub(in crate::store) async fn prune_audit(
        &self,
        before_ms: i64,
        now_ms: i64,
    ) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        loop {
            let marked = self.mark_pruned(before_ms, now_ms).await?;
            pruned.segments += marked;
            if marked == 0 {
                break;
            }
        }
        // Those too that were marked before, by a process that ended before it was done.
        pruned.records = self.delete_pruned().await?;
        Ok(pruned)
    }

    pub(in crate::store::sqlite) async fn mark_pruned(
        &self,
        before_ms: i64,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        let mut tx = begun.map_err(unavailable)?;
        let segments = read::segments(&mut tx).await?;
        // From the oldest on without a gap, whatever their times say.
        let old: Vec<&StoredSegment> = segments
            .iter()
            .skip_while(|segment| segment.pruned_ms.is_some())
            .take_while(|segment| segment.closed_ms.is_some_and(|closed| closed < before_ms))
            .take(SEGMENTS_MAX)
            .collect();
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            return Ok(0);
        };
        sqlx::query("UPDATE audit_segments SET pruned_ms = ? WHERE id BETWEEN ? AND ?")
            .bind(now_ms)
            .bind(first.id)
            .bind(last.id)
            .execute(&mut *tx)
            .await
            .map_err(unavailable)?;
        let named = old.iter().map(|segment| {
            json!({
                "segment": segment.id,
                "first_seq": segment.first_seq,
                "last_seq": segment.last_seq,
                "hash": segment.hash.map(hex::encode),
            })
        });
        let line = ChangeLine {
            at_ms: now_ms,
            origin: &Origin::from(Actor::Gate),
            organization: None,
            action: PRUNE,
            subject: &last.id.to_string(),
            detail: &json!({ "segments": named.collect::<Vec<_>>() }),
        };
        let appended = self.ledger.append(&mut tx, [line.text()]).await?;
        tx.commit().await.map_err(unavailable)?;
        self.ledger.committed(&appended);
        Ok(old.len())
    }

    async fn delete_pruned(&self) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let some = sqlx::query(
                "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= \
                 (SELECT max(last_seq) FROM audit_segments WHERE pruned_ms IS NOT NULL) ORDER BY seq LIMIT ?)",
            )
            .bind(RECORDS_MAX)
            .execute(&self.writer)
            .await
            .map_err(unavailable)?
            .rows_affected();
            if some == 0 {
                return Ok(deleted);
            }
            deleted += some;
        }
    }

    /// Forgets when sessions were last used that ended long ago.
    pub(in crate::store) async fn prune_last_uses(&self, now_ms: i64) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM last_uses WHERE credential IN (SELECT credential FROM last_uses \
             WHERE used_at < ? AND credential NOT IN (SELECT id FROM credentials) LIMIT 10000)",
        )
        .bind(now_ms.div_euclid(1000) - STRANGE_USES_KEPT_SECS)
        .execute(&self.writer)
        .await
        .map(drop)
        .map_err(unavailable)
    }
}
