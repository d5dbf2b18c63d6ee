//! The policy in the shadow of the active one: it is handed every question that the active one was asked, with the
//! answer that was given, and decides later and elsewhere. Nothing here waits, and nothing comes back.

use std::sync::Arc;

use scopegate_policy::{
    Decision,
    wire::question::{Declared, Question},
};

use super::trail::method_text;
use crate::{
    Cause, Principal,
    audit::Judge,
    engine::{DecideError, Policy},
    headers, path,
    policies::shadow::{Answer, Asked, Asker, Tally, Told},
    store::ShadowVersion,
};

/// A policy that decides without effect.
pub(crate) struct Understudy {
    /// Who pushed it, and when.
    pub(crate) version: ShadowVersion,
    pub(crate) policy: Arc<Policy>,
    asker: Asker,
    declared: Declared,
}

/// An understudy, and what was counted since it stands beside the active policy.
#[derive(Clone)]
pub(crate) struct Shadow {
    pub(crate) understudy: Arc<Understudy>,
    pub(crate) tally: Arc<Tally>,
}

impl Understudy {
    /// A policy, and who asks it.
    pub(crate) fn new(version: ShadowVersion, policy: Arc<Policy>, asker: Asker) -> Self {
        let declared = Declared::of(policy.description());
        Self {
            version,
            policy,
            asker,
            declared,
        }
    }

    /// What it reads of a request, which need not be what the active policy reads.
    fn told(&self, question: &Question<'_>) -> Result<Told, Cause> {
        let query = path::declared_parameters(question.raw_query, &self.declared.queries)
            .map_err(|what| Cause::InvalidRequest(what.to_string()))?;
        let headers = headers::declared_headers(question.headers, &self.declared.headers)?;
        Ok(Told { query, headers })
    }
}

impl Shadow {
    /// An understudy beside the policy that records name so. Nothing is counted yet.
    pub(super) fn new(understudy: Arc<Understudy>, active: &Arc<Judge>) -> Self {
        let description = Arc::clone(understudy.policy.description());
        Self {
            understudy,
            tally: Arc::new(Tally::new(Arc::clone(active), description)),
        }
    }

    /// Hands over a question and what the active policy made of it. What does not fit is counted.
    pub(super) fn hand(
        &self,
        question: &Question<'_>,
        principal: Option<&Arc<Principal>>,
        decided: &Result<Decision, DecideError>,
    ) {
        let asker = &self.understudy.asker;
        if asker.is_full() {
            return self.tally.skip();
        }
        let active = match decided {
            Ok(decision) => Answer::of(decision.clone()),
            Err(DecideError::Fault(why)) => Answer::refusal(Cause::PolicyFault(why.clone())),
            // There is nothing to compare with, and no time for more.
            Err(DecideError::Overloaded) => return self.tally.skip(),
        };
        let asked = Asked {
            at_ms: question.now_ms,
            method: method_text(question.method),
            path: question.path.as_ref().into(),
            told: self.understudy.told(question),
            client: question.client,
            principal: principal.cloned(),
            active,
            tally: Arc::clone(&self.tally),
        };
        if !asker.offer(asked) {
            self.tally.skip();
        }
    }
}
