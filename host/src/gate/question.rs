//! The active policy, and what it reads of requests.

use std::sync::Arc;

use scopegate_policy::{RoleConditions, RouteInfo, Rule, wire::question::Declared};

use super::shadow::{Shadow, Understudy};
use crate::{audit::Judge, engine::Policy, policies::faults::Faults};

/// The active policy, what it reads of requests, and the one in its shadow. One value, so that a request sees one policy
/// from start to end, and that the answers of both are compared with each other and never with those of a third.
pub(super) struct Active {
    pub(super) policy: Arc<Policy>,
    /// The policy, for records.
    pub(super) judge: Arc<Judge>,
    /// How often it fails.
    pub(super) faults: Arc<Faults>,
    /// What it reads of requests.
    pub(super) declared: Declared,
    /// When the caller's roles count, for what is given by callers.
    pub(super) role_conditions: Arc<RoleConditions>,
    pub(super) shadow: Option<Shadow>,
}

impl Active {
    pub(super) fn new(policy: Arc<Policy>) -> Self {
        let judge = Arc::new(Judge {
            digest: policy.digest().to_owned(),
            description: Arc::clone(policy.description()),
        });
        Self {
            judge,
            faults: Arc::new(Faults::new()),
            declared: Declared::of(policy.description()),
            role_conditions: Arc::new(RoleConditions::of(policy.description())),
            policy,
            shadow: None,
        }
    }

    /// The route of a rule.
    pub(super) fn route(&self, rule: &Rule) -> Option<&RouteInfo> {
        let routes = &self.policy.description().routes;
        rule.route.and_then(|index| routes.get(index as usize))
    }

    /// The same policy with another shadow, or none. What is counted starts anew.
    pub(super) fn beside(&self, understudy: Option<Arc<Understudy>>) -> Self {
        Self {
            policy: Arc::clone(&self.policy),
            judge: Arc::clone(&self.judge),
            faults: Arc::clone(&self.faults),
            declared: self.declared.clone(),
            role_conditions: Arc::clone(&self.role_conditions),
            shadow: understudy.map(|understudy| Shadow::new(understudy, &self.judge)),
        }
    }
}
