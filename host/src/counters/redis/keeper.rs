//! Keeping the link to Redis: cut as soon as it does not answer, mended by one task, so that nobody else waits.

use std::{
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use redis::RedisError;

use super::{Away, Connection, Link, Redis, Scripts, Taught, WhenAway};

/// How often a link is looked after, and about how often a mending is tried.
const BEAT: Duration = Duration::from_millis(500);

/// Looks after the link for as long as anybody has it.
pub(super) fn start(redis: &Arc<Redis>) {
    let (weak, cut) = (Arc::downgrade(redis), Arc::clone(&redis.cut));
    tokio::spawn(async move {
        let mut pause = BEAT;
        loop {
            // Cut: tried at once. Many gates that lost their Redis together do not come back together.
            let at_once = tokio::time::timeout(pause, cut.notified()).await.is_ok();
            let Some(is_here) = keep(&weak).await else {
                return;
            };
            pause = match is_here {
                true => BEAT,
                false if at_once => BEAT.mul_f64(fastrand::f64()),
                false => BEAT.mul_f64(0.5 + fastrand::f64()),
            };
        }
    });
}

/// Whether there is a link now; nothing when nobody needs one any more.
async fn keep(redis: &Weak<Redis>) -> Option<bool> {
    let redis = redis.upgrade()?;
    match redis.link() {
        Ok(link) => redis.look_after(&link).await,
        Err(Away) => {
            if let Err(error) = redis.mend().await {
                tracing::debug!(%error, "Redis is still away");
            }
        }
    }
    Some(redis.is_here())
}

impl Redis {
    /// A server that forgot is noticed here, also while nobody asks it for anything else.
    async fn look_after(&self, link: &Arc<Link>) {
        let scripts = link.scripts.load_full();
        match scripts.are_known(&link.connection).await {
            Ok(true) => {}
            // What becomes of it shows on the link.
            Ok(false) => {
                let _ = self.teach(link, scripts.generation).await;
            }
            Err(error) => {
                self.trouble(link, &error);
            }
        }
    }

    /// Connects anew. The same server, in charge since the same moment, is believed as before.
    pub(super) async fn mend(&self) -> Result<(), RedisError> {
        let (connection, identity) = self.reach.connect().await?;
        let scripts = {
            let mut taught = self.taught.lock().await;
            let is_known = identity.is_some() && taught.identity == identity;
            if !is_known || !taught.scripts.are_known(&connection).await? {
                self.load(&mut taught, &connection).await?;
                taught.identity = identity;
            }
            Arc::clone(&taught.scripts)
        };
        let link = Link {
            connection,
            scripts: ArcSwap::from(scripts),
            late: 0.into(),
        };
        self.link.store(Some(Arc::new(link)));
        self.meters.here(true);
        let away = std::mem::replace(&mut *self.since.lock(), Instant::now()).elapsed();
        self.mended.send_modify(|count| *count += 1);
        if self.is_told_away.swap(false, Relaxed) {
            tracing::warn!(
                away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX),
                "Redis answers again"
            );
        }
        Ok(())
    }

    /// Teaches a server that has forgotten the scripts of this generation, once whoever notices it.
    pub(super) async fn teach(&self, link: &Arc<Link>, generation: u64) -> Result<(), Away> {
        let mut taught = self.taught.lock().await;
        if link.scripts.load().generation != generation {
            return Ok(());
        }
        tracing::warn!(
            "Redis is another one than before, or forgot everything: all callers are looked up again"
        );
        match self.load(&mut taught, &link.connection).await {
            Ok(()) => {
                link.scripts.store(Arc::clone(&taught.scripts));
                Ok(())
            }
            Err(error) => {
                self.trouble(link, &error);
                Err(Away)
            }
        }
    }

    async fn load(&self, taught: &mut Taught, connection: &Connection) -> Result<(), RedisError> {
        // One that failed left its mark nowhere: the next one has another.
        let generation = taught.scripts.generation + 1;
        taught.scripts = Arc::new(Scripts::load(connection, generation).await?);
        self.meters.generation();
        Ok(())
    }

    /// Nobody waits for this link any more. One that was replaced meanwhile is nobody's business.
    pub(super) fn cut(&self, link: &Arc<Link>, error: &RedisError) {
        let before = self.link.compare_and_swap(link, None);
        let was_it = before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, link));
        if was_it {
            *self.since.lock() = Instant::now();
            self.tell_away(error);
            self.cut.notify_one();
        }
    }

    pub(super) fn tell_away(&self, error: &RedisError) {
        self.is_told_away.store(true, Relaxed);
        self.meters.here(false);
        let meanwhile = match self.when_away {
            WhenAway::Confirm => {
                "the store confirms callers, and limits are counted in this process"
            }
            WhenAway::Refuse => "requests are refused",
        };
        tracing::warn!(%error, "Redis does not answer: {meanwhile}");
    }
}
