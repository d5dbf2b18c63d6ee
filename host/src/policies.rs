//! Shipping policies to a gate that serves: a candidate is looked at from every side off the request path, and only then
//! becomes the active one, in one step between two requests. Whatever is wrong with it, the policy before goes on.
//!
//! The last ones that were active are kept in the store, whole, so that going back to one needs nothing else, and a restart
//! serves what was activated last. Who activated what is in the audit, in the same transaction.

mod candidate;
mod command;
mod error;
pub(crate) mod faults;
mod follow;
pub mod shadow;
mod take_back;

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use tokio::sync::Mutex;

pub use candidate::{BadCandidate, Checks};
pub use command::{Component, PolicyCommand, PolicyReply};
pub use error::PolicyError;
pub use shadow::ShadowStatus;

use crate::{
    Gate, bundle,
    engine::Policy,
    refusal::cut,
    store::{
        Actor, Change, Origin, PolicyActivation, PolicyChange, PolicyRefusal, PolicySource,
        PolicyVersion, StoreError,
    },
};

/// Hex digits of a digest that tell versions apart.
const DIGITS_MIN: usize = 6;
/// How often it is tried to start, while others start.
const START_TRIES: u32 = 5;
/// The longest reason of a refusal that goes on record, in bytes.
const WHY_BYTES_MAX: usize = 512;
/// How many policies are kept, the active one among them: enough for a bad week, and ten times the largest component that
/// the limits let in at the very most.
pub const KEPT_MAX: u32 = 10;

/// What the configuration names, when the gate starts or when the file has changed.
#[derive(Clone, Debug)]
pub struct Configured {
    /// A text that differs when the configuration names something else: a name, or the digest of a file.
    pub key: String,
    /// The component.
    pub component: Bytes,
    /// The same, checked.
    pub policy: Arc<Policy>,
}

/// The policies of a gate. Cheap to clone.
#[derive(Clone)]
pub struct Policies {
    inner: Arc<Inner>,
}

struct Inner {
    gate: Arc<Gate>,
    checks: Arc<Checks>,
    /// This gate, among those that serve from the same store.
    me: follow::Me,
    /// One candidate is looked at after the other: compiling one takes a whole core for a while.
    checking: Mutex<()>,
    /// Held while the active policy is changed.
    kept: Mutex<Kept>,
}

struct Kept {
    /// The one that was active last first; those of before this start are in the store alone until somebody goes back
    /// to one.
    loaded: Vec<Arc<Policy>>,
    /// What the configuration names now.
    configured: Configured,
    /// Those that failed, and were taken back by the gate itself.
    failed: BTreeSet<String>,
    /// When the gate may do that again.
    backoff: take_back::Backoff,
}

/// A policy that becomes the active one.
struct Next {
    policy: Arc<Policy>,
    /// Needed where the store may not have it yet.
    component: Option<Bytes>,
    source: PolicySource,
    /// Only if this is the active one as yet, or none is.
    after: Option<Option<String>>,
}

