//! Counters and epochs in a Redis (or Valkey) that many gates share.
//!
//! A request makes one round trip: a script takes from the bucket and confirms the epochs that the caller's record was
//! looked up under, in one step. A change takes the epochs away that it touches, after it is committed and before it
//! returns; so no gate believes a record from before it. A record is looked up *after* its epochs were read: whatever was
//! committed later takes those epochs away again.
//!
//! **A Redis that forgot must not match.** One that restarted may lack the last writes, and so may a replica that took over.
//! Scripts are not handed on to either, so each gate marks its scripts and calls them by their hash alone: whoever does not
//! know them is another server. Then the gate takes a new mark, and with it a new *generation*: what was kept under the one
//! before confirms nothing.
//!
//! **While Redis is away** nobody waits for it: the link is cut at the first error, or after a few late answers, and one task
//! tries to mend it. What is done meanwhile is configured ([`WhenAway`]).

mod connect;
mod epochs;
mod keeper;
mod meters;
mod news;
mod scripts;
mod settings;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod url;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use futures_util::Stream;
use parking_lot::Mutex;
use redis::{Cmd, FromRedisValue, RedisError};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::{Away, Bucket, Memory, STRANGERS_MAX};
use crate::limit::{self, Cells, Taken, Window};
use connect::{Connection, Identity, Reach};
pub use epochs::FilledUnder;
pub(crate) use epochs::{Field, Touched, of_caller};
use meters::Meters;
pub(crate) use news::News;
use scripts::Scripts;
pub use settings::{BadRedis, Clock, RedisConfig, WhenAway};
pub use url::{BadRedisUrl, Place, RedisUrl, Servers};

/// Late answers in a row after which nobody waits any more.
const LATE_MAX: u32 = 3;

/// A Redis that is shared with other gates.
pub struct Redis {
    reach: Reach,
    when_away: WhenAway,
    window: Window,
    clock: Clock,
    /// Of this gate, in what it tells others.
    node: Uuid,
    /// Nothing while Redis is away.
    link: ArcSwapOption<Link>,
    /// Held by whoever teaches a server.
    taught: tokio::sync::Mutex<Taught>,
    /// What is known of counters in this process: of those that were taken from here, and what is taken while Redis is away.
    local: Memory,
    /// Since when the link is as it is.
    since: Mutex<Instant>,
    is_told_away: AtomicBool,
    /// Wakes the task that mends the link.
    cut: Arc<Notify>,
    /// How often the link was mended.
    mended: watch::Sender<u64>,
    meters: Meters,
}

/// A connection that answers.
struct Link {
    connection: Connection,
    /// What the server at its end was taught.
    scripts: ArcSwap<Scripts>,
    /// Late answers in a row.
    late: AtomicU32,
}

/// The server that was taught last, and what.
#[derive(Default)]
struct Taught {
    identity: Identity,
    scripts: Arc<Scripts>,
}

/// Whether what is kept of a caller still stands, and what their bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It does.
    Taken(Taken),
    /// It may not: it is to be looked up again, and nothing was taken.
    Stale,
}

/// One question about a bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) bucket: Bucket,
    /// Whose it is.
    pub(crate) organization: Uuid,
    pub(crate) limit: u32,
    pub(crate) now_ms: i64,
    /// Whether a call is taken, or only looked at.
    pub(crate) takes: bool,
}

/// Why there is no answer.
enum Trouble {
    /// The server does not know the scripts.
    Forgotten,
    Away,
}

impl Redis {
    /// Connects. A Redis that cannot be reached is away, and tried again and again.
    ///
    /// # Errors
    /// When it can be reached and cannot be used, or a file cannot be read that the configuration names.
    pub async fn open(config: &RedisConfig) -> Result<Arc<Self>, BadRedis> {
        let redis = Arc::new(Self {
            reach: Reach::of(config, config.secrets()?),
            when_away: config.when_away,
            window: config.window,
            clock: config.clock,
            node: Uuid::now_v7(),
            link: ArcSwapOption::empty(),
            taught: tokio::sync::Mutex::default(),
            local: Memory::new(config.window, STRANGERS_MAX),
            since: Mutex::new(Instant::now()),
            is_told_away: false.into(),
            cut: Arc::default(),
            mended: watch::Sender::new(0),
            meters: Meters::default(),
        });
        match redis.mend().await {
            Ok(()) => {}
            Err(error) if connect::is_for_good(&error) => return Err(connect::refused(&error)),
            Err(error) => redis.tell_away(&error),
        }
        keeper::start(&redis);
        Ok(redis)
    }

    /// What is done while it does not answer.
    pub fn when_away(&self) -> WhenAway {
        self.when_away
    }

    /// Whether it answers, as far as is known.
    pub fn is_here(&self) -> bool {
        self.link.load().is_some()
    }

    /// This gate, in what it tells others.
    pub(crate) fn node(&self) -> Uuid {
        self.node
    }

    /// Counts up each time that the link was mended.
    pub(crate) fn mended(&self) -> watch::Receiver<u64> {
        self.mended.subscribe()
    }

