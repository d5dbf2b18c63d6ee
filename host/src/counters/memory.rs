//! Counters in this process.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hashbrown::HashTable;
use parking_lot::RwLock;

use super::Bucket;
use crate::limit::{self, Cells, Taken, Window};

/// Most buckets of strangers that are kept apart. When as many are busy within two minutes, the next ones share a
/// few: memory stays bounded and nobody is admitted uncounted.
pub(super) const STRANGERS_MAX: usize = 1 << 20;

/// How often idle counters are swept out, in milliseconds.
const SWEEP_MS: i64 = 60_000;

const SHARDS: usize = 64;

/// Counters in memory: exact under concurrency, because each is one word that is replaced by compare-and-swap.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    strangers_max_per_shard: usize,
    /// Of callers; see [`Bucket::window`].
    window: Window,
}

#[derive(Debug, Default)]
struct Shard {
    /// By the hash that chose the shard, so that a request hashes each of its buckets once.
    cells: HashTable<(Bucket, AtomicU64)>,
    strangers: usize,
    /// The minute in which idle cells were last swept out.
    swept: i64,
    /// What strangers share who came when the shard was full: anonymous requests, failures, accounts.
    shared: [AtomicU64; 3],
}

impl Memory {
    pub(super) fn new(window: Window, strangers_max: usize) -> Self {
        Self {
            window,
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            strangers_max_per_shard: strangers_max.div_ceil(SHARDS),
        }
    }

    /// Takes one call.
    pub(super) fn take(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        let window = bucket.window(self.window);
        let taken = self.at(bucket, now_ms, |cell| swap(window, cell, limit, now_ms));
        taken.unwrap_or_else(|| refused(window, limit, now_ms))
    }

    /// Takes over what a counter elsewhere says, as far as it is later than what is known here.
    pub(super) fn note(&self, bucket: Bucket, cells: Cells, now_ms: i64) {
        let window = bucket.window(self.window);
        self.at(bucket, now_ms, |cell| {
            let _ = cell.fetch_update(Relaxed, Relaxed, |bits| {
                let known = Cells::from_bits(bits);
                Some(match limit::is_idle(window, known, now_ms) {
                    true => cells.to_bits(),
                    false => known.later(cells).to_bits(),
                })
            });
        });
    }

    /// Does something to a bucket's counter, which is made if it is not there. Nothing where there is no place for one.
    fn at<T>(&self, bucket: Bucket, now_ms: i64, act: impl Fn(&AtomicU64) -> T) -> Option<T> {
        let (shard, hash) = self.shard(&bucket);
        let shard = shard?;
        if let Some(cell) = shard.read().cell(&bucket, hash) {
            return Some(act(cell));
        }
        let mut shard = shard.write();
        if shard.cell(&bucket, hash).is_none() && !shard.admit(bucket, self, now_ms) {
            return Some(act(shard.shared_cell(bucket)));
        }
        let place = shard.cells.entry(
            hash,
            |(known, _)| *known == bucket,
            |(known, _)| self.hasher.hash_one(known),
        );
        let place = place.or_insert_with(|| (bucket, AtomicU64::default()));
        Some(act(&place.get().1))
    }

    /// What a bucket says.
    pub(super) fn look(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        let window = bucket.window(self.window);
        let (shard, hash) = self.shard(&bucket);
        let Some(shard) = shard else {
            return refused(window, limit, now_ms);
        };
        let shard = shard.read();
        let full = bucket.is_strangers() && shard.strangers >= self.strangers_max_per_shard;
        let bits = match shard.cell(&bucket, hash) {
            Some(cell) => cell.load(Relaxed),
            None if full => shard.shared_cell(bucket).load(Relaxed),
            None => 0,
        };
        limit::look(window, Cells::from_bits(bits), limit, now_ms)
    }

    /// A bucket's shard and its hash, which is keyed: strangers choose what they are counted by.
    fn shard(&self, bucket: &Bucket) -> (Option<&RwLock<Shard>>, u64) {
        let hash = self.hasher.hash_one(bucket);
        (self.shards.get((hash >> 32) as usize % SHARDS), hash)
    }
}

/// There is always a shard; were there none, nothing would be admitted.
fn refused(window: Window, limit: u32, now_ms: i64) -> Taken {
    Taken {
        admitted: false,
        remaining: 0,
        ..limit::look(window, Cells::default(), limit, now_ms)
    }
}

/// Takes from a cell. A swap that another thread won is tried again on what that one left.
fn swap(window: Window, cell: &AtomicU64, limit: u32, now_ms: i64) -> Taken {
    let mut seen = cell.load(Relaxed);
    loop {
        let (next, taken) = limit::take(window, Cells::from_bits(seen), limit, now_ms);
        // Nothing but the count is published through the cell, so no ordering is needed.
        match cell.compare_exchange_weak(seen, next.to_bits(), Relaxed, Relaxed) {
            Ok(_) => return taken,
            Err(other) => seen = other,
        }
    }
}

impl Shard {
    fn cell(&self, bucket: &Bucket, hash: u64) -> Option<&AtomicU64> {
        let found = self.cells.find(hash, |(known, _)| known == bucket);
        found.map(|(_, cell)| cell)
    }

