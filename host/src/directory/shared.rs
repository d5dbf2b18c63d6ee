//! What gates that share a Redis owe each other: a change returns when all of them know of it, and what is kept of a caller is
//! confirmed before it counts.
//!
//! What is kept was looked up under epochs, which were read before. Whoever asks about a caller has those confirmed, in the
//! round trip that counts the request; where they are others, the caller is looked up again. Where Redis cannot say, the
//! store does.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use uuid::Uuid;

use super::{
    Clusters, Directory, Inner, Loaded,
    cache::is_unchanged,
    facts::{credential_principal, session_principal},
    is_over,
};
use crate::{
    Cause, Principal,
    counters::{
        Away,
        redis::{Field, FilledUnder, Redis, Touched, WhenAway, of_caller},
    },
    store::{Applied, ChangeError, Store, StoreError, Touch},
};
use scopegate_policy::CallerKind;

/// How many callers are looked up again at the same moment, at most: those who wait for the same one share its look-up.
const LOOK_UPS: usize = 64;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) redis: Arc<Redis>,
    /// Notes in the store of changes that were told: they are to be taken away.
    told: Mutex<Vec<i64>>,
    /// The notes that were there when they were looked at last.
    noted: Mutex<BTreeSet<i64>>,
    /// By caller: who was looked up again last.
    look_ups: Box<[tokio::sync::Mutex<Weak<Principal>>]>,
}

impl Shared {
    pub(super) fn new(redis: Arc<Redis>) -> Self {
        metrics::describe_gauge!(
            "scopegate_revocations_pending",
            "Changes that are committed, and of which not all gates are known to have heard"
        );
        Self {
            redis,
            told: Mutex::default(),
            noted: Mutex::default(),
            look_ups: (0..LOOK_UPS)
                .map(|_| tokio::sync::Mutex::default())
                .collect(),
        }
    }

    /// Where a change is, before it is made: whose what it touches is never changes.
    pub(super) async fn place(
        &self,
        store: &Store,
        touch: Touch,
    ) -> Result<Option<Touched>, StoreError> {
        let organization = match touch {
            Touch::Nothing => None,
            Touch::Organization(id) => Some(id),
            // Operators are in none.
            Touch::User(id) => {
                let user = store.find_user(id).await?;
                user.map(|user| user.organization.unwrap_or_default())
            }
            Touch::Credential(id) | Touch::Rotations(id) => {
                let credential = store.find_credential_row(id).await?;
                credential.map(|credential| credential.organization)
            }
            Touch::Session(id) => {
                let session = store.find_session(id).await?;
                session.map(|session| session.owner.user.organization.unwrap_or_default())
            }
        };
        Ok(organization.map(|organization| Touched {
            organization,
            touch,
        }))
    }

    /// Tells the other gates of a change that was tried. Also of one that failed, which may have been committed, and of one
    /// that found nothing to do, because one before it may have been told to nobody.
    pub(super) async fn tell(
        &self,
        store: &Store,
        touched: Option<Touched>,
        done: Result<Applied, ChangeError>,
    ) -> Result<bool, ChangeError> {
        let Some(touched) = touched else {
            return done.map(|done| done.changed);
        };
        if self.redis.renew(touched).await.is_ok() {
            let done = done?;
            self.told.lock().extend(done.untold);
            return Ok(done.changed);
        }
        match done {
            // Nothing was committed now; and before, as far as the store knows.
            Err(error @ ChangeError::Conflict(_)) if !store.is_untold(touched).await? => Err(error),
            _ => Err(StoreError::Pending.into()),
        }
    }

    /// Tells of what its own gate did not tell of: because it could not, or because it is gone. One that is there has told of
    /// its change before its notes are looked at twice; to tell of it again does no harm.
    pub(super) async fn catch_up(&self, store: &Store, at_once: bool) -> Result<(), StoreError> {
        let untold = store.list_untold().await?;
        let noted = untold.iter().map(|note| note.id).collect();
        let before = std::mem::replace(&mut *self.noted.lock(), noted);
        let mut left = untold;
        left.retain(|note| at_once || before.contains(&note.id));
        let mut pending = left.len();
        for note in left {
            if self.redis.renew(note.touched).await.is_err() {
                break;
            }
            self.told.lock().push(note.id);
            pending -= 1;
        }
        metrics::gauge!("scopegate_revocations_pending").set(pending as f64);
        Ok(())
    }

    /// Of what was told.
    pub(super) async fn take_notes_away(&self, store: &Store) -> Result<(), StoreError> {
        let told = std::mem::take(&mut *self.told.lock());
        if let Err(error) = store.forget_told(&told).await {
            self.told.lock().extend(told);
            return Err(error);
        }
        Ok(())
    }
}

impl Inner {
    /// The epochs of a caller, to keep them under.
    pub(super) async fn fill(&self, known: &Principal) -> FilledUnder {
        match &self.shared {
            None => FilledUnder::default(),
            Some(shared) => {
                let fields = of_caller(known);
                shared.redis.fill(known.organization, &fields).await
            }
        }
    }

    /// The registered clusters of an organization, if they are kept.
    pub(super) fn known_clusters(&self, organization: Uuid) -> Option<Clusters> {
        let generation = *self.generation.lock();
        let kept = self.by_organization.get(&organization)?;
        (kept.0 == generation).then(|| kept.1.clone())
    }

