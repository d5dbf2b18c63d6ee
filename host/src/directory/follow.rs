//! Following the other gates: what they tell is heard, and what they may have told unheard is found out. Requests under way end
//! by it.

use std::{
    pin::pin,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::sync::{Notify, watch};

use super::{Inner, Loaded, Shared};
use crate::{
    Principal,
    counters::{Away, redis::Redis},
};

/// How often those are confirmed who have requests under way, and how often the connection to listen is tried again.
const BEAT: Duration = Duration::from_millis(500);
/// In how many of these beats notes of changes are looked at once.
const NOTES_EVERY: u32 = 4;
/// How many of them at once: they share one connection.
const AT_ONCE: usize = 64;
/// How many the store confirms at once while Redis is away.
const AT_ONCE_BY_STORE: usize = 4;

/// Listens and confirms for as long as anybody has this directory, if it shares anything.
pub(super) fn start(inner: &Arc<Inner>) {
    let Some(shared) = &inner.shared else {
        return;
    };
    // Until something is heard nobody can tell what was missed.
    inner.changes.restart(true);
    let heard = Arc::new(Notify::new());
    let redis = Arc::clone(&shared.redis);
    tokio::spawn(listen(Arc::downgrade(inner), redis, Arc::clone(&heard)));
    tokio::spawn(confirm(Arc::downgrade(inner), heard, shared.redis.mended()));
}

/// Hears what other gates have changed.
async fn listen(inner: Weak<Inner>, redis: Arc<Redis>, heard: Arc<Notify>) {
    loop {
        if let Ok(news) = redis.listen().await {
            let Some(strong) = inner.upgrade() else {
                return;
            };
            strong.changes.restart(false);
            drop(strong);
            // Whatever was told meanwhile.
            heard.notify_one();
            let mut news = pin!(news);
            while let Some(told) = news.next().await {
                let Some(inner) = inner.upgrade() else {
                    return;
                };
                if told.node != redis.node() {
                    inner.empty(told.touch);
                }
            }
        }
        let Some(strong) = inner.upgrade() else {
            return;
        };
        strong.changes.restart(true);
        drop(strong);
        tokio::time::sleep(BEAT.mul_f64(0.5 + fastrand::f64())).await;
    }
}

/// Finds out what was told and not heard: at the latest a second later.
async fn confirm(inner: Weak<Inner>, heard: Arc<Notify>, mut mended: watch::Receiver<u64>) {
    for beat in (0..NOTES_EVERY).cycle() {
        let mut is_mended = false;
        tokio::select! {
            () = tokio::time::sleep(BEAT) => {}
            () = heard.notified() => {}
            // What could not be told before is told now.
            changed = mended.changed() => {
                if changed.is_err() {
                    return;
                }
                is_mended = true;
            }
        }
        let Some(inner) = inner.upgrade() else {
            return;
        };
        let Some(shared) = &inner.shared else {
            return;
        };
        let noted = async {
            if beat == 0 || is_mended {
                shared.catch_up(&inner.store, is_mended).await?;
            }
            shared.take_notes_away(&inner.store).await
        };
        if let Err(error) = noted.await {
            tracing::debug!(%error, "the notes of changes cannot be read");
        }
        inner.confirm_held(shared).await;
    }
}

impl Inner {
    /// Confirms those whom requests hold. Whoever is not what they were is told so.
    async fn confirm_held(&self, shared: &Shared) {
        let held = self.keys.held().into_iter().chain(self.sessions.held());
        let unconfirmed: Vec<Arc<Principal>> = stream::iter(held)
            .map(async |principal: Arc<Principal>| {
                let confirmed = shared
                    .redis
                    .confirm(principal.organization, &principal.filled)
                    .await;
                match confirmed {
                    Ok(true) => None,
                    // Whoever waits looks them up again.
                    Ok(false) => {
                        principal.standing.end();
                        None
                    }
                    Err(Away) => Some(principal),
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(async |principal| principal)
            .collect()
            .await;
        stream::iter(unconfirmed)
            .for_each_concurrent(AT_ONCE_BY_STORE, async |principal| {
                // Of a store that cannot say it either nothing is concluded: what goes on was confirmed when it began.
                if let Ok(Loaded::Ended(_) | Loaded::Nothing) = self.compare(&principal).await {
                    principal.standing.end();
                }
            })
            .await;
    }
}
