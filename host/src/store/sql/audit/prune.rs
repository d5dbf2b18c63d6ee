//! Retention: whole segments that are too old go, and the chain says so.

use serde_json::json;

use super::{months, read};
use crate::{
    audit::{PRUNE, Pruned, Seal, Standing, line::ChangeLine, verify::StoredSegment},
    store::{
        Actor, Origin, Store, StoreError,
        database::{Kind, query},
    },
};

/// Segments that one record names.
const SEGMENTS_MAX: usize = 100;
/// Records that one transaction deletes: what else is to be written waits that long at most.
const RECORDS_MAX: i64 = 2000;
/// How long uses of credentials that the store does not have are kept, in seconds: those are sessions, which end sooner.
const STRANGE_USES_KEPT_SECS: i64 = 30 * 24 * 3600;

impl Store {
    /// Deletes the audit's segments that were closed before this moment, after a record that names them and is exported.
    pub(crate) async fn prune_audit(
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

    pub(in crate::store) async fn mark_pruned(
        &self,
        before_ms: i64,
        now_ms: i64,
    ) -> Result<usize, StoreError> {
        let mut tx = self.database.change().await?;
        let segments = read::segments(&mut tx).await?;
        let pruned = segments
            .iter()
            .take_while(|segment| segment.pruned_ms.is_some())
            .count();
        let kept = segments.get(pruned..).unwrap_or_default();
        let old = vouched(kept, self.ledger.seal.as_ref(), SEGMENTS_MAX, |closed_ms| {
            closed_ms < before_ms
        });
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            return Ok(0);
        };
        query("UPDATE audit_segments SET pruned_ms = $1 WHERE id BETWEEN $2 AND $3 AND pruned_ms IS NULL")
            .bind(now_ms)
            .bind(first.id)
            .bind(last.id)
            .execute(&mut tx)
            .await?;
        let named = old.iter().map(|segment| {
            json!({
                "segment": segment.id,
                "first_seq": segment.first_seq,
                "last_seq": segment.last_seq,
                "hash": segment.hash.map(hex::encode),
                "closed_ms": segment.closed_ms,
            })
        });
        let line = ChangeLine {
            at_ms: now_ms,
            origin: &Origin::from(Actor::Gate),
            organization: None,
            action: PRUNE,
            subject: &last.id.to_string(),
            detail: &json!({
                "keep_ms": now_ms - before_ms,
                "segments": named.collect::<Vec<_>>(),
            }),
        };
        let appended = self.ledger.append(&mut tx, [line.text()]).await?;
        tx.commit().await?;
        self.ledger.committed(&appended);
        Ok(old.len())
    }

    async fn delete_pruned(&self) -> Result<u64, StoreError> {
        let Some(last_seq) = self.last_to_delete().await? else {
            return Ok(0);
        };
        let mut tx = self.database.change().await?;
        let mut deleted = months::drop_through(&mut tx, last_seq).await?;
        tx.commit().await?;
        loop {
            let some = query(
                "DELETE FROM audit WHERE seq IN (SELECT seq FROM audit WHERE seq <= $1 ORDER BY seq LIMIT $2)",
            )
            .bind(last_seq)
            .bind(RECORDS_MAX);
            let some = self.database.execute(some).await?;
            if some == 0 {
                return Ok(deleted);
            }
            deleted += some;
        }
    }

    /// The last record of what is marked as pruned, is still there, and may go: its segment's signature vouches for it,
    /// and a head that is on disk covers the record that says so. So a store that lacks records always has that head.
    async fn last_to_delete(&self) -> Result<Option<i64>, StoreError> {
        let seal = self.ledger.seal.as_ref();
        let through = seal.map_or(i64::MAX, Seal::sync);
        let mut tx = self.database.snapshot(Kind::Search).await?;
        let first = query("SELECT min(seq) FROM audit");
        let first: Option<i64> = first.fetch_one(&mut tx).await?.get(0)?;
        let segments = read::segments(&mut tx).await?;
        let empty = segments
            .iter()
            .take_while(|one| one.pruned_ms.is_some() && one.last_seq < first)
            .count();
        let left = segments.get(empty..).unwrap_or_default();
        let named = read::pruned_through(&mut tx, left, through).await?;
        let Some(named) = named else { return Ok(None) };
        let marked = left.iter().take_while(|one| one.id <= named.id).count();
        let may_go = vouched(left, seal, marked, |_| true);
        Ok(may_go.last().and_then(|segment| segment.last_seq))
    }

    /// Forgets the last uses of sessions that ended long ago.
    pub(crate) async fn prune_last_uses(&self, now_ms: i64) -> Result<(), StoreError> {
        let forget = query(
            "DELETE FROM last_uses WHERE credential IN (SELECT l.credential FROM last_uses l \
             WHERE l.used_at < $1 AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = l.credential) LIMIT 10000)",
        )
        .bind(now_ms.div_euclid(1000) - STRANGE_USES_KEPT_SECS);
        self.database.execute(forget).await.map(drop)
    }
}

/// Those of the segments, from the oldest on without a gap and `enough` at most, that were closed when they say. With a
/// key, that is what a signature with it says: a segment's own, or for those from before the key was used that of a later
/// one that is as old. Unsigned, a time is only what somebody wrote into the store.
fn vouched<'s>(
    segments: &'s [StoredSegment],
    seal: Option<&Seal>,
    enough: usize,
    is_old: impl Fn(i64) -> bool,
) -> &'s [StoredSegment] {
    let (mut vouched, mut unknown) = (0, None);
    for (index, segment) in segments.iter().enumerate() {
        // A clock that was put back, or a record with a forged time, may have closed it before it was opened.
        let closed_ms = segment.closed_ms.map(|at| at.max(segment.opened_ms));
        if vouched >= enough || !closed_ms.is_some_and(&is_old) {
            break;
        }
        let standing = seal.map_or(Standing::Signed, |seal| seal.standing(segment));
        let ends_where_next_starts = segments
            .get(index + 1)
            .is_some_and(|next| segment.is_followed_by(next));
        match standing {
            Standing::Signed if ends_where_next_starts => vouched = index + 1,
            Standing::Unknown if ends_where_next_starts && vouched == 0 => {
                unknown.get_or_insert(segment.id);
            }
            _ => {
                tracing::error!(
                    segment = segment.id,
                    "the audit's segment is not pruned: it is not signed, or is not what was signed"
                );
                break;
            }
        }
    }
    if let (0, Some(segment)) = (vouched, unknown) {
        tracing::error!(
            segment,
            "the audit's segment is not pruned yet: it is not signed with this key, nor is a later one that is as old"
        );
    }
    segments.get(..vouched.min(enough)).unwrap_or_default()
}
