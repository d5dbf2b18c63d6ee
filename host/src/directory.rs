//! Who is behind a credential, at the speed of memory: a look-up cache in front of the store.
//!
//! A request that starts after a change has returned sees the change. A change therefore commits, counts up the
//! generation, and empties what it touches, all before it returns. A look-up that misses notes the generation, reads
//! the store, and keeps what it read only if, with the generation's lock held, it is still the one it noted:
//! what was read before a change can not come back after it. Only credentials that exist are
//! kept, so that guesses cannot fill the memory.
//!
//! Where several gates share a Redis, that holds for the changes of each of them: see `shared` for what is done about
//! those of the others.

mod cache;
mod changes;
mod facts;
mod follow;
mod former;
mod load;
mod shared;
mod subject;
mod workload;

use std::{collections::BTreeSet, hash::Hash, sync::Arc};

use dashmap::DashMap;
use parking_lot::Mutex;
use scopegate_policy::wire::filter::{Position, Stale};
use uuid::Uuid;

use crate::{
    Cause, Principal,
    audit::Pruned,
    contract::Authority,
    counters::{Counters, redis::FilledUnder},
    key::KeyHash,
    store::{Change, ChangeError, Origin, Store, StoreError, Touch},
};
use cache::Cache;
use changes::Changes;
pub(crate) use facts::AGENT_ROLE;
use facts::Registered;
use shared::Shared;
pub(crate) use subject::{Known, UserName};
pub(crate) use workload::Workload;

/// What the keys that are kept take of memory, in bytes: about 34,000 of them, fewer if they have long lists. When others take
/// their places again and again, the allocator holds half as much again.
const KEYS_BYTES_MAX: usize = 64 << 20;
/// And the sessions.
const SESSIONS_BYTES_MAX: usize = 32 << 20;
/// And the workloads.
const WORKLOADS_BYTES_MAX: usize = 16 << 20;

/// What a presented key or agent token is, or a session that a verified token names.
#[derive(Debug)]
pub enum LookUp {
    /// Good as of now. `expires_at` is the credential's end; a session's token may end earlier.
    Found(Arc<Principal>),
    /// Nobody's; or another user's session.
    Unknown,
    /// Ended, or what stood behind it is gone: revoked, logged out, its user disabled, or without the owner whom the contract's
    /// authority needs. With whose it was, who may nothing.
    Revoked(Arc<Principal>),
    /// Past its expiry.
    Expired(Arc<Principal>),
}

/// The look-up cache and the way in which everything behind it is changed. Clones share one cache.
///
/// Looking into the store is boxed: it is rare, and every request would carry room for it.
#[derive(Clone, Debug)]
pub struct Directory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    authority: Authority,
    keys: Cache<KeyHash>,
    sessions: Cache<Uuid>,
    /// By an id of service account and pod.
    workloads: Cache<Uuid>,
    registered: Registered,
    /// What [`Directory::registered`] has read, with the generation at which it did.
    by_organization: DashMap<Uuid, (u64, Clusters)>,
    /// How many changes there were.
    generation: Mutex<u64>,
    /// The last of them, for those who keep facts elsewhere.
    changes: Changes,
    /// What is shared with other gates, if anything is.
    shared: Option<Shared>,
}

/// The registered clusters of an organization, and what they were looked up under.
type Clusters = (Arc<BTreeSet<String>>, FilledUnder);

impl Directory {
    /// A directory of the store, whose keys have the contract's authority.
    pub fn new(store: Store, authority: Authority) -> Self {
        Self::with_capacity(store, authority, KEYS_BYTES_MAX, SESSIONS_BYTES_MAX)
    }

    /// The same beside these counters: where other gates share them, its changes are theirs, and theirs its own. In a
    /// runtime, which hears of them.
    pub fn beside(counters: &Counters, store: Store, authority: Authority) -> Self {
        let (keys, sessions) = (KEYS_BYTES_MAX, SESSIONS_BYTES_MAX);
        let shared = counters.redis().map(|redis| Shared::new(Arc::clone(redis)));
        let directory = Self::of(store, authority, keys, sessions, shared);
        follow::start(&directory.inner);
        directory
    }

