//! What the gate has told: callers by what they presented, as far as nothing has changed since.

use std::rc::Rc;

use quick_cache::unsync::Cache;
use scopegate_policy::{
    Vocabulary,
    packed::pack_caller,
    wire::{
        filter::{Config, Facts, Kind, News, Position, Told},
        forward::Identity,
    },
};
use sha2::{Digest, Sha256};

/// Ticks without news after which every credential is refused.
const MISSED_MAX: u32 = 2;
/// The gate's clock and Envoy's may differ by so much without being corrected: less is the way there and back.
const DRIFT_MS: i64 = 25;

/// A credential, by its digest.
pub(crate) type Key = [u8; 32];

/// A caller, ready to be asked about.
pub(crate) struct Caller {
    pub(crate) facts: Facts,
    /// As the policy takes it.
    pub(crate) packed: Vec<u8>,
    pub(crate) identity: Identity,
    /// When the gate is to be asked again whatever it says, by Envoy's clock.
    kept_until_ms: i64,
}

/// What is known of a credential.
pub(crate) enum Found {
    Caller(Rc<Caller>),
    /// Nothing: the gate is to be asked.
    Nothing,
    /// Nothing, and the gate is away.
    GateAway,
}

pub(crate) struct Known {
    callers: Cache<Key, Rc<Caller>>,
    kept_for_ms: i64,
    tick_ms: i64,
    /// Up to which change everything here is true.
    position: Option<Position>,
    /// When it was, by Envoy's clock.
    confirmed_ms: i64,
    /// Ticks without news since.
    missed: u32,
    /// How far the gate's clock is ahead of Envoy's.
    ahead_ms: i64,
}

impl Known {
    pub(crate) fn new(config: &Config) -> Self {
        let seconds = i64::try_from(config.cache.seconds).unwrap_or(i64::MAX);
        Self {
            callers: Cache::new(config.cache.entries),
            kept_for_ms: seconds.saturating_mul(1000),
            tick_ms: i64::try_from(config.tick_ms).unwrap_or(i64::MAX),
            position: None,
            confirmed_ms: i64::MIN,
            missed: 0,
            ahead_ms: 0,
        }
    }

    pub(crate) fn position(&self) -> Option<&Position> {
        self.position.as_ref()
    }

    pub(crate) fn ahead_ms(&self) -> i64 {
        self.ahead_ms
    }

    /// Whom this credential stands for.
    pub(crate) fn find(&self, key: &Key, envoy_ms: i64) -> Found {
        if self.missed >= MISSED_MAX {
            return Found::GateAway;
        }
        // A thread that was busy for long has missed ticks that it did not even count.
        let silent_ms = envoy_ms.saturating_sub(self.confirmed_ms);
        if !(0..=self.tick_ms.saturating_mul(3)).contains(&silent_ms) {
            return Found::Nothing;
        }
        match self.callers.get(key) {
            Some(caller) if envoy_ms < caller.kept_until_ms => Found::Caller(Rc::clone(caller)),
            _ => Found::Nothing,
        }
    }

    /// Takes what the gate told of a credential, and keeps it unless something has changed since.
    pub(crate) fn learn(
        &mut self,
        key: Key,
        facts: Facts,
        position: &Position,
        vocabulary: &Vocabulary,
        sent_ms: i64,
        envoy_ms: i64,
    ) -> Rc<Caller> {
        if self.position.as_ref().map(|here| &here.run) != Some(&position.run) {
            // Of another run of the gate: what the one before told says nothing any more.
            self.callers.clear();
            self.position = Some(position.clone());
            self.confirmed_ms = sent_ms;
        }
        let caller = Rc::new(Caller {
            packed: pack_caller(vocabulary, &facts.caller),
            identity: Identity::of(&facts.caller, facts.credential),
            facts,
            kept_until_ms: envoy_ms.saturating_add(self.kept_for_ms),
        });
        let is_current = self
            .position
            .as_ref()
            .is_some_and(|here| position.sequence >= here.sequence);
        if is_current {
            self.callers.insert(key, Rc::clone(&caller));
        }
        caller
    }

    /// Notes what time it is at the gate, which answered a question of `sent_ms` now.
    pub(crate) fn set_clock(&mut self, gate_ms: i64, sent_ms: i64, envoy_ms: i64) {
        let middle = sent_ms.saturating_add(envoy_ms.saturating_sub(sent_ms) / 2);
        let ahead_ms = gate_ms.saturating_sub(middle);
        if ahead_ms.saturating_sub(self.ahead_ms).saturating_abs() > DRIFT_MS {
            self.ahead_ms = ahead_ms;
        }
    }

    /// Takes the news that was asked for at `sent_ms`.
    pub(crate) fn hear(&mut self, news: News, sent_ms: i64, envoy_ms: i64) {
        self.set_clock(news.now_ms, sent_ms, envoy_ms);
        let is_of_run = self
            .position
            .as_ref()
            .is_some_and(|here| here.run == news.position.run);
        match news.stale {
            Some(stale) if is_of_run => {
                if !stale.is_empty() {
                    self.callers
                        .retain(|_, caller| !stale.iter().any(|stale| stale.is(&caller.facts)));
                }
            }
            _ => self.callers.clear(),
        }
        self.position = Some(news.position);
        self.confirmed_ms = sent_ms;
        self.missed = 0;
    }

    /// Notes a tick without news; tells whether it was the one too many.
    pub(crate) fn miss(&mut self) -> bool {
        self.missed = self.missed.saturating_add(1);
        self.missed == MISSED_MAX
    }
}

/// What is kept in place of a credential.
pub(crate) fn key_of(kind: Kind, secret: &str) -> Key {
    let mut digest = Sha256::new();
    digest.update(match kind {
        Kind::Key => b"k",
        Kind::Token => b"t",
    });
    digest.update(secret.as_bytes());
    digest.finalize().into()
}

/// The facts of an answer, and where it stands.
pub(crate) fn told(body: &[u8]) -> Option<Told> {
    serde_json::from_slice(body).ok()
}
