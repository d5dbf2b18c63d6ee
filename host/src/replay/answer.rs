//! What a record says came of a request, and what it would say after a policy's own answer.

use std::{borrow::Cow, collections::BTreeSet};

use scopegate_policy::{
    CallerKind, ClusterSource, Clusters, Decision, Description, Outcome as Decided, Reason, Rule,
    packed::RequestRef,
};
use serde::Serialize;

use super::Recorded;
use crate::{
    audit::{Outcome, Visible, recorded_about, recorded_reason, redacted_sha256},
    cause::CODES,
    engine::bound,
    trial::REASONS,
};

/// An answer as records have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What came of the request.
    pub outcome: Outcome,
    /// The code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The hash of that, where it looks like a secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about_sha256: Option<String>,
    /// The rule that decided.
    pub rule: Rule,
    /// What the policy's own answer shows; nothing where it refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<Visible>,
}

/// Whether the gate refuses for this reason, and no policy.
pub(super) fn is_of_gate(code: &str) -> bool {
    CODES.contains(&code) && !REASONS.iter().any(|(reason, _)| *reason == code)
}

impl Recorded {
    /// What the record would say, had the policy answered this.
    pub(super) fn answer_after(&self, own: &Decision, description: &Description) -> Answer {
        match &own.outcome {
            Decided::Deny(reason) => self.refused(reason, own.rule),
            Decided::Allow(visible) => self.allowed(own, visible, description),
        }
    }

    fn refused(&self, reason: &Reason, rule: Rule) -> Answer {
        // The gate does not believe that somebody is nobody, and calls that a fault.
        let is_fault = *reason == Reason::NotAuthenticated
            && self.caller.kind != CallerKind::Anonymous
            && self.answer.reason.as_deref() == Some("policy-fault");
        if is_fault && self.answer.outcome == Outcome::Refuse {
            return Answer {
                rule,
                visible: None,
                ..self.answer.clone()
            };
        }
        let subject = reason.subject();
        let about = subject.map(recorded_about);
        let is_redacted = matches!(about, Some(Cow::Owned(_)));
        let hash = |text| redacted_sha256(&self.request_id.to_string(), text);
        Answer {
            outcome: Outcome::Refuse,
            reason: Some(recorded_reason(reason.code()).to_owned()),
            about_sha256: subject.filter(|_| is_redacted).map(hash),
            about: about.map(Cow::into_owned),
            rule,
            visible: None,
        }
    }

    /// The policy allowed. The gate may have refused all the same: because a cluster was not registered, by what it holds
    /// any policy to, or because the request failed afterwards.
    fn allowed(&self, own: &Decision, visible: &Clusters, description: &Description) -> Answer {
        let recorded = &self.answer;
        let shown = match &recorded.visible {
            Some(form) => form.in_this_form(visible),
            None => Visible::of(visible),
        };
        let admitted = Answer {
            outcome: Outcome::Admit,
            reason: None,
            about: None,
            about_sha256: None,
            rule: own.rule,
            visible: Some(shown.clone()),
        };
        let refused = |reason: &Reason| Answer {
            visible: Some(shown.clone()),
            ..self.refused(reason, own.rule)
        };
        let of_gate = [self.named(), BTreeSet::new()].map(|registered| {
            let request = RequestRef::from(&self.request);
            match bound(
                own.clone(),
                description,
                &self.caller,
                &request,
                &registered,
            ) {
                Ok(Decision {
                    outcome: Decided::Deny(reason),
                    ..
                }) => refused(&reason),
                Ok(_) => admitted.clone(),
                Err(why) => refused(&Reason::Other(format!("policy-fault: {why}"))),
            }
        });
        let [registered, unregistered] = of_gate;
        if unregistered == *recorded {
            return unregistered;
        }
        match registered.outcome {
            // What comes after an admission is not the policy's, but it is no reason of a policy either.
            Outcome::Admit
                if self.failed_afterwards() || self.lacks_own_cluster(own, description) =>
            {
                Answer {
                    rule: own.rule,
                    visible: Some(shown),
                    ..recorded.clone()
                }
            }
            _ => registered,
        }
    }

    /// Whether the record says that the request was refused for what no policy refuses for.
    fn failed_afterwards(&self) -> bool {
        let Answer {
            outcome, reason, ..
        } = &self.answer;
        *outcome == Outcome::Refuse && reason.as_deref().is_some_and(is_of_gate)
    }

    /// Whether the record says that an agent's own cluster was missing from a query that nobody would write it into: the policy
    /// takes it from the agent, and what the upstream would read has none.
    fn lacks_own_cluster(&self, own: &Decision, description: &Description) -> bool {
        let route = own.rule.route;
        let route = route.and_then(|index| description.routes.get(index as usize));
        let Some(ClusterSource::Query(name)) = route.map(|route| &route.cluster) else {
            return false;
        };
        self.answer.outcome == Outcome::Refuse
            && self.answer.reason.as_deref() == Some("cluster-required")
            && self.caller.agent_cluster.is_some()
            && !self.request.query.iter().any(|(known, _)| known == name)
    }

    /// The clusters that were registered, where the record shows that one which it names was not; nothing where all that it
    /// names may have been.
    pub fn registered_otherwise(&self) -> Option<BTreeSet<String>> {
        let Answer {
            outcome,
            reason,
            about,
            visible,
            ..
        } = &self.answer;
        let is_unregistered = *outcome == Outcome::Refuse
            && visible.is_some()
            && reason.as_deref() == Some("cluster-not-allowed");
        let unregistered = about.as_deref().filter(|_| is_unregistered)?;
        let mut registered = self.named();
        registered.remove(unregistered);
        Some(registered)
    }

    /// Every text that could be a cluster which the question names.
    pub fn named(&self) -> BTreeSet<String> {
        let Self {
            caller, request, ..
        } = self;
        let fields = request.query.iter().chain(&request.headers);
        let lists = [&caller.clusters, &caller.allowed_clusters];
        let listed = lists.into_iter().flat_map(|clusters| match clusters {
            Clusters::Only(ids) => ids.as_slice(),
            Clusters::All => &[],
        });
        fields
            .map(|(_, value)| value)
            .chain(listed)
            .chain(&caller.agent_cluster)
            .map(String::as_str)
            .chain(request.path.split('/'))
            .map(str::to_owned)
            .collect()
    }
}
