//! The counters behind limits: who is counted, and where the counts are kept.
//!
//! Many gates that share a Redis share more than counts: the same round trip confirms that what a gate keeps of a caller
//! still stands. See [`redis`].

#[cfg(test)]
mod behaviour;
mod memory;
pub mod redis;

use std::{net::IpAddr, sync::Arc};

use uuid::Uuid;

use crate::{
    Cause, client,
    limit::{Taken, Window},
};
pub use memory::Memory;
use memory::STRANGERS_MAX;
use redis::Redis;

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

    /// For how long its limit is: as configured for requests. Guesses stay by the minute, or a short window would allow
    /// many of them.
    pub fn window(self, of_requests: Window) -> Window {
        match self {
            Self::Credential(_) | Self::User(_) | Self::Anonymous(_) => of_requests,
            Self::Failures(_) | Self::Account(_) => Window::MINUTE,
        }
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
    /// In a Redis, together with those of other gates.
    Redis(Arc<Redis>),
}

/// The counters do not answer, and what they would have said is not to be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer")]
pub struct Away;

impl From<Away> for Cause {
    fn from(away: Away) -> Self {
        Self::Unavailable(away.to_string())
    }
}

impl Counters {
    /// Counters in this process, empty, of limits by the minute.
    pub fn memory() -> Self {
        Self::memory_of(Window::MINUTE)
    }

    /// Counters in this process, empty.
    pub fn memory_of(window: Window) -> Self {
        Self::Memory(Memory::new(window, STRANGERS_MAX))
    }

    /// The Redis behind them.
    pub fn redis(&self) -> Option<&Arc<Redis>> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(redis) => Some(redis),
        }
    }

    /// Takes one call from a bucket, if the limit has one left.
    ///
    /// # Errors
    /// When Redis is away, and nothing is to be counted without it.
    pub async fn take(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Result<Taken, Away> {
        match self {
            Self::Memory(memory) => Ok(memory.take(bucket, limit, now_ms)),
            // Boxed: every request would carry room for it.
            Self::Redis(redis) => Box::pin(redis.take(bucket, limit, now_ms)).await,
        }
    }

    /// What a bucket says as far as this process knows, without taking from it.
    pub fn look(&self, bucket: Bucket, limit: u32, now_ms: i64) -> Taken {
        match self {
            Self::Memory(memory) => memory.look(bucket, limit, now_ms),
            Self::Redis(redis) => redis.local().look(bucket, limit, now_ms),
        }
    }
}