    /// What this process knows of counters.
    pub(super) fn local(&self) -> &Memory {
        &self.local
    }

    /// Takes one call of somebody of whom nothing is kept.
    pub(super) async fn take(
        &self,
        bucket: Bucket,
        limit: u32,
        now_ms: i64,
    ) -> Result<Taken, Away> {
        let asked = Asked {
            bucket,
            organization: Uuid::nil(),
            limit,
            now_ms,
            takes: true,
        };
        // A server that forgot is taught once, and one that forgets again meanwhile is away.
        for _ in 0..2 {
            match self.ask(&asked, None).await {
                Ok(Answer::Taken(taken)) => return Ok(taken),
                Ok(Answer::Stale) => {}
                Err(Away) => break,
            }
        }
        match self.when_away {
            WhenAway::Confirm => Ok(self.take_here(&asked)),
            WhenAway::Refuse => Err(Away),
        }
    }

    /// Takes a call of a caller, if what is kept of them still stands.
    pub(crate) async fn take_confirmed(
        &self,
        asked: &Asked,
        filled: &FilledUnder,
    ) -> Result<Answer, Away> {
        self.ask(asked, Some(filled)).await
    }

    /// Counts in this process alone.
    pub(crate) fn take_here(&self, asked: &Asked) -> Taken {
        match asked.takes {
            true => self.local.take(asked.bucket, asked.limit, asked.now_ms),
            false => self.local.look(asked.bucket, asked.limit, asked.now_ms),
        }
    }

    async fn ask(&self, asked: &Asked, filled: Option<&FilledUnder>) -> Result<Answer, Away> {
        let window = asked.bucket.window(self.window);
        self.ask_within(window, asked, filled).await
    }

    async fn ask_within(
        &self,
        window: Window,
        asked: &Asked,
        filled: Option<&FilledUnder>,
    ) -> Result<Answer, Away> {
        let link = self.link()?;
        let scripts = link.scripts.load_full();
        let expected = match filled {
            None => &[][..],
            Some(filled) => match filled.epochs() {
                Some(epochs) if epochs.generation == scripts.generation => &epochs.values[..],
                _ => return Ok(Answer::Stale),
            },
        };
        let mut command = scripts.take(1 + expected.len());
        let mut key = String::with_capacity(128);
        epochs::write_bucket_key(&mut key, asked.organization, asked.bucket);
        command.arg(key.as_str());
        for (field, _) in expected {
            epochs::write_key(&mut key, asked.organization, *field);
            command.arg(key.as_str());
        }
        let now_ms = match self.clock {
            Clock::Redis => -1,
            Clock::Caller => asked.now_ms,
        };
        let what = if asked.takes { "take" } else { "look" };
        command
            .arg(what)
            .arg(window.ms())
            .arg(asked.limit)
            .arg(now_ms);
        for (_, value) in expected {
            command.arg(&value[..]);
        }
        let began = Instant::now();
        let said: Result<[i64; 5], Trouble> = self.query(&link, &command).await;
        self.meters.asked(began.elapsed());
        let [became, number, previous, current, now_ms] = match said {
            Ok(said) => said,
            Err(Trouble::Forgotten) => {
                self.teach(&link, scripts.generation).await?;
                return Ok(Answer::Stale);
            }
            Err(Trouble::Away) => return Err(Away),
        };
        if became < 0 {
            self.meters.stale();
            return Ok(Answer::Stale);
        }
        let part = |value: i64| u32::try_from(value).unwrap_or(0);
        let cells = Cells::pack(part(number), part(previous), part(current));
        self.local.note(asked.bucket, cells, now_ms);
        Ok(Answer::Taken(Taken {
            admitted: became == 1,
            ..limit::look(window, cells, asked.limit, now_ms)
        }))
    }

    /// Hears of changes, until something may have been missed.
    pub(crate) async fn listen(&self) -> Result<impl Stream<Item = News> + use<>, RedisError> {
        Ok(news::read_on(self.reach.subscribe().await?))
    }

    fn link(&self) -> Result<Arc<Link>, Away> {
        self.link.load_full().ok_or(Away)
    }

    async fn query<T: FromRedisValue>(
        &self,
        link: &Arc<Link>,
        command: &Cmd,
    ) -> Result<T, Trouble> {
        match link.connection.query(command).await {
            Ok(said) => {
                if link.late.load(Relaxed) != 0 {
                    link.late.store(0, Relaxed);
                }
                Ok(said)
            }
            Err(error) => Err(self.trouble(link, &error)),
        }
    }

    fn trouble(&self, link: &Arc<Link>, error: &RedisError) -> Trouble {
        use redis::{ErrorKind, ServerErrorKind};
        if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
            return Trouble::Forgotten;
        }
        if !error.is_timeout() || link.late.fetch_add(1, Relaxed) + 1 >= LATE_MAX {
            self.cut(link, error);
        }
        Trouble::Away
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis")
            .field("node", &self.node)
            .field("when_away", &self.when_away)
            .field("is_here", &self.is_here())
            .finish_non_exhaustive()
    }
}
