//! What time it is, as a value: the system's, or one that a test sets.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::sync::watch;

/// Where an adapter takes `now` from. Cheap to clone; clones of a settable clock show the same time.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is set.
    Settable(Arc<watch::Sender<i64>>),
}

impl Clock {
    /// A clock that stands at this time, in milliseconds since the epoch.
    pub fn settable(now_ms: i64) -> Self {
        Self::Settable(Arc::new(watch::Sender::new(now_ms)))
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| {
                    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
                }),
            Self::Settable(now) => *now.borrow(),
        }
    }

    /// Sets a settable clock and wakes who waits for that time; the system's clock cannot be set.
    pub fn set_ms(&self, now_ms: i64) {
        if let Self::Settable(now) = self {
            now.send_replace(now_ms);
        }
    }

    /// Moves a settable clock on.
    pub fn advance(&self, by: Duration) {
        if let Self::Settable(now) = self {
            let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
            now.send_modify(|now| *now = now.saturating_add(by));
        }
    }

    /// Waits until it is at least this time, in milliseconds since the epoch.
    pub async fn reached(&self, at_ms: i64) {
        match self {
            // In steps: a clock that is set back or forward meanwhile is noticed within a minute.
            Self::System => loop {
                let left = at_ms.saturating_sub(self.now_ms());
                if left <= 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(left.min(60_000).unsigned_abs())).await;
            },
            Self::Settable(now) => {
                if now.subscribe().wait_for(|now| *now >= at_ms).await.is_err() {
                    pending::<()>().await;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_settable_clock_wakes_who_waits() {
        let clock = Clock::settable(1_000);
        let waiting = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reached(5_000).await }
        });
        clock.advance(Duration::from_secs(3));
        assert_eq!(clock.now_ms(), 4_000);
        assert!(!waiting.is_finished());
        clock.set_ms(5_000);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn what_is_past_is_reached_at_once() {
        Clock::settable(10).reached(10).await;
        Clock::System.reached(0).await;
    }
}
