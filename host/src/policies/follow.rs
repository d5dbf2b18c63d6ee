//! Following what the other gates of a store have made active: told by the server, and looked after every second besides.
//!
//! A gate that cannot find out what is active, or cannot serve it, goes on with what it has for as long as it is told to, and
//! decides nothing after that: an old policy may allow what was taken away since.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Inner, Kept, Policies, PolicyError, take_back};
use crate::store::{Beat, Listener, Node, Standing, StoreError};

/// How often it is looked at what is active.
const BEAT: Duration = Duration::from_secs(1);
/// For how long it is not known what is active.
const UNKNOWN: &str = "scopegate_policy_unknown_seconds";
/// How long a policy that cannot be served is not tried again: looking at one takes a core for a while.
const AGAIN: Duration = Duration::from_secs(10);

/// This gate, among those that serve from the same store.
pub(super) struct Me {
    id: Uuid,
    name: String,
    started_at: Timestamp,
}

impl Me {
    pub(super) fn new() -> Self {
        metrics::describe_gauge!(
            UNKNOWN,
            "For how long this gate has not known, or not been able to serve, the active policy, in seconds"
        );
        metrics::gauge!(UNKNOWN).set(0.0);
        let host = rustix::system::uname();
        Self {
            id: Uuid::now_v7(),
            name: host.nodename().to_string_lossy().into_owned(),
            started_at: Timestamp::now(),
        }
    }
}

/// What could not be served when it was tried last.
#[derive(Default)]
struct Tried {
    active: Option<Refused>,
    shadow: Option<Refused>,
}

/// A policy that could not.
struct Refused {
    digest: String,
    why: String,
    again: Instant,
}

impl Refused {
    fn now(digest: &str, why: String) -> Self {
        Self {
            digest: digest.to_owned(),
            why,
            again: Instant::now() + AGAIN,
        }
    }
}

/// Whether this is not tried yet again.
fn is_waiting(refused: Option<&Refused>, digest: Option<&str>) -> bool {
    refused.is_some_and(|refused| {
        digest == Some(refused.digest.as_str()) && Instant::now() < refused.again
    })
}

impl Policies {
    /// The gates that serve from the same store, with the policies that decide there; by name.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let inner = &self.inner;
        if inner.contact_max().is_some() {
            return inner.gate.directory().store().list_nodes().await;
        }
        // Nobody else does: what is active in the store is so here.
        let active = inner.versions().await?.into_iter().next();
        let since = active.and_then(|active| Timestamp::from_second(active.activated_at).ok());
        Ok(vec![Node {
            id: inner.me.id,
            name: inner.me.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: inner.me.started_at,
            seen_at: Timestamp::now(),
            is_here: true,
            digest: inner.gate.policy().digest().to_owned(),
            since: since.map_or(inner.me.started_at, |since| since.max(inner.me.started_at)),
            problem: None,
        }])
    }

    /// Serves what other gates make active, until `stopping`. To be run once for a gate that serves; it is over at once where no
    /// other gate can serve from the same store.
    pub async fn follow(self, stopping: CancellationToken) {
        let Some(contact_max) = self.inner.contact_max() else {
            return;
        };
        let inner = &*self.inner;
        stopping
            .run_until_cancelled(inner.keep_up(contact_max))
            .await;
        let store = inner.gate.directory().store();
        if let Err(error) = store.leave(inner.me.id).await {
            tracing::debug!(%error, "the other gates will find out that this one has stopped");
        }
    }
}

impl Inner {
    /// Where many gates may serve from the store: how long one goes on without it.
    pub(super) fn contact_max(&self) -> Option<Duration> {
        self.gate.directory().store().contact_max()
    }

    async fn keep_up(&self, contact_max: Duration) {
        let mut listener = None;
        let mut tried = Tried::default();
        let (mut current_at, mut is_told) = (Instant::now(), false);
        loop {
            let began = Instant::now();
            let is_outdated = self.gate.is_outdated();
            tokio::select! {
                looked = self.look(&mut tried) => match looked {
                    Ok(true) => {
                        (current_at, is_told) = (began, false);
                        if is_outdated {
                            tracing::warn!("the active policy is known again: requests are decided");
                            self.gate.set_outdated(false);
                        }
                    }
                    Ok(false) => {}
                    Err(error) if is_told => tracing::debug!(%error, "it cannot be told as yet"),
                    Err(error) => {
                        is_told = true;
                        tracing::warn!(%error, "which policy is active cannot be told");
                    }
                },
                // Also while a server keeps it waiting.
                () = sleep_until(current_at + contact_max), if !is_outdated => {
                    tracing::error!(
                        secs = contact_max.as_secs(),
                        "which policy is active is not known, or it cannot be served: requests are refused"
                    );
                    self.gate.set_outdated(true);
                    continue;
                }
            }
            metrics::gauge!(UNKNOWN).set(current_at.elapsed().as_secs_f64());
            // Many gates that lost their store together do not come back together.
            let pause = sleep(BEAT.mul_f64(0.8 + 0.4 * fastrand::f64()));
            tokio::select! {
                () = pause => {}
                () = self.told(&mut listener) => {}
                () = sleep_until(current_at + contact_max), if !self.gate.is_outdated() => {}
            }
        }
    }

