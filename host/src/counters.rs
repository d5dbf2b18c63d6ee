//! The counters behind limits: who is counted, and where the counts are kept.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use hashbrown::HashTable;
use parking_lot::RwLock;
use uuid::Uuid;

use crate::{
    client,
    limit::{self, CELL_MS, Cells, Taken},
};

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bucket {
    /// One credential: a session, a key, an agent token, or an external issuer's subject.
    Credential(Uuid),
    /// All credentials of one user.
    User(Uuid),
    /// Requests without a credential, from one address.
    Anonymous(IpAddr),
    /// Rejected credentials and failed log-ins, from one address.
    Failures(IpAddr),
    /// Log-ins to one account, from one address or from all, or changes of its password: by a digest that says which.
    Account([u8; 16]),
}

impl Bucket {
    /// Anonymous requests of a client.
    pub fn anonymous(client: IpAddr) -> Self {
        Self::Anonymous(client::bucket(client))
    }

    /// Rejected credentials of a client.
    pub fn failures(client: IpAddr) -> Self {
        Self::Failures(client::bucket(client))
    }

    /// Whether strangers choose how many of these there are.
    fn is_strangers(self) -> bool {
        !matches!(self, Self::Credential(_) | Self::User(_))
    }
}

/// Where counts are kept.
#[derive(Debug)]
pub enum Counters {
    /// In this process.
    Memory(Memory),
}

impl Counters {
    /// Counters in this process, empty.
    pub fn memory() -> Self {
        Self::Memory(Memory::new(STRANGERS_MAX))
    }

    /// Takes one call from a bucket, if the limit has one left.
    pub async fn take(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        match self {
            Self::Memory(memory) => memory.take(bucket, limit, now_ms),
        }
    }

    /// What a bucket says as far as this process knows, without taking from it.
    pub fn look(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        match self {
            Self::Memory(memory) => memory.look(bucket, limit, now_ms),
        }
    }
}

/// Most buckets of strangers that are kept apart. When as many are busy within two minutes, the next ones share a
/// few: memory stays bounded and nobody is admitted uncounted.
const STRANGERS_MAX: usize = 1 << 20;

const SHARDS: usize = 64;

/// Counters in memory: exact under concurrency, because each is one word that is replaced by compare-and-swap.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    strangers_max_per_shard: usize,
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
    fn new(strangers_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            strangers_max_per_shard: strangers_max.div_ceil(SHARDS),
        }
    }

    fn take(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        let (shard, hash) = self.shard(&bucket);
        let Some(shard) = shard else {
            return refused(limit, now_ms);
        };
        if let Some(cell) = shard.read().cell(&bucket, hash) {
            return swap(cell, limit, now_ms);
        }
        let mut shard = shard.write();
        if shard.cell(&bucket, hash).is_none()
            && !shard.admit(bucket, self.strangers_max_per_shard, now_ms)
        {
            return swap(shard.shared_cell(bucket), limit, now_ms);
        }
        let place = shard.cells.entry(
            hash,
            |(known, _)| *known == bucket,
            |(known, _)| self.hasher.hash_one(known),
        );
        let place = place.or_insert_with(|| (bucket, AtomicU64::default()));
        swap(&place.get().1, limit, now_ms)
    }

    fn look(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        let (shard, hash) = self.shard(&bucket);
        let Some(shard) = shard else {
            return refused(limit, now_ms);
        };
        let shard = shard.read();
        let full = bucket.is_strangers() && shard.strangers >= self.strangers_max_per_shard;
        let bits = match shard.cell(&bucket, hash) {
            Some(cell) => cell.load(Relaxed),
            None if full => shard.shared_cell(bucket).load(Relaxed),
            None => 0,
        };
        limit::look(Cells::from_bits(bits), limit, now_ms)
    }

    /// A bucket's shard and its hash, which is keyed: strangers choose what they are counted by.
    fn shard(&self, bucket: &Bucket) -> (Option<&RwLock<Shard>>, u64) {
        let hash = self.hasher.hash_one(bucket);
        (self.shards.get((hash >> 32) as usize % SHARDS), hash)
    }
}

/// There is always a shard; were there none, nothing would be admitted.
fn refused(limit: u32, now_ms: i64) -> Taken {
    Taken {
        admitted: false,
        remaining: 0,
        ..limit::look(Cells::default(), limit, now_ms)
    }
}

/// Takes from a cell. A swap that another thread won is tried again on what that one left.
fn swap(cell: &AtomicU64, limit: u32, now_ms: i64) -> Taken {
    let mut seen = cell.load(Relaxed);
    loop {
        let (next, taken) = limit::take(Cells::from_bits(seen), limit, now_ms);
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
    fn admit(&mut self, bucket: Bucket, strangers_max: usize, now_ms: i64) -> bool {
        let minute = now_ms.div_euclid(CELL_MS);
        if self.swept != minute {
            self.swept = minute;
            self.cells
                .retain(|(_, cell)| !limit::is_idle(Cells::from_bits(cell.load(Relaxed)), now_ms));
            self.strangers = self
                .cells
                .iter()
                .filter(|(bucket, _)| bucket.is_strangers())
                .count();
        }
        if bucket.is_strangers() {
            if self.strangers >= strangers_max {
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
    use std::{collections::HashMap, net::Ipv4Addr, sync::atomic::AtomicI64};

    use super::*;

    const START: i64 = 1_775_000_040_000;

    fn stranger(n: u32) -> Bucket {
        Bucket::anonymous(IpAddr::V4(Ipv4Addr::from_bits(n)))
    }

    #[test]
    fn many_threads_admit_what_one_would() {
        let memory = Memory::new(STRANGERS_MAX);
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
        let memory = Memory::new(STRANGERS_MAX);
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
    fn buckets_are_apart() {
        let memory = Memory::new(STRANGERS_MAX);
        let id = Uuid::from_u128(7);
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let account = Bucket::Account([0; 16]);
        for bucket in [
            Bucket::Credential(id),
            Bucket::User(id),
            Bucket::anonymous(address),
            Bucket::failures(address),
            account,
        ] {
            assert!(memory.take(bucket, 1, START).admitted);
            assert!(!memory.take(bucket, 1, START).admitted);
            assert!(!memory.look(bucket, 1, START).admitted);
        }
    }

    #[test]
    fn idle_cells_are_swept_and_strangers_are_bounded() {
        let memory = Memory::new(SHARDS); // one stranger a shard
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