    /// Whether there is room for a new bucket; sweeps once a minute, and counts it in.
    fn admit(&mut self, bucket: Bucket, of: &Memory, now_ms: i64) -> bool {
        let minute = now_ms.div_euclid(SWEEP_MS);
        if self.swept != minute {
            self.swept = minute;
            self.cells.retain(|(bucket, cell)| {
                let cells = Cells::from_bits(cell.load(Relaxed));
                !limit::is_idle(bucket.window(of.window), cells, now_ms)
            });
            self.strangers = self
                .cells
                .iter()
                .filter(|(bucket, _)| bucket.is_strangers())
                .count();
        }
        if bucket.is_strangers() {
            if self.strangers >= of.strangers_max_per_shard {
                return false;
            }
            self.strangers += 1;
        }
        true
    }

    fn shared_cell(&self, bucket: Bucket) -> &AtomicU64 {
        let [anonymous, failures, accounts] = &self.shared;
        match bucket {
            Bucket::Anonymous(_) | Bucket::Credential(_) | Bucket::User(_) => anonymous,
            Bucket::Failures(_) => failures,
            Bucket::Account(_) => accounts,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::HashMap,
        net::{IpAddr, Ipv4Addr},
        sync::atomic::AtomicI64,
    };

    use uuid::Uuid;

    use super::*;

    const START: i64 = 1_775_000_040_000;
    const CELL_MS: i64 = Window::MINUTE.ms();

    fn stranger(n: u32) -> Bucket {
        Bucket::anonymous(IpAddr::V4(Ipv4Addr::from_bits(n)))
    }

    #[test]
    fn many_threads_admit_what_one_would() {
        let memory = Memory::new(Window::MINUTE, STRANGERS_MAX);
        let bucket = Bucket::Credential(Uuid::from_u128(7));
        let limit = 500;
        for minute in 0..4 {
            // Far enough apart that each minute starts from nothing.
            let now = START + minute * 3 * CELL_MS;
            let admitted: usize = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            (0..200)
                                .filter(|_| memory.take(bucket, limit, now).admitted)
                                .count()
                        })
                    })
                    .collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap())
                    .sum()
            });
            assert_eq!(admitted, limit as usize);
        }
    }

    #[test]
    fn never_one_over_the_limit_in_an_aligned_minute_while_the_clock_moves() {
        let memory = Memory::new(Window::MINUTE, STRANGERS_MAX);
        let bucket = Bucket::Credential(Uuid::from_u128(7));
        let limit = 50;
        let clock = AtomicI64::new(START);
        let admissions: Vec<i64> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut admitted = Vec::new();
                        for _ in 0..5_000 {
                            let now = clock.fetch_add(7, Relaxed);
                            if memory.take(bucket, limit, now).admitted {
                                admitted.push(now);
                            }
                        }
                        admitted
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        let mut minutes: HashMap<i64, u32> = HashMap::new();
        for at in admissions {
            *minutes.entry(at / CELL_MS).or_default() += 1;
        }
        assert!(minutes.len() >= 4);
        assert!(minutes.values().all(|count| *count <= limit), "{minutes:?}");
    }

    #[test]
    fn what_is_noted_is_what_is_later() {
        let memory = Memory::new(Window::MINUTE, STRANGERS_MAX);
        let bucket = Bucket::Credential(Uuid::from_u128(7));
        let mut cells = Cells::default();
        let mut states = Vec::new();
        for _ in 0..3 {
            cells = limit::take(Window::MINUTE, cells, 10, START).0;
            states.push(cells);
        }
        memory.note(bucket, states[2], START);
        memory.note(bucket, states[0], START);
        assert_eq!(memory.look(bucket, 10, START).remaining, 7);
        // It goes on from there, and what was taken here alone is not forgotten.
        assert_eq!(memory.take(bucket, 10, START).remaining, 6);
        memory.note(bucket, states[1], START);
        assert_eq!(memory.look(bucket, 10, START).remaining, 6);
        // A minute that is over counts for nothing beside a new one.
        let (later, _) = limit::take(Window::MINUTE, Cells::default(), 10, START + 5 * CELL_MS);
        memory.note(bucket, later, START + 5 * CELL_MS);
        assert_eq!(memory.look(bucket, 10, START + 5 * CELL_MS).remaining, 9);
    }

    #[test]
    fn idle_cells_are_swept_and_strangers_are_bounded() {
        let memory = Memory::new(Window::MINUTE, SHARDS); // one stranger a shard
        for n in 0..10_000 {
            memory.take(stranger(n), 5, START);
        }
        let size = |memory: &Memory| {
            memory
                .shards
                .iter()
                .map(|shard| shard.read().cells.len())
                .sum::<usize>()
        };
        assert!(size(&memory) <= SHARDS);
        // Those who share are counted together, and so refused.
        assert!(
            (0..10_000)
                .filter(|n| memory.take(stranger(10_000 + n), 5, START).admitted)
                .count()
                <= 5 * SHARDS
        );
        // A known credential always has a place of its own.
        assert!(
            memory
                .take(Bucket::Credential(Uuid::from_u128(1)), 5, START)
                .admitted
        );
        // Two minutes later there is room again.
        for n in 0..10_000 {
            memory.take(stranger(n), 5, START + 2 * CELL_MS);
        }
        assert!(
            memory
                .take(stranger(20_000), 5, START + 4 * CELL_MS)
                .admitted
        );
        assert!(size(&memory) <= SHARDS);
    }
}