    fn with_capacity(store: Store, authority: Authority, keys: usize, sessions: usize) -> Self {
        Self::of(store, authority, keys, sessions, None)
    }

    fn of(
        store: Store,
        authority: Authority,
        keys: usize,
        sessions: usize,
        shared: Option<Shared>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                authority,
                keys: Cache::new(keys),
                sessions: Cache::new(sessions),
                workloads: Cache::new(WORKLOADS_BYTES_MAX),
                registered: Registered::default(),
                by_organization: DashMap::new(),
                generation: Mutex::new(0),
                changes: Changes::new(),
                shared,
            }),
        }
    }

    /// The store, for questions. Changes go through [`Directory::apply`].
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Where the row of changes stands. What is looked up after this was asked has seen all of those before.
    pub fn position(&self) -> Position {
        self.inner.changes.position()
    }

    /// What the changes after `since` made stale, and where the row stands now. Nothing where that cannot be told any more.
    pub fn changes_since(&self, since: &Position) -> (Position, Option<Vec<Stale>>) {
        self.inner.changes.since(since)
    }

    /// Whom a key or agent token stands for.
    pub async fn by_key(&self, hash: &KeyHash, now_ms: i64) -> Result<LookUp, StoreError> {
        let loaded = match self.inner.keys.get(hash) {
            Some(kept) => Loaded::Live(kept),
            None => Box::pin(self.inner.load_key(hash)).await?,
        };
        Ok(loaded.judged(now_ms))
    }

    /// Whom a key or agent token stands for, if that needs no look at the store.
    pub fn cached(&self, hash: &KeyHash, now_ms: i64) -> Option<Arc<Principal>> {
        let kept = self.inner.keys.get(hash);
        kept.filter(|principal| !is_over(principal, now_ms))
    }

    /// Whom a session stands for, that a verified token names together with its user.
    pub async fn by_session(
        &self,
        session: Uuid,
        user: Uuid,
        now_ms: i64,
    ) -> Result<LookUp, StoreError> {
        let loaded = match self.inner.sessions.get(&session) {
            Some(kept) => Loaded::Live(kept),
            None => Box::pin(self.inner.load_session(session)).await?,
        };
        Ok(match loaded {
            Loaded::Live(other) | Loaded::Ended(other) if other.user != Some(user) => {
                LookUp::Unknown
            }
            loaded => loaded.judged(now_ms),
        })
    }

    /// Whom a session stands for, if that needs no look at the store.
    pub fn cached_session(&self, session: Uuid, user: Uuid, now_ms: i64) -> Option<Arc<Principal>> {
        let kept = self.inner.sessions.get(&session);
        kept.filter(|principal| principal.user == Some(user) && !is_over(principal, now_ms))
    }

    /// The registered clusters of an organization, for callers whom the store does not know.
    pub async fn registered(
        &self,
        organization: Uuid,
    ) -> Result<Arc<BTreeSet<String>>, StoreError> {
        let known = self.inner.known_clusters(organization);
        // Nobody confirms what is kept: another gate may have changed it.
        let (registered, _) = match known.filter(|_| self.inner.shared.is_none()) {
            Some(known) => known,
            None => self.inner.load_clusters(organization).await?,
        };
        Ok(registered)
    }

    /// Resolves when something behind the principal has changed, with what it is now. Not at its expiry, which is in the
    /// principal.
    ///
    /// # Errors
    /// [`Cause::Revoked`] when its credential is revoked, its session ended or its user disabled; another cause when the store
    /// cannot tell, which is an end too, and says nothing of the credential.
    pub async fn renewed(&self, principal: &Principal) -> Result<Arc<Principal>, Cause> {
        principal.standing.stale().await;
        match Box::pin(self.inner.reload(principal)).await? {
            Loaded::Live(current) => Ok(current),
            Loaded::Ended(_) | Loaded::Nothing => Err(Cause::Revoked),
        }
    }

    /// Retention: deletes the audit's whole segments that were closed longer ago than `keep_ms`, where that is given, and
    /// notes that nobody needs any more. The chain goes on with a record that names those segments.
    pub async fn retain(&self, keep_ms: Option<i64>, now_ms: i64) -> Result<Pruned, StoreError> {
        let store = &self.inner.store;
        store.prune_last_uses(now_ms).await?;
        let before_ms = keep_ms.map(|keep_ms| now_ms - keep_ms);
        store.prune_rollup(before_ms, now_ms).await?;
        match keep_ms {
            Some(keep_ms) => store.prune_audit(now_ms - keep_ms, now_ms).await,
            None => Ok(Pruned::default()),
        }
    }

    /// Makes a change in the store. When this returns, also with an error, nothing that was read before the change is
    /// used for another request. `false`: there was nothing to change. The change is made to its end even if the
    /// caller goes away.
    ///
    /// # Errors
    /// When it is not made; or when it is, and not all gates are known to have heard of it ([`StoreError::Pending`]).
    pub async fn apply(
        &self,
        change: Change,
        origin: impl Into<Origin>,
        now_ms: i64,
    ) -> Result<bool, ChangeError> {
        let origin = origin.into();
        let inner = Arc::clone(&self.inner);
        let work = tokio::spawn(async move {
            // An error or a panic does not prove that nothing was committed.
            let _emptied = EmptyAtEnd {
                inner: &inner,
                touch: change.touches(),
            };
            match &inner.shared {
                None => {
                    let done = inner.store.apply(&change, &origin, now_ms, None).await;
                    done.map(|done| done.changed)
                }
                Some(shared) => {
                    let touched = shared.place(&inner.store, change.touches()).await?;
                    let done = inner.store.apply(&change, &origin, now_ms, touched).await;
                    shared.tell(&inner.store, touched, done).await
                }
            }
        });
        work.await
            .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

struct EmptyAtEnd<'i> {
    inner: &'i Inner,
    touch: Touch,
}

