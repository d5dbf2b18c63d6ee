//! Taking an active policy that fails for good back to the last good one, without anybody.

use std::{collections::BTreeSet, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{
    BadCandidate, Inner, Kept, Next, Policies, PolicyError, PolicySource, PolicyVersion,
    faults::Failing,
};
use crate::{engine::Policy, store::Actor};

/// How long nothing is taken back after the first time.
const WAIT_MIN_MS: i64 = 10_000;
/// The same after many times.
const WAIT_MAX_MS: i64 = 600_000;
/// After so long without one, the next is a first time.
const FORGET_MS: i64 = 3_600_000;

/// When a policy may be taken back again: each time twice as long after the last time, so that a gate whose policies all
/// fail does not go round in circles.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last_ms: Option<i64>,
    wait_ms: i64,
}

impl Backoff {
    /// Whether it may be tried now; if so, it counts as tried.
    fn try_now(&mut self, now_ms: i64) -> bool {
        // A clock that was set back is no reason to wait.
        let since = self
            .last_ms
            .map_or(i64::MAX, |last_ms| now_ms.saturating_sub(last_ms));
        if (0..self.wait_ms).contains(&since) {
            return false;
        }
        let is_first = !(0..FORGET_MS).contains(&since);
        let doubled = if is_first { 0 } else { self.wait_ms * 2 };
        self.wait_ms = doubled.clamp(WAIT_MIN_MS, WAIT_MAX_MS);
        self.last_ms = Some(now_ms);
        true
    }
}

/// The policies that had failed when the gate stopped: each that the gate itself went back from, down to the last one
/// that a person or the configuration chose.
pub(super) fn failed_before(versions: &[PolicyVersion]) -> BTreeSet<String> {
    let taken_back = versions
        .iter()
        .take_while(|version| version.source == PolicySource::Fault);
    let after = versions.iter().skip(1);
    let failed = taken_back.zip(after).map(|(_, failed)| &failed.digest);
    failed.cloned().collect()
}

impl Policies {
    /// Minds the active policy until `stopping`: where it fails for good, the newest policy that is kept, has not failed and
    /// still answers becomes the active one. To be run once for a gate that serves.
    pub async fn mind(self, stopping: CancellationToken) {
        let mut failing = self.inner.gate.failing();
        let work = async {
            while failing.changed().await.is_ok() {
                let Some(failing) = failing.borrow_and_update().clone() else {
                    continue;
                };
                let done = self.apart(move |inner| async move { inner.take_back(failing).await });
                if let Err(error) = done.await {
                    tracing::error!(%error, "the active policy fails and cannot be taken back");
                }
            }
        };
        stopping.run_until_cancelled(work).await;
    }
}

impl Inner {
    async fn take_back(&self, failing: Failing) -> Result<(), PolicyError> {
        let mut kept = self.kept.lock().await;
        let Failing {
            digest,
            faults,
            decisions,
            at_ms,
        } = failing;
        // Somebody may have been quicker.
        if self.gate.policy().digest() != digest || !kept.backoff.try_now(at_ms) {
            return Ok(());
        }
        tracing::error!(digest, faults, decisions, "the active policy fails");
        kept.failed.insert(digest.clone());
        for version in self.versions().await? {
            if kept.failed.contains(&version.digest) {
                continue;
            }
            let policy = match self.still_good(&kept, &version.digest).await {
                Ok(policy) => policy,
                Err(error) => {
                    let digest = version.digest;
                    tracing::warn!(digest, %error, "a policy that is kept cannot be gone back to");
                    continue;
                }
            };
            let next = Next {
                policy,
                component: None,
                source: PolicySource::Fault,
                after: Some(Some(digest.clone())),
            };
            match self
                .make_active(&mut kept, next, Actor::Gate.into(), at_ms)
                .await
            {
                Err(error) if error.is_other() => {
                    tracing::info!(
                        digest,
                        "the active policy fails, and is not the active one any more"
                    );
                    return Ok(());
                }
                done => done?,
            }
            count("done");
            tracing::error!(
                failed = digest,
                digest = version.digest,
                name = version.name,
                version = version.version,
                "the active policy fails and was taken back to the last good one"
            );
            return Ok(());
        }
        count("none");
        tracing::error!(
            digest,
            "the active policy fails and goes on, for no good one is kept: push one with `scopegate policy push`"
        );
        Ok(())
    }

    /// A policy that is kept, if it answers what it is probed with.
    async fn still_good(&self, kept: &Kept, digest: &str) -> Result<Arc<Policy>, PolicyError> {
        let policy = self.load(kept, digest).await?;
        let _one_at_a_time = self.checking.lock().await;
        let probed = Arc::clone(&policy);
        let probe = tokio::task::spawn_blocking(move || probed.probe()).await;
        probe
            .map_err(|_| BadCandidate::Crashed)?
            .map_err(BadCandidate::Fault)?;
        Ok(policy)
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("scopegate_policy_taken_back_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_it_waits_twice_as_long() {
        let mut backoff = Backoff::default();
        let mut now = 1_774_958_400_000;
        assert!(backoff.try_now(now));
        for secs in [10, 20, 40, 80, 160, 320, 600, 600] {
            assert!(!backoff.try_now(now + secs * 1000 - 1), "{secs}");
            now += secs * 1000;
            assert!(backoff.try_now(now), "{secs}");
        }
        // An hour later it is the first time again, and so it is by a clock that was set back.
        for later in [FORGET_MS, -FORGET_MS] {
            now += later;
            assert!(backoff.try_now(now));
            assert!(!backoff.try_now(now + 9_999));
            now += 10_000;
            assert!(backoff.try_now(now));
        }
    }

    #[test]
    fn what_had_failed_before_a_restart_is_known_from_what_was_activated() {
        use PolicySource::{Fault, File, Push};
        let versions = |sources: &[PolicySource]| -> Vec<PolicyVersion> {
            let version = |(number, source): (usize, &PolicySource)| PolicyVersion {
                digest: number.to_string(),
                name: String::new(),
                version: String::new(),
                bytes: 0,
                added_at: 0,
                activated_at: 0,
                activated_by: "gate".to_owned(),
                source: *source,
                configured: String::new(),
            };
            sources.iter().enumerate().map(version).collect()
        };
        let failed = |sources: &[PolicySource]| -> Vec<String> {
            failed_before(&versions(sources)).into_iter().collect()
        };
        assert_eq!(failed(&[]), [""; 0]);
        assert_eq!(failed(&[Push, Fault, File]), [""; 0]);
        assert_eq!(failed(&[Fault, File]), ["1"]);
        assert_eq!(failed(&[Fault, Fault, Push, Fault, File]), ["1", "2"]);
        assert_eq!(failed(&[Fault]), [""; 0]);
    }
}