impl Policies {
    /// The policies of this gate, which was made with the configured one. Makes the one active that is to be served: what
    /// was activated last, if a person or the gate itself did that and the configuration has named the same since; or else
    /// what the configuration names.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn start(
        gate: Arc<Gate>,
        checks: Arc<Checks>,
        configured: Configured,
        now_ms: i64,
    ) -> Result<Self, PolicyError> {
        let kept = Kept {
            loaded: vec![Arc::clone(&configured.policy)],
            configured: configured.clone(),
            failed: BTreeSet::new(),
            backoff: take_back::Backoff::default(),
        };
        let inner = Arc::new(Inner {
            gate,
            checks,
            me: follow::Me::new(),
            checking: Mutex::default(),
            kept: Mutex::new(kept),
        });
        // Another gate may start at the same moment.
        let mut tries = 0;
        while let Err(error) = inner.choose(&configured, now_ms).await {
            tries += 1;
            if !error.is_other() || tries == START_TRIES {
                return Err(error);
            }
        }
        inner.resume_shadow(now_ms).await?;
        Ok(Self { inner })
    }

    /// The policies that are kept, the active one first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn versions(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        self.inner.versions().await
    }

    /// Checks a component and makes it the active policy. `false`: it is so already.
    ///
    /// # Errors
    /// When it is refused, or the store does not take it; the policy before stays.
    pub async fn push(
        &self,
        component: Bytes,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(PolicyVersion, bool), PolicyError> {
        self.apart(move |inner| async move {
            let source = PolicySource::Push;
            let policy = inner
                .admit(&component, source.word(), &origin, now_ms)
                .await?;
            let next = Next {
                policy,
                component: Some(component),
                source,
                after: None,
            };
            let mut kept = inner.kept.lock().await;
            inner.activate(&mut kept, next, origin, now_ms).await
        })
        .await
    }

    /// The configuration's file has changed to this: checks it and makes it the active policy.
    ///
    /// # Errors
    /// When it is refused, or the store does not take it; the policy before stays, and so does what the configuration is
    /// known to name. It may be tried again unless [`PolicyError::is_for_good`].
    pub async fn reconfigure(
        &self,
        key: String,
        component: Bytes,
        now_ms: i64,
    ) -> Result<(PolicyVersion, bool), PolicyError> {
        self.apart(move |inner| async move {
            let source = PolicySource::File;
            let origin = Actor::Gate.into();
            let policy = inner
                .admit(&component, source.word(), &origin, now_ms)
                .await?;
            let mut kept = inner.kept.lock().await;
            let configured = Configured {
                key,
                component: component.clone(),
                policy: Arc::clone(&policy),
            };
            let before = std::mem::replace(&mut kept.configured, configured);
            let next = Next {
                policy,
                component: Some(component),
                source,
                after: None,
            };
            let done = inner.activate(&mut kept, next, origin, now_ms).await;
            if done.is_err() {
                // What is activated meanwhile is not to be kept as of this one.
                kept.configured = before;
            }
            done
        })
        .await
    }

    /// Goes back to a policy that is kept: this one, by its digest or the start of it, or the one that was active before.
    ///
    /// # Errors
    /// When none is meant or several are, when it is refused by now, or when the store does not take it.
    pub async fn roll_back(
        &self,
        to: Option<String>,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(PolicyVersion, bool), PolicyError> {
        self.apart(move |inner| async move {
            let mut kept = inner.kept.lock().await;
            let versions = inner.versions().await?;
            let digest = match to {
                Some(name) => named(&versions, &name)?.digest.clone(),
                None => {
                    // One that has failed is wanted by its name alone.
                    let is_good = |before: &&PolicyVersion| !kept.failed.contains(&before.digest);
                    let good = versions.iter().skip(1).find(is_good);
                    match good.or(versions.get(1)) {
                        Some(before) => before.digest.clone(),
                        None => return Err(PolicyError::NoneBefore),
                    }
                }
            };
            let next = Next {
                policy: inner.load(&kept, &digest).await?,
                component: None,
                source: PolicySource::Rollback,
                // Which is the one before, was told by this one.
                after: Some(versions.into_iter().next().map(|active| active.digest)),
            };
            inner.activate(&mut kept, next, origin, now_ms).await
        })
        .await
    }

    /// Does something to its end, even if whoever asked for it goes away: what the store has and what the gate does are
    /// the same afterwards.
    async fn apart<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, PolicyError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, PolicyError>> + Send + 'static,
    {
        let done = tokio::spawn(work(Arc::clone(&self.inner))).await;
        done.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

/// The one version that this digest, or start of a digest, means.
fn named<'v>(versions: &'v [PolicyVersion], name: &str) -> Result<&'v PolicyVersion, PolicyError> {
    let wanted = name.strip_prefix("sha256:").unwrap_or(name);
    if wanted.len() < DIGITS_MIN && wanted.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(PolicyError::Short(name.to_owned()));
    }
    let mut found = versions
        .iter()
        .filter(|version| is_meant(&version.digest, name));
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(PolicyError::Ambiguous(name.to_owned())),
        (None, _) => Err(PolicyError::Unknown(name.to_owned())),
    }
}

/// Whether a name is this digest or the start of it, long enough to tell versions apart.
pub fn is_meant(digest: &str, name: &str) -> bool {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    let wanted = name.strip_prefix("sha256:").unwrap_or(name);
    wanted.len() >= DIGITS_MIN && hex.starts_with(wanted)
}

impl Inner {
    /// Makes the policy the active one that is to be served from the start.
    async fn choose(&self, configured: &Configured, now_ms: i64) -> Result<(), PolicyError> {
        let versions = self.versions().await?;
        self.kept.lock().await.failed = take_back::failed_before(&versions);
        let last = versions.into_iter().next();
        let is_configured = |last: &PolicyVersion| last.digest == configured.policy.digest();
        let stays = |last: &PolicyVersion| {
            !last.source.is_configuration() && last.configured == configured.key
        };
        match &last {
            Some(last) if stays(last) && self.serve_again(last).await? => Ok(()),
            Some(last) if is_configured(last) && last.configured == configured.key => Ok(()),
            _ => {
                let next = Next {
                    policy: Arc::clone(&configured.policy),
                    component: Some(configured.component.clone()),
                    source: PolicySource::Start,
                    after: Some(last.map(|last| last.digest)),
                };
                let mut kept = self.kept.lock().await;
                self.make_active(&mut kept, next, Actor::Gate.into(), now_ms)
                    .await
            }
        }
    }

    async fn versions(&self) -> Result<Vec<PolicyVersion>, StoreError> {
        self.gate.directory().store().list_policies().await
    }

    /// Looks at a candidate on a thread of its own.
    async fn check(&self, component: Bytes) -> Result<Arc<Policy>, PolicyError> {
        let _one_at_a_time = self.checking.lock().await;
        let checks = Arc::clone(&self.checks);
        let checked = tokio::task::spawn_blocking(move || checks.check(&component)).await;
        Ok(checked.map_err(|_| BadCandidate::Crashed)??)
    }

