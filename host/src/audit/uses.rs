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

pub(super) struct Uses {
    latest: HashMap<Uuid, i64>,
    noted: Instant,
}

impl Uses {
    pub(super) fn new() -> Self {
        Self {
            latest: HashMap::new(),
            noted: Instant::now(),
        }
    }

    pub(super) fn see(&mut self, record: &Record) {
        // Who is asked about uses nothing.
        if record.outcome == Outcome::Admit
            && record.evaluation.is_none()
            && let Some(principal) = &record.principal
        {
            let latest = self.latest.entry(principal.credential).or_insert(i64::MIN);
            *latest = (*latest).max(record.at_ms.div_euclid(1000));
        }
    }

    /// Notes them when it is time, or at the end. What could not be noted is kept for the next time: nothing waits for it.
    pub(super) async fn note(&mut self, directory: &Directory, at_the_end: bool) {
        if self.latest.is_empty() || !(at_the_end || self.noted.elapsed() >= EVERY) {
            return;
        }
        self.noted = Instant::now();
        let uses: Vec<(Uuid, i64)> = self.latest.iter().map(|(id, at)| (*id, *at)).collect();
        match directory.store().set_last_uses(&uses).await {
            Ok(()) => self.latest.clear(),
            Err(error) => tracing::warn!(%error, "when credentials were last used cannot be noted"),
        }
    }
}
