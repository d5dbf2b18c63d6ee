//! Places for what was looked up, bounded by the memory that they take.

use std::{hash::Hash, mem::size_of, sync::Arc};

use quick_cache::{DefaultHashBuilder, Lifecycle, Weighter, sync};

use crate::{Clusters, Principal};

/// What a principal takes besides its lists: itself, its texts, its packed form, its headers, its part of the log, and
/// its place. Measured with a million keys (`scopegate-benches keys`): 1.9 KiB for one with a scope and two clusters.
const BASE_BYTES: usize = 1_700;
/// What the epochs take that they were looked up under, where gates share a Redis.
const EPOCHS_BYTES: usize = 160;

/// Principals by what was presented for them. When it is full, those that were not asked for again make room; never one
/// that a request still holds, because a later change would not find it.
#[derive(Debug)]
pub(super) struct Cache<K> {
    places: sync::Cache<K, Arc<Principal>, Bytes, DefaultHashBuilder, KeepHeld>,
}

impl<K: Copy + Eq + Hash> Cache<K> {
    /// Nothing yet, and at most so many bytes besides what requests hold.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            places: sync::Cache::with(
                bytes_max / BASE_BYTES,
                bytes_max as u64,
                Bytes,
                DefaultHashBuilder::default(),
                KeepHeld,
            ),
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<Arc<Principal>> {
        self.places.get(key)
    }

    /// Keeps a principal, or answers with the one that is there: somebody else's look-up was quicker. Whoever else keeps
    /// something meanwhile has to wait, or one of two equal ones would be out of reach of a later change. One that was looked
    /// up under other epochs gives way, or else it would be looked up for ever.
    pub(super) fn keep(&self, key: K, principal: Arc<Principal>) -> Arc<Principal> {
        match self.places.peek(&key) {
            Some(kept) if is_as_good(&kept, &principal) => kept,
            before => {
                self.places.insert(key, Arc::clone(&principal));
                if let Some(before) = before {
                    before.standing.end();
                }
                principal
            }
        }
    }

    /// Those that requests hold.
    pub(super) fn held(&self) -> Vec<Arc<Principal>> {
        let kept = self.places.iter().map(|(_, principal)| principal);
        // Held by the cache, by this, and by somebody else.
        kept.filter(|principal| Arc::strong_count(principal) > 2)
            .collect()
    }

    /// Empties one place. Whoever still holds what was in it learns that it is stale.
    pub(super) fn remove(&self, key: &K) {
        if let Some((_, principal)) = self.places.remove(key) {
            principal.standing.end();
        }
    }

    /// Empties every place whose principal is touched.
    pub(super) fn remove_all(&self, is_touched: impl Fn(&Principal) -> bool) {
        self.places.retain(|_, principal| {
            let touched = is_touched(principal);
            if touched {
                principal.standing.end();
            }
            !touched
        });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

/// Whether what is kept can be taken for what was looked up now.
fn is_as_good(kept: &Principal, now: &Principal) -> bool {
    if kept.standing.is_stale() {
        return false;
    }
    match now.filled.is_any() {
        true => kept.filled == now.filled,
        false => is_unchanged(kept, now),
    }
}

/// Whether two look-ups of one caller found the same.
pub(super) fn is_unchanged(before: &Principal, now: &Principal) -> bool {
    before.version == now.version
        && before.expires_at == now.expires_at
        && before.registered == now.registered
}

#[derive(Clone, Debug)]
struct Bytes;

impl<K> Weighter<K, Arc<Principal>> for Bytes {
    fn weight(&self, _: &K, principal: &Arc<Principal>) -> u64 {
        bytes_of(principal) as u64
    }
}

/// What requests hold is in memory anyway. A count that rises is seen here: places are read and emptied under one lock.
#[derive(Clone, Debug)]
struct KeepHeld;

impl<K> Lifecycle<K, Arc<Principal>> for KeepHeld {
    type RequestState = ();

    fn is_pinned(&self, _: &K, principal: &Arc<Principal>) -> bool {
        Arc::strong_count(principal) > 1
    }
}

/// Nearly what a principal takes of memory. It never changes.
pub(super) fn bytes_of(principal: &Principal) -> usize {
    let caller = &principal.caller;
    let clusters = |clusters: &Clusters| match clusters {
        Clusters::All => 0,
        Clusters::Only(ids) => list_bytes(ids),
    };
    let texts = principal.name.len() + principal.key_name.as_ref().map_or(0, String::len);
    BASE_BYTES
        + 2 * texts
        + list_bytes(&caller.roles)
        + list_bytes(&caller.permissions)
        + caller.scopes.as_deref().map_or(0, list_bytes)
        + clusters(&caller.clusters)
        + clusters(&caller.allowed_clusters)
        + usize::from(principal.filled.is_any()) * EPOCHS_BYTES
}

/// Each text as it is, and in the packed form and the headers.
fn list_bytes(texts: &[String]) -> usize {
    texts
        .iter()
        .map(|text| size_of::<String>() + 3 * text.len())
        .sum()
}