    /// Resolves when another policy may be active.
    async fn told(&self, listener: &mut Option<Listener>) {
        let heard = async {
            let listening = match listener {
                Some(listening) => listening,
                None => {
                    let Some(listening) = self.gate.directory().store().listen().await? else {
                        return std::future::pending().await;
                    };
                    // What was told before is not heard.
                    *listener = Some(listening);
                    return Ok(());
                }
            };
            listening.told().await
        };
        let heard: Result<(), StoreError> = heard.await;
        if let Err(error) = heard {
            tracing::debug!(%error, "what other gates activate is found out by looking");
            *listener = None;
            std::future::pending::<()>().await;
        }
    }

    /// Looks at what is active, serves it, and says so. Whether it is what decides here.
    async fn look(&self, tried: &mut Tried) -> Result<bool, PolicyError> {
        let mut kept = self.kept.lock().await;
        let store = self.gate.directory().store();
        // With what is kept here locked: nothing is activated on this gate meanwhile.
        let standing = store.standing().await?;
        let problem = self.serve(&mut kept, &standing, &mut tried.active).await?;
        let shadow = standing.shadow.as_deref();
        if !is_waiting(tried.shadow.as_ref(), shadow) {
            tried.shadow = None;
            if let Err(error) = self.follow_shadow_to(shadow).await {
                tracing::error!(%error, "the policy in the shadow does not decide here");
                tried.shadow = shadow.map(|digest| Refused::now(digest, String::new()));
            }
        }
        drop(kept);
        let policy = self.gate.policy();
        let beat = Beat {
            id: self.me.id,
            name: &self.me.name,
            version: env!("CARGO_PKG_VERSION"),
            digest: policy.digest(),
            problem: problem.as_deref(),
        };
        store.beat(&beat).await?;
        Ok(problem.is_none())
    }

    /// Serves what is active, or says why not.
    async fn serve(
        &self,
        kept: &mut Kept,
        standing: &Standing,
        refused: &mut Option<Refused>,
    ) -> Result<Option<String>, PolicyError> {
        let Some(digest) = &standing.active else {
            return Ok(None);
        };
        if self.gate.policy().digest() == digest {
            *refused = None;
            return Ok(None);
        }
        if is_waiting(refused.as_ref(), Some(digest)) {
            return Ok(refused.as_ref().map(|refused| refused.why.clone()));
        }
        match self.load(kept, digest).await {
            Ok(policy) => {
                if standing.is_fault {
                    kept.failed
                        .extend(take_back::failed_before(&self.versions().await?));
                }
                kept.failed.remove(digest);
                tracing::info!(
                    digest,
                    name = policy.description().name,
                    "serving the policy that another gate has made active"
                );
                self.enter(kept, policy);
                *refused = None;
                Ok(None)
            }
            Err(error) => {
                let why = error.to_string();
                tracing::error!(
                    digest,
                    error = why,
                    "the active policy cannot be served here"
                );
                *refused = Some(Refused::now(digest, why.clone()));
                Ok(Some(why))
            }
        }
    }

    /// Has the policy in the shadow decide that is there by now, where other gates may have put it there.
    pub(super) async fn follow_shadow(&self) -> Result<(), PolicyError> {
        if self.contact_max().is_none() {
            return Ok(());
        }
        let standing = self.gate.directory().store().standing().await?;
        self.follow_shadow_to(standing.shadow.as_deref()).await
    }

    async fn follow_shadow_to(&self, digest: Option<&str>) -> Result<(), PolicyError> {
        let here = self.gate.shadow();
        let here = here
            .as_ref()
            .map(|here| here.understudy.version.digest.as_str());
        if here == digest {
            return Ok(());
        }
        let next = match self.stored_shadow().await? {
            Some((version, component)) => Some(self.understudy(version, component.into()).await?),
            None => None,
        };
        self.gate.put_shadow(next.map(Arc::new));
        Ok(())
    }
}