    /// The registered clusters of an organization, which are kept until anything changes.
    pub(super) async fn load_clusters(&self, organization: Uuid) -> Result<Clusters, StoreError> {
        let filled = match &self.shared {
            None => FilledUnder::default(),
            Some(shared) => {
                let fields = [Field::Organization];
                shared
                    .redis
                    .fill(organization, &fields.into_iter().collect())
                    .await
            }
        };
        // Noted before the store is read: after any change, what was read here is not used again.
        let generation = *self.generation.lock();
        let clusters = self.store.list_clusters(organization).await?;
        let registered = clusters
            .into_iter()
            .filter(|cluster| cluster.deleted_at.is_none());
        let registered = registered.map(|cluster| cluster.id).collect();
        let clusters = (Arc::new(registered), filled);
        self.by_organization
            .insert(organization, (generation, clusters.clone()));
        Ok(clusters)
    }

    /// Reads a caller from the store, to confirm what is kept of them; what is kept stays where it is still true.
    pub(super) async fn compare(&self, kept: &Arc<Principal>) -> Result<Loaded, StoreError> {
        if kept.version.is_none() {
            return self.reload(kept).await;
        }
        let now = match kept.kind {
            CallerKind::Session => {
                let found = self.store.find_session(kept.credential).await?;
                found.map(|facts| session_principal(facts, &self.registered))
            }
            CallerKind::ApiKey | CallerKind::Agent => {
                let found = self.store.find_credential(kept.credential).await?;
                found.map(|facts| credential_principal(facts, &self.authority, &self.registered))
            }
            CallerKind::Anonymous => None,
        };
        match now {
            Some(Ok(now)) if is_unchanged(kept, &now) && !kept.standing.is_stale() => {
                Ok(Loaded::Live(Arc::clone(kept)))
            }
            // As if another gate had just told of it.
            _ => {
                kept.standing.end();
                self.reload(kept).await
            }
        }
    }
}

impl Directory {
    /// The registered clusters of an organization, for a caller whom the store does not know and who is confirmed like others.
    pub(crate) async fn registered_to_confirm(
        &self,
        organization: Uuid,
    ) -> Result<Clusters, StoreError> {
        match self.inner.known_clusters(organization) {
            Some(known) => Ok(known),
            None => self.inner.load_clusters(organization).await,
        }
    }

    /// Looks up again who may not be what is kept of them.
    ///
    /// # Errors
    /// Why they are no caller any more, or that it cannot be told.
    pub(crate) async fn look_up_again(
        &self,
        stale: &Arc<Principal>,
        now_ms: i64,
    ) -> Result<Arc<Principal>, Cause> {
        let Some(shared) = &self.inner.shared else {
            return Ok(Arc::clone(stale));
        };
        let place = stale.credential.as_u128() as usize % LOOK_UPS;
        let mut last = match shared.look_ups.get(place) {
            Some(last) => last.lock().await,
            None => return Err(Cause::Unavailable("there is no place to look".to_owned())),
        };
        // Somebody who waited for the same did it.
        if let Some(last) = last.upgrade()
            && last.credential == stale.credential
            && !Arc::ptr_eq(&last, stale)
            && !last.standing.is_stale()
            && last.version.is_some()
        {
            return current(Ok(Loaded::Live(last)), stale, now_ms);
        }
        let loaded = Box::pin(self.inner.reload(stale)).await;
        if let Ok(Loaded::Live(principal)) = &loaded {
            *last = Arc::downgrade(principal);
        }
        current(loaded, stale, now_ms)
    }

    /// Has the store confirm what is kept of a caller, because Redis cannot.
    ///
    /// # Errors
    /// As [`Directory::look_up_again`].
    pub(crate) async fn confirm_by_store(
        &self,
        kept: &Arc<Principal>,
        now_ms: i64,
    ) -> Result<Arc<Principal>, Cause> {
        metrics::counter!("scopegate_confirmed_by_store_total").increment(1);
        current(Box::pin(self.inner.compare(kept)).await, kept, now_ms)
    }

    /// What is kept of a caller, confirmed without counting anything.
    ///
    /// # Errors
    /// As [`Directory::look_up_again`].
    pub(crate) async fn confirmed(
        &self,
        kept: Arc<Principal>,
        now_ms: i64,
    ) -> Result<Arc<Principal>, Cause> {
        let Some(shared) = &self.inner.shared else {
            return Ok(kept);
        };
        match shared.redis.confirm(kept.organization, &kept.filled).await {
            Ok(true) => Ok(kept),
            Ok(false) => self.look_up_again(&kept, now_ms).await,
            Err(Away) if shared.redis.when_away() == WhenAway::Refuse => {
                Err(Cause::Unavailable(Away.to_string()))
            }
            Err(Away) => self.confirm_by_store(&kept, now_ms).await,
        }
    }
}

/// A caller as of now, or why they are none.
fn current(
    loaded: Result<Loaded, StoreError>,
    kept: &Principal,
    now_ms: i64,
) -> Result<Arc<Principal>, Cause> {
    match loaded? {
        Loaded::Live(now) if !is_over(&now, now_ms) => Ok(now),
        Loaded::Live(_) if kept.version.is_none() => Err(Cause::TokenExpired),
        Loaded::Live(_) => Err(Cause::Expired),
        Loaded::Ended(_) => Err(Cause::Revoked),
        Loaded::Nothing => Err(Cause::UnknownCredential),
    }
}