impl Drop for EmptyAtEnd<'_> {
    fn drop(&mut self) {
        self.inner.empty(self.touch);
    }
}

/// What the store says now.
enum Loaded {
    Live(Arc<Principal>),
    /// Whose it was, who may nothing.
    Ended(Arc<Principal>),
    Nothing,
}

impl Loaded {
    fn judged(self, now_ms: i64) -> LookUp {
        match self {
            Self::Live(principal) if is_over(&principal, now_ms) => LookUp::Expired(principal),
            Self::Live(principal) => LookUp::Found(principal),
            Self::Ended(former) => LookUp::Revoked(former),
            Self::Nothing => LookUp::Unknown,
        }
    }
}

impl Inner {
    /// Keeps what was read at `generation`, if nothing has changed since, with the generation's lock held:
    /// a change counts up first and empties then, so either it is seen here or it finds here what it has to empty.
    /// Either way it answers the question for which it was read; what is not kept is stale from the start.
    fn keep<K: Copy + Eq + Hash>(
        &self,
        places: &Cache<K>,
        key: K,
        principal: Principal,
        generation: u64,
    ) -> Arc<Principal> {
        let principal = Arc::new(principal);
        let current = self.generation.lock();
        if *current == generation {
            places.keep(key, principal)
        } else {
            principal.standing.end();
            principal
        }
    }

    fn empty(&self, touch: Touch) {
        if touch == Touch::Nothing {
            return;
        }
        *self.generation.lock() += 1;
        if let Touch::Session(id) = touch {
            self.sessions.remove(&id);
        } else {
            self.keys.remove_all(|principal| touches(touch, principal));
            for places in [&self.sessions, &self.workloads] {
                places.remove_all(|principal| touches(touch, principal));
            }
        }
        // Last: who reads the row's position and then looks here must find what is true after it.
        self.changes.note(touch);
    }
}

fn touches(touch: Touch, principal: &Principal) -> bool {
    match touch {
        Touch::Nothing => false,
        Touch::Credential(id) | Touch::Session(id) => principal.credential == id,
        // Which of those that follow it end with it, the store knows: all of them are read again.
        Touch::Rotations(id) => principal.credential == id || principal.is_successor,
        Touch::User(id) => principal.user == Some(id),
        Touch::Organization(id) => principal.organization == id,
    }
}

fn is_over(principal: &Principal, now_ms: i64) -> bool {
    principal
        .expires_at
        .is_some_and(|end| end.saturating_mul(1000) <= now_ms)
}

#[cfg(test)]
mod tests;
