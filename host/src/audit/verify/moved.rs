//! Records that do not fit where they stand: moved from elsewhere, or edited.

use std::collections::{BTreeMap, BTreeSet};

use super::{Finding, Hash, Row, link};

/// A record whose hash does not cover the one before it.
pub(super) struct Misfit {
    seq: i64,
    line: String,
    hash: Hash,
    /// The hash of the record that stands before it.
    before: Hash,
}

impl Misfit {
    pub(super) fn of(row: &Row, before: Hash) -> Self {
        Self {
            seq: row.seq,
            line: row.line.clone(),
            hash: row.hash,
            before,
        }
    }

    fn follows(&self, before: &Hash) -> bool {
        link(before, &self.line) == self.hash
    }
}

/// What each of them is. A record belongs after the one that its hash covers: where that one stands if it fits there itself,
/// else where that one belongs. A record that covers none of them was edited.
pub(super) fn settle(misfits: Vec<Misfit>) -> Vec<Finding> {
    let known: BTreeSet<i64> = misfits.iter().map(|misfit| misfit.seq).collect();
    let mut belongs: BTreeMap<i64, i64> = BTreeMap::new();
    for misfit in &misfits {
        let place = misfits
            .iter()
            .filter(|other| !known.contains(&(other.seq - 1)))
            .find(|other| misfit.follows(&other.before));
        if let Some(place) = place {
            belongs.insert(misfit.seq, place.seq);
        }
    }
    // Each follows at most one of the others; a chain of them is followed link by link.
    let after: Vec<(i64, i64)> = misfits
        .iter()
        .filter(|misfit| !belongs.contains_key(&misfit.seq))
        .filter_map(|misfit| {
            let mut others = misfits.iter().filter(|other| other.seq != misfit.seq);
            let before = others.find(|other| misfit.follows(&other.hash))?;
            Some((misfit.seq, before.seq))
        })
        .collect();
    for _ in &after {
        for (seq, before) in &after {
            if let Some(place) = belongs.get(before).copied() {
                belongs.insert(*seq, place + 1);
            }
        }
    }
    // After one that was edited itself, it is where it belongs.
    for (seq, _) in after {
        belongs.entry(seq).or_insert(seq);
    }
    let finding = |misfit: &Misfit| match belongs.get(&misfit.seq) {
        Some(place) if *place == misfit.seq => None,
        Some(place) => Some(Finding::Moved {
            seq: misfit.seq,
            belongs: *place,
        }),
        None => Some(Finding::Edited { seq: misfit.seq }),
    };
    misfits.iter().filter_map(finding).collect()
}
