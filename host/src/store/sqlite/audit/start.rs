//! Before a chain is signed on: what the store has is held against what was exported of it.

use sqlx::SqliteConnection;

use super::{Sqlite, end, read, unavailable};
use crate::{
    audit::{Seal, SealError, Standing, verify::StoredSegment},
    store::StoreError,
};

impl Sqlite {
    /// Signs the chain from here on. The store must not be in use yet.
    pub(in crate::store) async fn seal_audit(&mut self, seal: Seal) -> Result<(), SealError> {
        let mut connection = self.readers.acquire().await.map_err(unavailable)?;
        let end = end(&mut connection).await?;
        let segments = read::segments(&mut connection).await?;
        let signed = seal.check(&segments)?;
        if let Some(head) = seal.newest() {
            let hash = read::hash_at(&mut connection, head.seq).await?;
            let is_pruned = segments.iter().any(|one| {
                one.pruned_ms.is_some()
                    && one.last_seq >= Some(head.seq)
                    && seal.standing(one) == Standing::Signed
            });
            if hash != Some(head.hash) && !is_pruned {
                return Err(seal.behind(head.seq));
            }
            // What a signature covers; what stands behind it, anybody may have put there.
            let through = signed.unwrap_or(0).max(head.seq);
            if let Some(id) = gone(&mut connection, &segments, through).await? {
                let what = format!(
                    "records of segment {id} are not there, and no signed record says that it was pruned"
                );
                return Err(seal.differs(what));
            }
            if end.seq > head.seq {
                let records = end.seq - head.seq;
                tracing::warn!(
                    records,
                    "the audit has records that no exported head covers; they are signed now"
                );
            }
        }
        seal.start(&end, &segments)?;
        self.ledger.seal = Some(seal);
        Ok(())
    }
}

/// The first segment that is marked as pruned and lacks records, without a record up to `through` that says so.
async fn gone(
    connection: &mut SqliteConnection,
    segments: &[StoredSegment],
    through: i64,
) -> Result<Option<i64>, StoreError> {
    let named = read::pruned_through(connection, segments, through).await?;
    let named = named.map(|segment| segment.id);
    let marked = segments.iter().filter(|one| one.pruned_ms.is_some());
    for segment in marked.filter(|one| Some(one.id) > named) {
        let records = read::records_of(connection, segment).await?;
        let had = segment.last_seq.map(|last| last - segment.first_seq + 1);
        if had != Some(records) {
            return Ok(Some(segment.id));
        }
    }
    Ok(None)
}
