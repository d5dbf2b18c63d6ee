//! Counting how often a policy fails, so that one that fails for good is noticed.
//!
//! A few requests that make it fail are refused and change nothing, whoever sends them: it takes at least
//! [`FAULTS_MIN`] faults within [`WINDOW_SECS`] seconds, and at least every second decision of that time. A request that
//! finds no place for its decision is neither a decision nor a fault.
//!
//! A decision costs one counter of its thread's own; whatever takes more is done at a fault.

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{AcqRel, Relaxed},
};

use crossbeam_utils::CachePadded;

use crate::engine::{DecideError, lane};

/// How far back is counted, in seconds.
const WINDOW_SECS: i64 = 10;
/// Fewer faults than these are no reason for anything.
const FAULTS_MIN: u64 = 20;

/// A policy that fails for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Its digest.
    pub(crate) digest: String,
    /// Its faults in the window.
    pub(crate) faults: u64,
    /// Its decisions in the window, the faults among them.
    pub(crate) decisions: u64,
    /// When that was so.
    pub(crate) at_ms: i64,
}

/// The decisions of one policy since it became the active one, and those of them that failed.
pub(crate) struct Faults {
    decisions: Box<[CachePadded<Seconds>]>,
    faults: Seconds,
    /// The second in which it was last said that the policy fails.
    said_at: AtomicI64,
}

impl Faults {
    pub(crate) fn new() -> Self {
        let lanes = (0..lane::COUNT).map(|_| CachePadded::default());
        Self {
            decisions: lanes.collect(),
            faults: Seconds::default(),
            said_at: AtomicI64::new(i64::MIN),
        }
    }

    /// Counts what came of a question. Gives its faults and its decisions where the policy fails for good, once a
    /// second.
    pub(crate) fn count<T>(
        &self,
        decided: &Result<T, DecideError>,
        now_ms: i64,
    ) -> Option<(u64, u64)> {
        let second = now_ms.div_euclid(1000);
        if !matches!(decided, Err(DecideError::Overloaded))
            && let Some(own) = lane::from_own(&self.decisions).next()
        {
            own.add(second);
        }
        match decided {
            Err(DecideError::Fault(_)) => self.fault(second),
            Ok(_) | Err(DecideError::Overloaded) => None,
        }
    }

    fn fault(&self, second: i64) -> Option<(u64, u64)> {
        self.faults.add(second);
        let faults = self.faults.until(second);
        let decisions: u64 = self.decisions.iter().map(|lane| lane.until(second)).sum();
        let fails = faults >= FAULTS_MIN && faults * 2 >= decisions;
        let is_news = fails && self.said_at.swap(second, Relaxed) != second;
        is_news.then_some((faults, decisions))
    }
}

/// Counts for each of the last seconds: the low half of the second's number, and the count. More places than the window
/// has seconds, so that a slow request does not meet another second in its own place.
#[derive(Default)]
struct Seconds([AtomicU64; 16]);

impl Seconds {
    fn add(&self, second: i64) {
        let Some(place) = self.0.get((second & 15) as usize) else {
            return;
        };
        let seen = place.load(Relaxed);
        let fresh = (u64::from(second as u32) << 32) | 1;
        let is_other = seen >> 32 != fresh >> 32;
        // Whoever comes first in a second starts its count; whoever just missed that adds to it.
        if !is_other
            || place
                .compare_exchange(seen, fresh, AcqRel, Relaxed)
                .is_err()
        {
            place.fetch_add(1, Relaxed);
        }
    }

    /// What was counted in the window that ends with this second.
    fn until(&self, second: i64) -> u64 {
        let counts = self.0.iter().map(|place| place.load(Relaxed));
        let in_window = counts.filter(|seen| {
            let age = (second as u32).wrapping_sub((seen >> 32) as u32);
            i64::from(age) < WINDOW_SECS
        });
        in_window.map(|seen| seen & u64::from(u32::MAX)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_774_958_400_000;

    fn good(faults: &Faults, count: usize, now_ms: i64) {
        for _ in 0..count {
            assert_eq!(faults.count(&Ok(()), now_ms), None);
        }
    }

    /// How often these are said to be too many.
    fn bad(faults: &Faults, count: usize, now_ms: i64) -> Option<(u64, u64)> {
        let fault = Err::<(), _>(DecideError::Fault(String::new()));
        let said = (0..count).filter_map(|_| faults.count(&fault, now_ms));
        let said: Vec<_> = said.collect();
        assert!(said.len() <= 1, "{said:?}");
        said.first().copied()
    }

    #[test]
    fn twenty_faults_that_are_half_of_all_decisions_are_too_many() {
        let faults = Faults::new();
        assert_eq!(bad(&faults, 19, NOW), None);
        assert_eq!(bad(&faults, 1, NOW), Some((20, 20)));
        // It is said once a second, as long as it goes on.
        assert_eq!(bad(&faults, 50, NOW), None);
        assert_eq!(bad(&faults, 50, NOW + 1000), Some((71, 71)));
    }

    #[test]
    fn a_few_among_good_ones_are_not() {
        let faults = Faults::new();
        for second in 0..100 {
            good(&faults, 100, NOW + second * 1000);
            assert_eq!(bad(&faults, 99, NOW + second * 1000), None, "{second}");
        }
        let faults = Faults::new();
        good(&faults, 1000, NOW);
        // Good ones count until they are ten seconds old.
        assert_eq!(bad(&faults, 500, NOW + 9_999), None);
        assert_eq!(bad(&faults, 1, NOW + 10_000), Some((501, 501)));
    }

    #[test]
    fn slow_ones_and_overload_are_not() {
        let faults = Faults::new();
        for second in 0..200 {
            assert_eq!(bad(&faults, 1, NOW + second * 1000), None);
        }
        for _ in 0..100 {
            let overloaded = faults.count::<()>(&Err(DecideError::Overloaded), NOW + 300_000);
            assert_eq!(overloaded, None);
        }
        good(&faults, 21, NOW + 300_000);
        assert_eq!(bad(&faults, 20, NOW + 300_000), None);
        // A clock that is set back counts anew.
        assert_eq!(bad(&faults, 20, NOW - 3_600_000), Some((20, 20)));
    }

    #[test]
    fn threads_that_count_at_once_lose_nothing() {
        let faults = Faults::new();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for second in 0..5 {
                        good(&faults, 1000, NOW + second * 1000);
                    }
                });
            }
        });
        let second = NOW / 1000 + 4;
        let all: u64 = faults.decisions.iter().map(|lane| lane.until(second)).sum();
        assert_eq!(all, 4 * 5 * 1000);
    }
}
