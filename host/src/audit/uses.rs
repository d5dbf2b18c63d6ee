//! When credentials were last used: gathered from the records of admitted requests and noted in the store now and then.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::record::{Outcome, Record};
use crate::Directory;

/// How often they are noted.
const EVERY: Duration = Duration::from_secs(10);
/// In one statement, and between two groups of records: what a store does in a moment.
const AT_ONCE: usize = 1_000;
/// Credentials whose uses are gathered at most while the store does not take them. Those of others are not noted then.
const GATHERED_MAX: usize = 100_000;

pub(super) struct Uses {
    /// Gathered since the last of them were due.
    latest: HashMap<Uuid, i64>,
    /// To be noted now.
    due: Vec<(Uuid, i64)>,
    noted: Instant,
}

impl Uses {
    pub(super) fn new() -> Self {
        Self {
            latest: HashMap::new(),
            due: Vec::new(),
            noted: Instant::now(),
        }
    }

    pub(super) fn see(&mut self, record: &Record) {
        // Who is asked about uses nothing.
        if record.outcome == Outcome::Admit
            && record.evaluation.is_none()
            && let Some(principal) = &record.principal
        {
            self.gather(principal.credential, record.at_ms.div_euclid(1000));
        }
    }

    fn gather(&mut self, credential: Uuid, at: i64) {
        if let Some(latest) = self.latest.get_mut(&credential) {
            *latest = (*latest).max(at);
        } else if self.latest.len() < GATHERED_MAX {
            self.latest.insert(credential, at);
        }
    }

    /// Notes some of them when it is time, or all at the end. What could not be noted is kept for the next time: nothing waits
    /// for it.
    pub(super) async fn note(&mut self, directory: &Directory, at_the_end: bool) {
        if at_the_end || self.due.is_empty() && self.noted.elapsed() >= EVERY {
            self.noted = Instant::now();
            self.due.extend(self.latest.drain());
        }
        while !self.due.is_empty() {
            let rest = self.due.len().saturating_sub(AT_ONCE);
            let some = self.due.split_off(rest);
            if let Err(error) = directory.store().set_last_uses(&some).await {
                tracing::warn!(%error, "when credentials were last used cannot be noted");
                for (credential, at) in some.into_iter().chain(std::mem::take(&mut self.due)) {
                    self.gather(credential, at);
                }
            }
            if !at_the_end {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::{contract::Authority, store::fixture::Fixture};

    /// As many as are noted, none of which is of a key.
    async fn noted(fixture: &Fixture) -> i64 {
        let options = SqliteConnectOptions::new().filename(fixture.dir.path().join("gate.db"));
        let mut store = SqliteConnection::connect_with(&options).await.unwrap();
        let count = sqlx::query_scalar("SELECT count(*) FROM last_uses");
        count.fetch_one(&mut store).await.unwrap()
    }

    #[tokio::test]
    async fn many_are_noted_some_at_a_time_and_none_is_left_at_the_end() {
        let fixture = Fixture::new(Authority::Owner).await;
        let mut uses = Uses::new();
        let gathered = |uses: &mut Uses, from: u128| {
            for number in from..from + 2_500 {
                uses.gather(Uuid::from_u128(number), 1_775_000_040);
            }
        };
        gathered(&mut uses, 0);
        uses.note(&fixture.directory, false).await;
        assert_eq!(noted(&fixture).await, 0, "it is not time yet");
        uses.noted -= EVERY;
        for expected in [1_000, 2_000, 2_500, 2_500] {
            uses.note(&fixture.directory, false).await;
            assert_eq!(noted(&fixture).await, expected);
        }
        gathered(&mut uses, 10_000);
        uses.noted -= EVERY;
        uses.note(&fixture.directory, false).await;
        gathered(&mut uses, 20_000);
        uses.note(&fixture.directory, true).await;
        assert_eq!(noted(&fixture).await, 7_500);
    }

    #[tokio::test]
    async fn what_the_store_does_not_take_is_kept_and_bounded() {
        let fixture = Fixture::new(Authority::Owner).await;
        fixture.directory.store().close().await;
        let mut uses = Uses::new();
        for number in 0..GATHERED_MAX as u128 + 10 {
            uses.gather(Uuid::from_u128(number), 1);
        }
        for _ in 0..3 {
            uses.noted -= EVERY;
            uses.note(&fixture.directory, false).await;
            assert_eq!((uses.latest.len(), uses.due.len()), (GATHERED_MAX, 0));
        }
        // At the end it tries once more, and does not go on for ever.
        uses.note(&fixture.directory, true).await;
        assert_eq!(uses.latest.len(), GATHERED_MAX);
    }
}
