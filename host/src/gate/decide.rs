//! The one way to ask the active policy, whoever's question it is: bounded, its failures counted, and the policy in its shadow
//! told.

use std::{collections::BTreeSet, sync::Arc};

use scopegate_policy::{Clusters, Decision, Outcome, Reason, wire::Question};

use super::{Gate, question::Active};
use crate::{Cause, Principal, engine::CallerRef, policies::faults::Failing};

/// What is on record of requests that are not decided, because nobody knows by what policy.
const OUTDATED: &str = "the store has not said for too long which policy is active";

impl Gate {
    /// Asks the policy about a request of this caller, or of nobody, within what the caller may have at all. `own` sees the
    /// policy's answer before it is bounded. `now_ms` is the gate's own time, whatever moment the question is about.
    ///
    /// # Errors
    /// When there is no decision.
    pub(super) async fn put(
        &self,
        active: &Active,
        question: &Question<'_>,
        principal: Option<&Arc<Principal>>,
        now_ms: i64,
        own: impl FnOnce(&Decision),
    ) -> Result<Decision, Cause> {
        if self.is_outdated() {
            return Err(Cause::Unavailable(OUTDATED.to_owned()));
        }
        let none = BTreeSet::new();
        let (caller, registered) = match principal {
            Some(principal) => (principal.caller_ref(), &*principal.registered),
            None => (
                CallerRef {
                    caller: &self.anonymous.caller,
                    packed: &self.anonymous.packed,
                },
                &none,
            ),
        };
        let decided = active
            .policy
            .decide_and_bound(&caller, &question.as_ref(), registered, own)
            .await;
        if let Some(counts) = active.faults.count(&decided, now_ms) {
            self.fails(active, counts, now_ms);
        }
        if let Some(shadow) = &active.shadow {
            shadow.hand(question, principal, &decided);
        }
        decided.map_err(Cause::from)
    }

    #[cold]
    fn fails(&self, active: &Active, (faults, decisions): (u64, u64), at_ms: i64) {
        self.failing.send_replace(Some(Failing {
            digest: active.policy.digest().to_owned(),
            faults,
            decisions,
            at_ms,
        }));
    }
}

/// The clusters that an outcome shows.
///
/// # Errors
/// Why it is a refusal.
pub(super) fn allowed(outcome: Outcome) -> Result<Clusters, Cause> {
    match outcome {
        Outcome::Allow(visible) => Ok(visible),
        Outcome::Deny(Reason::NotAuthenticated) => Err(Cause::NotAuthenticated),
        Outcome::Deny(reason) => Err(Cause::Denied(reason)),
    }
}
