//! Records of pruning, held against the segments that they name.

use serde::Deserialize;

use super::{Finding, Row, Verifier, segment::StoredSegment};

/// Up to which segment a record says that all were pruned, and the hash that it ended with.
pub(super) struct Prune {
    /// The record's own number.
    seq: i64,
    last: Named,
}

/// What a record of pruning says.
#[derive(Deserialize)]
pub(super) struct Detail {
    /// How long ago the segments were closed at least.
    keep_ms: Option<i64>,
    pub(super) segments: Vec<Named>,
}

/// A segment, as it was when it was pruned.
#[derive(Deserialize)]
pub(super) struct Named {
    segment: i64,
    hash: String,
    last_seq: Option<i64>,
    closed_ms: Option<i64>,
}

impl Named {
    /// Whether it is this segment, as the store has it.
    pub(super) fn is_of(&self, segment: &StoredSegment) -> bool {
        self.segment == segment.id
            && segment.hash.map(hex::encode).as_ref() == Some(&self.hash)
            && (self.last_seq.is_none() || self.last_seq == segment.last_seq)
            && (self.closed_ms.is_none() || self.closed_ms == segment.closed_ms)
    }
}

/// What the line says, if it is of such a record. Those of older versions have no times.
pub(super) fn detail_of(line: &str) -> Option<Detail> {
    #[derive(Deserialize)]
    struct Line {
        detail: Detail,
    }
    serde_json::from_str::<Line>(line)
        .ok()
        .map(|line| line.detail)
}

impl Verifier {
    /// A record of pruning: the segments that it names must be what it says, and have been old enough.
    pub(super) fn take_prune(&mut self, row: &Row) {
        let Some(detail) = detail_of(&row.line) else {
            return;
        };
        let mut wrong = Vec::new();
        for named in &detail.segments {
            let place = self
                .segments
                .binary_search_by_key(&named.segment, |segment| segment.id);
            // One that is not there is found where segments are counted.
            let Some(segment) = place.ok().and_then(|place| self.segments.get(place)) else {
                continue;
            };
            if !named.is_of(segment) {
                wrong.push(Finding::Segment {
                    segment: named.segment,
                    what: "it is not what the record of its pruning says",
                });
            }
            let before_ms = detail
                .keep_ms
                .map(|keep| row.facts.at_ms.saturating_sub(keep));
            if let (Some(closed_ms), Some(before_ms)) = (named.closed_ms, before_ms)
                && closed_ms >= before_ms
            {
                wrong.push(Finding::PrunedEarly {
                    seq: row.seq,
                    segment: named.segment,
                });
            }
        }
        wrong.into_iter().for_each(|finding| self.find(finding));
        let last = detail.segments.into_iter().next_back();
        self.prune = last
            .map(|last| Prune { seq: row.seq, last })
            .or(self.prune.take());
    }

    /// Segments whose records are gone are named, with the hash that they ended with, by the newest record of pruning;
    /// and that is signed. One that is not signed yet has deleted nothing yet.
    pub(super) fn check_prunes(&mut self) {
        let signed = self.report.signed_through;
        let vouched = self.prune.as_ref().and_then(|prune| {
            let is_it = self.segments.iter().any(|one| prune.last.is_of(one));
            let stands = self.evidence.unsigned || signed >= Some(prune.seq);
            (is_it && stands).then_some(prune.last.segment)
        });
        let is_whole = |segment: &StoredSegment| {
            let records = segment.last_seq.map(|last| last - segment.first_seq + 1);
            records.is_some() && records == self.left.get(&segment.id).copied()
        };
        let gone: Vec<i64> = self
            .segments
            .iter()
            .filter(|one| one.pruned_ms.is_some() && Some(one.id) > vouched && !is_whole(one))
            .map(|one| one.id)
            .collect();
        for segment in gone {
            self.find(Finding::SegmentMissing { segment });
        }
    }
}
