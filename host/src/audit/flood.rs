//! Floods: refusals of callers that nobody knows, whose credential has ended, or who are over their limit, of which each could
//! make as many as it likes.
//!
//! The first few of a minute are written one by one; the rest of that minute become one record that carries their
//! number.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::record::{Outcome, Record};
use crate::{Cause, client};

/// What is counted together, in milliseconds.
const MINUTE_MS: i64 = 60_000;
/// Refusals of one address or credential and reason that are written one by one in a minute.
const SINGLE_MAX: u64 = 10;
/// Addresses, credentials and reasons that are told apart in a minute; the others are counted together, by reason.
const KEYS_MAX: usize = 10_000;

/// Who floods.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    Credential(Uuid),
    /// Those who are too many to be told apart.
    Others,
}

type Key = (Who, String);

/// The refusals of the current minute.
#[derive(Debug, Default)]
pub(super) struct Flood {
    minute: i64,
    /// When the first of them came.
    since: Option<Instant>,
    seen: HashMap<Key, Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    /// The latest of those that were not written.
    held: Option<Arc<Record>>,
}

impl Flood {
    /// Adds what is to be written for this record: it, or nothing; and before it what an ended minute has left.
    pub(super) fn pass(&mut self, record: Arc<Record>, out: &mut Vec<Arc<Record>>) {
        let minute = record.at_ms.div_euclid(MINUTE_MS);
        if minute > self.minute {
            self.end(out);
            self.minute = minute;
        }
        let who = match &record.principal {
            None => Who::Address(client::bucket(record.client)),
            Some(principal) => Who::Credential(principal.credential),
        };
        // Whoever asks about others has a name and a limit.
        if record.evaluation.is_some() {
            out.push(record);
            return;
        }
        if record.outcome == Outcome::Admit || !is_flood(&record) {
            out.push(record);
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        let reason = record
            .cause
            .as_ref()
            .map_or("", |cause| cause.code())
            .to_owned();
        let mut key = (who, reason);
        if self.seen.len() >= KEYS_MAX && !self.seen.contains_key(&key) {
            key.0 = Who::Others;
        }
        let seen = self.seen.entry(key).or_default();
        seen.count += 1;
        if seen.count <= SINGLE_MAX {
            out.push(record);
        } else {
            seen.held = Some(record);
        }
    }

    /// Adds what was counted, and starts over.
    pub(super) fn end(&mut self, out: &mut Vec<Arc<Record>>) {
        self.since = None;
        for (_, seen) in self.seen.drain() {
            if let Some(mut record) = seen.held {
                Arc::make_mut(&mut record).count = seen.count - SINGLE_MAX;
                out.push(record);
            }
        }
    }

    /// Whether what is held has been held for a minute, because no later record came to end it.
    pub(super) fn is_due(&self) -> bool {
        self.since
            .is_some_and(|since| since.elapsed() >= Duration::from_millis(MINUTE_MS.unsigned_abs()))
    }
}

/// Not what was admitted before and broken off: there is one of it for each admission.
fn is_flood(record: &Record) -> bool {
    let is_endless = |cause: &Cause| match cause {
        Cause::RateLimited | Cause::TooManyFailures => true,
        cause => cause.is_an_end() && record.rule.is_none(),
    };
    record.principal.is_none() || record.cause.as_ref().is_some_and(is_endless)
}
