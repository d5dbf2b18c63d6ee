//! What the store notes of segments, held against their records, their signatures and the records of pruning.

use super::{Finding, GENESIS, Hash, Head, Row, Verifier, prune};
use crate::audit::head::HeadState;

/// A segment as the store has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredSegment {
    pub(crate) id: i64,
    pub(crate) first_seq: i64,
    pub(crate) previous: Hash,
    pub(crate) opened_ms: i64,
    pub(crate) last_seq: Option<i64>,
    pub(crate) hash: Option<Hash>,
    pub(crate) closed_ms: Option<i64>,
    /// The name of the key, and the signature.
    pub(crate) signature: Option<(String, Vec<u8>)>,
    pub(crate) pruned_ms: Option<i64>,
}

impl StoredSegment {
    /// The head that it was closed with, if it was signed.
    pub(crate) fn head(&self) -> Option<Head> {
        let (key_id, signature) = self.signature.clone()?;
        Some(Head {
            state: HeadState::Closed,
            segment: self.id,
            seq: self.last_seq?,
            hash: self.hash?,
            at_ms: self.closed_ms?,
            key_id,
            signature,
        })
    }

    /// Whether the next segment starts where, when and from what this one ends.
    pub(crate) fn is_followed_by(&self, next: &Self) -> bool {
        next.id == self.id + 1
            && self.last_seq.map(|last| last + 1) == Some(next.first_seq)
            && self.hash == Some(next.previous)
            && self.closed_ms == Some(next.opened_ms)
    }

    /// Whether this line is a record that says that it was pruned, with all before it.
    pub(crate) fn is_pruned_by(&self, line: &str) -> bool {
        let detail = prune::detail_of(line);
        let last = detail.and_then(|detail| detail.segments.into_iter().next_back());
        last.is_some_and(|last| last.is_of(self))
    }
}

impl Verifier {
    /// What can be said of segments without their records: that each starts where the one before ends, and signatures.
    pub(super) fn check_segments(&mut self) {
        let segments = std::mem::take(&mut self.segments);
        let (mut id, mut seq, mut hash) = (1, Some(1), Some(GENESIS));
        for segment in &segments {
            if segment.id > id {
                (id..segment.id).for_each(|segment| self.find(Finding::SegmentMissing { segment }));
                // Where it should start is not known; its records show it.
                (seq, hash) = (None, None);
            }
            let mut wrong = |what| {
                self.find(Finding::Segment {
                    segment: segment.id,
                    what,
                });
            };
            if seq.is_some_and(|seq| seq != segment.first_seq) {
                wrong("it does not start after the one before it");
            }
            if hash.is_some_and(|hash| hash != segment.previous) {
                wrong("it does not start from the hash that the one before it ends with");
            }
            (id, seq, hash) = (
                segment.id + 1,
                segment.last_seq.map(|seq| seq + 1),
                segment.hash,
            );
            self.check_closed(segment);
            self.report.segments += 1;
            self.report.pruned += u64::from(segment.pruned_ms.is_some());
        }
        for (segment, next) in segments.iter().zip(segments.iter().skip(1)) {
            if segment.id + 1 == next.id && segment.closed_ms.is_some_and(|at| at != next.opened_ms)
            {
                self.find(Finding::Segment {
                    segment: segment.id,
                    what: "it was not closed when the next one was opened",
                });
            }
        }
        let open = segments.iter().filter(|segment| segment.last_seq.is_none());
        for segment in open.filter(|segment| segment.id + 1 != id) {
            self.find(Finding::Segment {
                segment: segment.id,
                what: "it was never closed, and others follow",
            });
        }
        self.segments = segments;
    }

    fn check_closed(&mut self, segment: &StoredSegment) {
        if segment.last_seq.is_none() {
            return;
        }
        let Some(head) = segment.head() else {
            // A signature that was there once is gone: of this segment, or of one before it.
            let was_signed = self.first_signed.is_some()
                || self
                    .first_head
                    .is_some_and(|head| segment.last_seq >= Some(head));
            if was_signed && !self.evidence.unsigned {
                self.find(Finding::Unsigned {
                    segment: segment.id,
                });
            }
            return;
        };
        self.first_signed.get_or_insert(segment.id);
        match self.check_signature(&head) {
            Some(wrong) => self.find(wrong.of_segment(segment.id)),
            // It vouches for its records when they turn out to end with it.
            None if segment.pruned_ms.is_none() && !self.evidence.keys.is_empty() => {
                self.vouching.insert(head.seq, head.hash);
            }
            None => {}
        }
    }

    /// Whether the record stands in its segment, and the segment is of what it says.
    pub(super) fn check_place(&mut self, row: &Row) {
        while let Some(segment) = self.segments.get(self.current)
            && segment.last_seq.is_some_and(|last| last < row.seq)
        {
            self.current += 1;
        }
        let segment = self.segments.get(self.current);
        let Some(segment) = segment.filter(|segment| segment.first_seq <= row.seq) else {
            // Its segment is missing, which is found where segments are counted, but for the last one.
            let known = self.segments.last().map_or(0, |segment| segment.id);
            if row.segment > known && self.unknown_segment != Some(row.segment) {
                self.unknown_segment = Some(row.segment);
                self.find(Finding::SegmentMissing {
                    segment: row.segment,
                });
            }
            return;
        };
        let (id, mut wrong) = (segment.id, None);
        if segment.first_seq == row.seq && segment.opened_ms != row.facts.at_ms {
            wrong = Some("its time is not that of its first record");
        }
        if segment.last_seq == Some(row.seq) && segment.hash != Some(row.hash) {
            wrong = Some("its hash is not that of its last record");
        }
        if let Some(what) = wrong {
            self.find(Finding::Segment { segment: id, what });
        }
        if id != row.segment {
            self.find(Finding::Column {
                seq: row.seq,
                column: "segment",
            });
        }
        if let Some(hash) = self.vouching.remove(&row.seq)
            && hash == row.hash
        {
            self.report.signed_through = self.report.signed_through.max(Some(row.seq));
        }
    }

    /// Holds an exported head of a record that is pruned against the row of its segment.
    pub(super) fn check_pruned_head(&mut self, head: &Head) {
        let place = self
            .segments
            .binary_search_by_key(&head.segment, |segment| segment.id);
        let segment = place.ok().and_then(|place| self.segments.get(place));
        let is_so = segment.is_some_and(|segment| {
            let is_its_end = segment.last_seq == Some(head.seq);
            segment.first_seq <= head.seq
                && segment.last_seq >= Some(head.seq)
                && (is_its_end || head.state == HeadState::Running)
                && (!is_its_end || segment.hash == Some(head.hash))
        });
        if !is_so {
            self.find(Finding::HeadDiffers { seq: head.seq });
        }
    }
}
