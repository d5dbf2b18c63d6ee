//! What the server has acknowledged, and what was asked of it without an answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{SystemTime, UNIX_EPOCH},
};

/// What is known of a key's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Nobody ended it.
    Active,
    /// Somebody asked for it, and nobody knows.
    Revoking,
    /// That it was ended is acknowledged.
    Revoked,
}

/// A key whose minting was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) secret: String,
    pub(super) life: Life,
    /// Whether a successor was asked for, without an answer so far.
    pub(super) rotating: bool,
    /// The successor's id.
    pub(super) successor: Option<String>,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) keys: HashMap<String, Key>,
    /// In the order of their acknowledgement.
    pub(super) ids: Vec<String>,
    /// Clusters with their agents' tokens.
    pub(super) clusters: Vec<(String, String)>,
    /// Requests that were answered while the process was to be killed.
    pub(super) decided: usize,
    /// Requests that it took to the grave.
    pub(super) unanswered: usize,
}

impl Ledger {
    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("no panic")
    }

    pub(super) fn counts(&self) -> String {
        let entries = self.entries();
        let count = |is: fn(&Key) -> bool| entries.keys.values().filter(|key| is(key)).count();
        format!(
            "acknowledged {} keys minted, {} revoked, {} rotated, {} clusters with agents; {} requests decided beside; \
             {} left without an answer",
            entries.keys.len(),
            count(|key| key.life == Life::Revoked),
            count(|key| key.successor.is_some()),
            entries.clusters.len(),
            entries.decided,
            entries.unanswered,
        )
    }
}

impl Entries {
    pub(super) fn minted(&mut self, id: &str, secret: &str) {
        let key = Key {
            secret: secret.to_owned(),
            life: Life::Active,
            rotating: false,
            successor: None,
        };
        self.keys.insert(id.to_owned(), key);
        self.ids.push(id.to_owned());
    }

    pub(super) fn key(&mut self, id: &str) -> &mut Key {
        self.keys.get_mut(id).expect("a known key")
    }

    /// Any key of this kind, if one is found soon; rather a late one.
    pub(super) fn any(&self, random: &mut Random, is: impl Fn(&Key) -> bool) -> Option<String> {
        (0..20).find_map(|_| {
            let back = 1 + random.below(50);
            let place = self.ids.len().checked_sub(usize::try_from(back).ok()?)?;
            let id = self.ids.get(place)?;
            is(&self.keys[id]).then(|| id.clone())
        })
    }
}

/// Numbers that look random and can be had again (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// From `SCOPEGATE_SEED`, or from the time.
    pub(super) fn seeded() -> (Self, u64) {
        let asked = std::env::var("SCOPEGATE_SEED").ok();
        let seed = asked.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            u64::try_from(now.expect("after 1970").as_micros()).expect("a microsecond")
        });
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
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Another source.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
