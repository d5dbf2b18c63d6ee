//! Which conditions a decision asked, and what came of each: what coverage counts. The codes of a decision say it, so
//! that it costs a decision nothing.

use crate::description::Description;
use crate::facts::{Caller, Decision, Grant, Outcome, Reason};

/// Where a condition stands, as an index into the [`Description`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionOf {
    /// A route's.
    Route(u32),
    /// A role's.
    Role(u32),
}

/// The conditions that were asked for this decision about a caller, each with whether it was true; an error is not. For
/// policies from documents: those that are written by hand ask in an order of their own.
pub fn asked(
    description: &Description,
    caller: &Caller,
    decision: &Decision,
) -> Vec<(ConditionOf, bool)> {
    let Some(index) = decision.rule.route else {
        return Vec::new();
    };
    let Some(route) = description.routes.get(index as usize) else {
        return Vec::new();
    };
    let mut asked = roles(description, caller, decision, route.requires.as_deref());
    // What is asked for before the route's condition; what comes after it says that it was true.
    let is_true = match &decision.outcome {
        Outcome::Deny(Reason::ConditionNotMet) => Some(false),
        Outcome::Allow(_)
        | Outcome::Deny(
            Reason::ClusterNotAllowed(_)
            | Reason::ClusterRequired
            | Reason::ClustersRestricted
            | Reason::AgentOutsideCluster(_),
        ) => Some(true),
        Outcome::Deny(_) => None,
    };
    if let Some(is_true) = is_true.filter(|_| route.when.is_some()) {
        asked.push((ConditionOf::Route(index), is_true));
    }
    asked
}

/// Those of the caller's roles that have the permission, up to the one that granted it.
fn roles(
    description: &Description,
    caller: &Caller,
    decision: &Decision,
    requires: Option<&str>,
) -> Vec<(ConditionOf, bool)> {
    let is_late = match &decision.outcome {
        Outcome::Deny(reason) => !matches!(
            reason,
            Reason::NotAuthenticated
                | Reason::NoRoute
                | Reason::OperatorRequired
                | Reason::ReadOnlyKey
        ),
        Outcome::Allow(_) => true,
    };
    let Some(requires) = requires.filter(|_| is_late) else {
        return Vec::new();
    };
    let granted = match decision.rule.grant {
        Grant::Role(index) => Some(index),
        Grant::None | Grant::Permission | Grant::Public => None,
    };
    let mut asked = Vec::new();
    for name in &caller.roles {
        let roles = (0_u32..).zip(&description.roles);
        let found = roles.into_iter().find(|(_, role)| {
            role.name == *name && role.permissions.iter().any(|held| held == requires)
        });
        let Some((index, role)) = found else { continue };
        if role.when.is_some() {
            asked.push((ConditionOf::Role(index), granted == Some(index)));
        }
        if granted == Some(index) {
            break;
        }
    }
    asked
}
