//! What the server has acknowledged, and what was asked of it without an answer.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use crate::harness::random::Random;

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
