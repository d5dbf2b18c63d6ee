//! Randomness that can be repeated.

use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers that look random and can be had again (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From `SCOPEGATE_SEED`, or from the time.
    pub fn seeded() -> (Self, u64) {
        let asked = std::env::var("SCOPEGATE_SEED").ok();
        let seed = asked.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            u64::try_from(now.expect("after 1970").as_micros()).expect("a microsecond")
        });
        (Self(seed), seed)
    }

    /// The same numbers in every run, unless `SCOPEGATE_SEED` asks for others.
    pub fn repeatable() -> (Self, u64) {
        let asked = std::env::var("SCOPEGATE_SEED").ok();
        let seed = asked.and_then(|text| text.parse().ok()).unwrap_or(1);
        (Self(seed), seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0 and below this.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A place in a list of this length.
    pub fn place(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len.max(1) as u64)).expect("a place")
    }

    /// One of these.
    pub fn one<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.place(list.len())]
    }

    /// Whether, once in this many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Another source.
    pub fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
