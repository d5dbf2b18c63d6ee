//! Limits of one Envoy: counters in the data that its threads share, replaced by compare-and-swap.

use core::net::IpAddr;

use proxy_wasm::{hostcalls, types::Status};
use scopegate_policy::wire::{
    client,
    filter::Counted,
    limit::{Taken, Window, look},
    slots::{self, Id},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Slots of each class of buckets.
const SLOTS: u16 = 2048;
/// Strangers with a counter of their own, in each slot.
const STRANGERS_MAX: usize = 48;
/// Known callers are as many as the gate says.
const KNOWN_MAX: usize = usize::MAX;
/// How often a swap is tried that other threads win again and again.
const TRIES: usize = 10_000;
/// No value has this: a swap with it succeeds where there is no value yet, and nowhere else.
const ABSENT: u32 = u32::MAX;

/// Who is counted.
#[derive(Clone, Copy)]
pub(crate) enum Bucket {
    Known(Counted),
    /// Requests without a credential, from one address.
    Anonymous(IpAddr),
    /// Rejected credentials, from one address.
    Failures(IpAddr),
}

pub(crate) struct Counters {
    /// Of requests.
    window: Window,
    /// Of all keys: filters of different gates share nothing.
    prefix: String,
    /// Strangers must not choose whom they share a slot with.
    salt: [u8; 16],
}

struct Place {
    window: Window,
    key: String,
    id: Id,
    entries_max: usize,
}

impl Counters {
    pub(crate) fn new(gate: &str, window: Window) -> Self {
        let prefix = format!("scopegate/{gate}/");
        Self {
            window,
            salt: salt(&format!("{prefix}salt")),
            prefix,
        }
    }

    /// Takes one call, if the limit has one left. Nothing where the other threads did not let this one through.
    pub(crate) fn take(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Option<Taken> {
        let place = self.place(bucket);
        for _ in 0..TRIES {
            let (slot, cas) = hostcalls::get_shared_data(&place.key).ok()?;
            let slot = slot.unwrap_or_default();
            let (stored, taken) = place.take(&slot, limit, now_ms);
            let Some(stored) = stored else {
                return Some(taken);
            };
            match hostcalls::set_shared_data(&place.key, Some(&stored), Some(cas.unwrap_or(ABSENT)))
            {
                Ok(()) => return Some(taken),
                Err(Status::CasMismatch) => {}
                Err(_) => return None,
            }
        }
        None
    }

    /// What a bucket says.
    pub(crate) fn look(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        let place = self.place(bucket);
        match hostcalls::get_shared_data(&place.key) {
            Ok((slot, _)) => place.look(&slot.unwrap_or_default(), limit, now_ms),
            // As if it were used up.
            Err(_) => Taken {
                admitted: false,
                remaining: 0,
                ..look(place.window, Default::default(), limit, now_ms)
            },
        }
    }

    fn place(&self, bucket: Bucket) -> Place {
        let (class, window, id, entries_max) = match bucket {
            Bucket::Known(counted) => {
                let class = if counted.is_user { 'u' } else { 'c' };
                (class, self.window, known(counted.by), KNOWN_MAX)
            }
            Bucket::Anonymous(address) => ('a', self.window, self.stranger(address), STRANGERS_MAX),
            // However short a window requests have: guesses stay few.
            Bucket::Failures(address) => {
                ('f', Window::MINUTE, self.stranger(address), STRANGERS_MAX)
            }
        };
        // The end of a UUID is random, as is that of a digest.
        let [.., high, low] = id;
        let slot = u16::from_be_bytes([high, low]) % SLOTS;
        Place {
            window,
            key: format!("{}{class}{slot}", self.prefix),
            id,
            entries_max,
        }
    }

    fn stranger(&self, address: IpAddr) -> Id {
        let address = match client::bucket(address) {
            IpAddr::V4(address) => address.to_ipv6_mapped(),
            IpAddr::V6(address) => address,
        };
        let mut digest = Sha256::new();
        digest.update(self.salt);
        digest.update(address.octets());
        let digest: [u8; 32] = digest.finalize().into();
        first(&digest)
    }
}

impl Place {
    fn take(&self, slot: &[u8], limit: u32, now_ms: i64) -> (Option<Vec<u8>>, Taken) {
        slots::take(self.window, slot, self.id, self.entries_max, limit, now_ms)
    }

    fn look(&self, slot: &[u8], limit: u32, now_ms: i64) -> Taken {
        slots::look(self.window, slot, self.id, self.entries_max, limit, now_ms)
    }
}

fn known(id: Uuid) -> Id {
    id.into_bytes()
}

fn first(digest: &[u8; 32]) -> Id {
    let mut id = [0; 16];
    for (slot, byte) in id.iter_mut().zip(digest) {
        *slot = *byte;
    }
    id
}

/// The salt of this Envoy: the first thread that comes makes it.
fn salt(key: &str) -> [u8; 16] {
    let mine = Uuid::new_v4().into_bytes();
    // Whoever was first has the last word.
    let _ = hostcalls::set_shared_data(key, Some(&mine), Some(ABSENT));
    match hostcalls::get_shared_data(key) {
        Ok((Some(shared), _)) => shared.as_slice().try_into().unwrap_or(mine),
        _ => mine,
    }
}