    /// Looks at a candidate that came from outside. Who tried what, when it is refused, is on record.
    async fn admit(
        &self,
        component: &Bytes,
        wanted: &'static str,
        origin: &Origin,
        now_ms: i64,
    ) -> Result<Arc<Policy>, PolicyError> {
        let checked = self.check(component.clone()).await;
        if let Err(error) = &checked
            && error.is_for_good()
        {
            let why = error.to_string();
            let why = cut(why.lines().next().unwrap_or_default(), WHY_BYTES_MAX).to_owned();
            let digest = bundle::digest(component);
            let change = PolicyChange::Refuse(PolicyRefusal {
                digest,
                wanted,
                why,
            });
            // It is refused either way.
            if let Err(error) = self.apply(change, origin.clone(), now_ms).await {
                tracing::error!(%error, "that a policy was refused is not on record");
            }
        }
        checked
    }

    /// A policy that is kept: it may have been loaded before.
    async fn load(&self, kept: &Kept, digest: &str) -> Result<Arc<Policy>, PolicyError> {
        let known = kept.loaded.iter().find(|known| known.digest() == digest);
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let component = self.gate.directory().store().find_component(digest).await?;
        let component = component.ok_or_else(|| PolicyError::Unknown(digest.to_owned()))?;
        let policy = self.check(component.into()).await?;
        match policy.digest() == digest {
            true => Ok(policy),
            false => Err(StoreError::Corrupt {
                table: "policies",
                id: digest.to_owned(),
                what: "`component` is another one".to_owned(),
            }
            .into()),
        }
    }

    /// Serves what was served before the start. Where it would be refused by now, the configuration's policy goes on; what
    /// only fails for the moment is no reason to serve another one for good.
    async fn serve_again(&self, last: &PolicyVersion) -> Result<bool, PolicyError> {
        let mut kept = self.kept.lock().await;
        match self.load(&kept, &last.digest).await {
            Ok(policy) => {
                tracing::info!(
                    digest = last.digest,
                    source = last.source.word(),
                    "serving the policy that was activated last"
                );
                self.enter(&mut kept, policy);
                Ok(true)
            }
            Err(error) if !error.is_for_good() => Err(error),
            Err(error) => {
                tracing::error!(digest = last.digest, %error, "the policy that was activated last cannot be served: the configured one is");
                Ok(false)
            }
        }
    }

    /// Makes a policy the active one, unless it is.
    async fn activate(
        &self,
        kept: &mut Kept,
        next: Next,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(PolicyVersion, bool), PolicyError> {
        let digest = next.policy.digest().to_owned();
        let active = self.versions().await?.into_iter().next();
        match active.filter(|active| active.digest == digest) {
            Some(active) => {
                // Another gate may have made it so, a moment ago.
                if self.gate.policy().digest() != digest {
                    self.enter(kept, next.policy);
                }
                Ok((active, false))
            }
            None => {
                self.make_active(kept, next, origin, now_ms).await?;
                Ok((self.version(digest).await?, true))
            }
        }
    }

    /// A version that is kept, by its whole digest.
    async fn version(&self, digest: String) -> Result<PolicyVersion, PolicyError> {
        let versions = self.versions().await?;
        let version = versions
            .into_iter()
            .find(|version| version.digest == digest);
        version.ok_or(PolicyError::Unknown(digest))
    }

    async fn apply(
        &self,
        change: PolicyChange,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(), PolicyError> {
        let change = Change::Policy(Box::new(change));
        self.gate.directory().apply(change, origin, now_ms).await?;
        Ok(())
    }

    /// First in the store, with its record, and then for every request that begins.
    async fn make_active(
        &self,
        kept: &mut Kept,
        next: Next,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(), PolicyError> {
        let Next {
            policy,
            component,
            source,
            after,
        } = next;
        let description = policy.description();
        let replaces = self.gate.policy().digest().to_owned();
        let is_configured = policy.digest() == kept.configured.policy.digest();
        let component =
            component.or_else(|| is_configured.then(|| kept.configured.component.clone()));
        let change = PolicyChange::Activate(PolicyActivation {
            digest: policy.digest().to_owned(),
            name: description.name.clone(),
            version: description.version.clone(),
            component,
            source,
            configured: kept.configured.key.clone(),
            replaces: Some(replaces).filter(|replaced| replaced != policy.digest()),
            after,
            kept_max: KEPT_MAX,
        });
        self.apply(change, origin, now_ms).await?;
        // Whoever chooses one that has failed wants it all the same.
        kept.failed.remove(policy.digest());
        metrics::counter!("scopegate_policy_activations_total", "source" => source.word())
            .increment(1);
        tracing::info!(
            digest = policy.digest(),
            name = description.name,
            source = source.word(),
            "a policy is active"
        );
        self.enter(kept, policy);
        Ok(())
    }

    fn enter(&self, kept: &mut Kept, policy: Arc<Policy>) {
        let before = self.gate.policy();
        kept.loaded
            .retain(|known| known.digest() != policy.digest());
        kept.loaded.insert(0, Arc::clone(&policy));
        kept.loaded.truncate(KEPT_MAX as usize);
        self.gate.activate(policy);
        before.rest();
    }
}

impl std::fmt::Debug for Policies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policies")
            .field("active", &self.inner.gate.policy())
            .finish_non_exhaustive()
    }
}
