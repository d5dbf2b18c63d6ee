//! Places for what was looked up, bounded by the memory that they take.

use std::{
    hash::Hash,
    mem::size_of,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use dashmap::{DashMap, Entry};

use crate::{Clusters, Principal};

/// What a principal takes besides its lists: itself, its texts, its packed form, its headers, its part of the log, and
/// its place. Measured with a million keys (`scopegate-benches keys`): 1.9 KiB for one with a scope and two clusters.
const BASE_BYTES: usize = 1_700;

/// Principals by what was presented for them.
#[derive(Debug)]
pub(super) struct Cache<K: Eq + Hash> {
    places: DashMap<K, Arc<Principal>>,
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl<K: Copy + Eq + Hash> Cache<K> {
    /// Nothing yet, and never much more than so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            places: DashMap::new(),
            bytes: AtomicUsize::new(0),
            bytes_max,
        }
    }

    pub(super) fn get(&self, key: &K) -> Option<Arc<Principal>> {
        self.places.get(key).map(|place| Arc::clone(place.value()))
    }

    /// Keeps a principal if `is_current` says so, asked with the lock of its place held. Either way it answers the
    /// question for which it was read; what is not kept is stale from the start.
    pub(super) fn keep(
        &self,
        key: K,
        principal: Principal,
        is_current: impl FnOnce() -> bool,
    ) -> Arc<Principal> {
        let bytes = bytes_of(&principal);
        self.make_room(bytes);
        let principal = Arc::new(principal);
        match self.places.entry(key) {
            // Somebody else's look-up was quicker, and no change has emptied the place since.
            Entry::Occupied(place) => Arc::clone(place.get()),
            Entry::Vacant(place) if is_current() => {
                self.bytes.fetch_add(bytes, Relaxed);
                place.insert(Arc::clone(&principal));
                principal
            }
            Entry::Vacant(_) => {
                principal.standing.end();
                principal
            }
        }
    }

    /// Empties one place. Whoever still holds what was in it learns that it is stale.
    pub(super) fn remove(&self, key: &K) -> bool {
        let Some((_, principal)) = self.places.remove(key) else {
            return false;
        };
        self.bytes.fetch_sub(bytes_of(&principal), Relaxed);
        principal.standing.end();
        true
    }

    /// Empties every place whose principal is touched.
    pub(super) fn remove_all(&self, is_touched: impl Fn(&Principal) -> bool) {
        self.places.retain(|_, principal| {
            let touched = is_touched(principal);
            if touched {
                self.bytes.fetch_sub(bytes_of(principal), Relaxed);
                principal.standing.end();
            }
            !touched
        });
    }

    /// Empties places until there is room for so much. A later change would not find what was in them, so that is
    /// stale from now on.
    fn make_room(&self, bytes: usize) {
        while self.bytes.load(Relaxed).saturating_add(bytes) > self.bytes_max {
            let any = self.places.iter().next().map(|place| *place.key());
            match any {
                Some(key) => self.remove(&key),
                None => return,
            };
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }
}

/// Nearly what a principal takes of memory. It never changes, so what was added is what is taken off again.
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
}

/// Each text as it is, and in the packed form and the headers.
fn list_bytes(texts: &[String]) -> usize {
    texts
        .iter()
        .map(|text| size_of::<String>() + 3 * text.len())
        .sum()
}
