//! Before a chain is signed on: what the store has is held against what was exported of it.

use super::{end, read};
use crate::{
    audit::{Seal, SealError, Standing, verify::StoredSegment},
    store::{
        Store, StoreError,
        database::{Kind, Transaction},
    },
};

impl Store {
    /// Signs the audit's chain from here on, and exports its heads. To be called before the store is used.
    ///
    /// # Errors
    /// When the heads that were exported before are not of this chain: then the store was put back to an older copy, or
    /// cut off, and the newer heads stay.
    pub async fn seal_audit(&mut self, seal: Seal) -> Result<(), SealError> {
        let mut tx = self.database.snapshot(Kind::LookUp).await?;
        let end = end(&mut tx).await?;
        let segments = read::segments(&mut tx).await?;
        let signed = seal.check(&segments)?;
        if let Some(head) = seal.newest() {
            let hash = read::hash_at(&mut tx, head.seq).await?;
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
            if let Some(id) = gone(&mut tx, &segments, through).await? {
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
    tx: &mut Transaction,
    segments: &[StoredSegment],
    through: i64,
) -> Result<Option<i64>, StoreError> {
    let named = read::pruned_through(tx, segments, through).await?;
    let named = named.map(|segment| segment.id);
    let marked = segments.iter().filter(|one| one.pruned_ms.is_some());
    for segment in marked.filter(|one| Some(one.id) > named) {
        let records = read::records_of(tx, segment).await?;
        let had = segment.last_seq.map(|last| last - segment.first_seq + 1);
        if had != Some(records) {
            return Ok(Some(segment.id));
        }
    }
    Ok(None)
}
