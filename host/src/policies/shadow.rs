//! The policy in the shadow: it is asked what the active one is asked, and what it answers has no effect but that the
//! differences are counted and listed. Then it is promoted, or dropped.
//!
//! It is kept in the store, so that a restart goes on with it; what was counted is not.

mod asker;
mod status;
mod tally;

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

pub(crate) use asker::{Asked, Asker, Told};
pub use status::{
    Counted, Difference, DifferenceKind, Example, ExampleAnswer, ExampleCaller, ShadowStatus,
};
pub(crate) use tally::{Answer, Tally};

use super::{Inner, Next, Policies, PolicyError, is_meant};
use crate::{
    engine::Policy,
    gate::{Shadow, Understudy},
    store::{
        Actor, Origin, PolicyChange, PolicyShadow, PolicySource, PolicyVersion, ShadowVersion,
        StoreError,
    },
};

impl Policies {
    /// Checks a component, and has it decide in the shadow of the active policy, in place of the one that does so now.
    ///
    /// # Errors
    /// When it is refused, or the store does not take it; the shadow is as it was.
    pub async fn push_shadow(
        &self,
        component: Bytes,
        origin: Origin,
        now_ms: i64,
    ) -> Result<ShadowStatus, PolicyError> {
        self.apart(move |inner| async move {
            let policy = inner.admit(&component, "shadow", &origin, now_ms).await?;
            let asker = start(&policy)?;
            let _kept = inner.kept.lock().await;
            inner.follow_shadow().await?;
            let before = inner.gate.shadow();
            let digest = policy.digest().to_owned();
            let change = PolicyChange::Shadow(PolicyShadow {
                name: policy.description().name.clone(),
                version: policy.description().version.clone(),
                component,
                replaces: before
                    .map(|before| before.understudy.version.digest.clone())
                    .filter(|replaced| *replaced != digest),
                digest,
            });
            inner.apply(change, origin, now_ms).await?;
            let (version, _) = inner.stored_shadow().await?.ok_or(PolicyError::NoShadow)?;
            tracing::info!(digest = version.digest, "a policy is in the shadow");
            let understudy = Understudy::new(version, policy, asker);
            inner.gate.put_shadow(Some(Arc::new(understudy)));
            inner.shadow_status()
        })
        .await
    }

    /// The policy in the shadow, and what it answers otherwise than the active one.
    ///
    /// # Errors
    /// When there is none.
    pub fn shadow(&self) -> Result<ShadowStatus, PolicyError> {
        self.inner.shadow_status()
    }

    /// Makes the policy in the shadow the active one, if it is the one that is meant: by its digest or the start of it, or
    /// whichever is there. Between looking at it and this, somebody else may have pushed another.
    ///
    /// # Errors
    /// When there is none or another, or the store does not take it; everything is as it was.
    pub async fn promote(
        &self,
        wanted: Option<String>,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(PolicyVersion, bool), PolicyError> {
        self.apart(move |inner| async move {
            let mut kept = inner.kept.lock().await;
            inner.follow_shadow().await?;
            let shadow = inner.shadow_meant(wanted)?;
            let stored = inner.stored_shadow().await?;
            let policy = Arc::clone(&shadow.understudy.policy);
            let next = Next {
                component: stored.map(|(_, component)| component.into()),
                source: PolicySource::Promote,
                policy: Arc::clone(&policy),
                after: None,
            };
            inner.make_active(&mut kept, next, origin, now_ms).await?;
            inner.gate.put_shadow(None);
            Ok((inner.version(policy.digest().to_owned()).await?, true))
        })
        .await
    }

    /// Ends the policy in the shadow, if it is the one that is meant, as with [`Policies::promote`].
    ///
    /// # Errors
    /// When there is none or another, or the store does not take it.
    pub async fn drop_shadow(
        &self,
        wanted: Option<String>,
        origin: Origin,
        now_ms: i64,
    ) -> Result<(), PolicyError> {
        self.apart(move |inner| async move {
            let _kept = inner.kept.lock().await;
            inner.follow_shadow().await?;
            let shadow = inner.shadow_meant(wanted)?;
            let digest = shadow.understudy.version.digest.clone();
            let change = PolicyChange::DropShadow { digest };
            inner.apply(change, origin, now_ms).await?;
            inner.gate.put_shadow(None);
            Ok(())
        })
        .await
    }
}

impl Inner {
    /// Goes on with the policy that was in the shadow before the start. One that would be refused by now is dropped.
    pub(super) async fn resume_shadow(&self, now_ms: i64) -> Result<(), PolicyError> {
        let Some((version, component)) = self.stored_shadow().await? else {
            return Ok(());
        };
        let digest = version.digest.clone();
        match self.understudy(version, component.into()).await {
            Ok(understudy) => {
                tracing::info!(digest, "the policy in the shadow goes on");
                self.gate.put_shadow(Some(Arc::new(understudy)));
            }
            // Others may serve it.
            Err(PolicyError::Refused(error))
                if error.is_for_good() && self.contact_max().is_none() =>
            {
                tracing::error!(digest, %error, "the policy in the shadow is refused by now, and dropped");
                let change = PolicyChange::DropShadow { digest };
                self.apply(change, Actor::Gate.into(), now_ms).await?;
            }
            Err(error) => {
                tracing::error!(digest, %error, "the policy in the shadow does not go on");
            }
        }
        Ok(())
    }

    pub(super) async fn understudy(
        &self,
        version: ShadowVersion,
        component: Bytes,
    ) -> Result<Understudy, PolicyError> {
        let policy = self.check(component).await?;
        let asker = start(&policy)?;
        Ok(Understudy::new(version, policy, asker))
    }

    pub(super) async fn stored_shadow(
        &self,
    ) -> Result<Option<(ShadowVersion, Vec<u8>)>, StoreError> {
        self.gate.directory().store().find_shadow().await
    }

    /// The shadow, unless another one is meant.
    fn shadow_meant(&self, wanted: Option<String>) -> Result<Shadow, PolicyError> {
        let shadow = self.gate.shadow().ok_or(PolicyError::NoShadow)?;
        let found = &shadow.understudy.version.digest;
        match wanted {
            Some(wanted) if !is_meant(found, &wanted) => Err(PolicyError::OtherShadow {
                found: found.clone(),
                wanted,
            }),
            _ => Ok(shadow),
        }
    }

    fn shadow_status(&self) -> Result<ShadowStatus, PolicyError> {
        let Shadow { understudy, tally } = self.gate.shadow().ok_or(PolicyError::NoShadow)?;
        let version = understudy.version.clone();
        Ok(ShadowStatus {
            digest: version.digest,
            name: version.name,
            version: version.version,
            bytes: version.bytes,
            pushed_at: Timestamp::from_second(version.pushed_at).unwrap_or_default(),
            pushed_by: version.pushed_by,
            counted: tally.counted(),
        })
    }
}

fn start(policy: &Arc<Policy>) -> Result<Asker, StoreError> {
    let started = Asker::start(Arc::clone(policy));
    started.map_err(|error| StoreError::Unavailable(format!("no thread for the shadow: {error}")))
}
