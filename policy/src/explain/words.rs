//! What decided, in a sentence.

use crate::{
    CallerKind, ClusterSource, Clusters, Decision, Description, Grant, Outcome, Reason,
    Restriction, SIGN_IN_SECS_MAX,
};

use super::{Grants, Question, granting_role};

/// What decided.
pub(super) fn because(
    description: &Description,
    question: &Question,
    decision: &Decision,
    grants: Option<&Grants>,
) -> String {
    let route = decision
        .rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let requires = route.and_then(|route| route.requires.as_deref());
    match &decision.outcome {
        Outcome::Allow(visible) => {
            let granted = match (decision.rule.grant, requires) {
                (Grant::Public, _) => "the route is public".to_owned(),
                (Grant::Role(_), Some(name)) => {
                    let role = granting_role(description, decision).unwrap_or_default();
                    format!("the role `{role}` has `{name}`")
                }
                (Grant::Permission, Some(name)) => format!("the caller itself holds `{name}`"),
                _ => "the route requires no permission of this caller".to_owned(),
            };
            match narrowed(decision.rule.restriction, visible) {
                Some(narrowed) if decision.rule.grant != Grant::Public => {
                    format!("{granted}; {narrowed}")
                }
                _ => granted,
            }
        }
        Outcome::Deny(Reason::ConditionNotMet) => {
            let when = route.and_then(|route| route.when.as_deref());
            let when = when.unwrap_or_default();
            format!("the route's condition is not true of this request: `{when}`")
        }
        Outcome::Deny(Reason::MissingPermission(name))
            if decision.rule.restriction != Restriction::Scopes
                && let Some(seen) = grants.and_then(Grants::unmet) =>
        {
            let (role, condition) = (&seen.role, seen.condition.as_ref());
            let text = condition.map_or("", |condition| condition.text.as_str());
            format!(
                "the role `{role}` has `{name}`, but its condition is not true of this request: `{text}`"
            )
        }
        Outcome::Deny(reason) => refused(question, decision, reason, route.map(|r| &r.cluster)),
    }
}

fn narrowed(restriction: Restriction, visible: &Clusters) -> Option<&'static str> {
    let narrowed = match restriction {
        Restriction::AuthorityClusters => "the user's clusters narrow what is visible",
        Restriction::KeyClusters => "the key's clusters narrow what is visible",
        Restriction::AgentCluster => "only the agent's own cluster is visible",
        _ => return None,
    };
    visible.is_restricted().then_some(narrowed)
}

fn refused(
    question: &Question,
    decision: &Decision,
    reason: &Reason,
    source: Option<&ClusterSource>,
) -> String {
    match reason {
        Reason::NotAuthenticated if decision.rule.route.is_none() => {
            "no route matches; strangers are told that they need a credential".to_owned()
        }
        Reason::NotAuthenticated => {
            "the route needs a caller, and there is no credential".to_owned()
        }
        Reason::NoRoute if decision.rule.route.is_some() => {
            "the management API has no routes for agents".to_owned()
        }
        Reason::NoRoute => "no route matches".to_owned(),
        Reason::AmbiguousPath => {
            "the path matches a literal of a route only when case is ignored".to_owned()
        }
        Reason::MissingPermission(name) if decision.rule.restriction == Restriction::Scopes => {
            format!("the key does not carry the scope `{name}`")
        }
        Reason::MissingPermission(name) => {
            format!("nothing that the caller has holds `{name}`")
        }
        Reason::ClusterNotAllowed(cluster) => {
            let why = match decision.rule.restriction {
                Restriction::AuthorityClusters => "is not among the user's clusters",
                Restriction::KeyClusters => "is not among the key's clusters",
                _ if !crate::is_cluster_id(cluster) => "cannot be a cluster's id",
                _ => "is not registered, or not the caller's",
            };
            format!("`{cluster}` {why}")
        }
        Reason::ClusterRequired => {
            let place = match source {
                Some(ClusterSource::Query(name)) => format!("with `?{name}=`"),
                Some(ClusterSource::Header(name)) => format!("in the header `{name}`"),
                _ => "here".to_owned(),
            };
            format!("a caller restricted to clusters must name one {place}")
        }
        Reason::ClustersRestricted => {
            "the route spans every cluster, and the caller is restricted to some".to_owned()
        }
        Reason::ReadOnlyKey => "keys may only read here".to_owned(),
        Reason::AgentOutsideCluster(cluster) => {
            let own = question.caller.agent_cluster.as_deref().unwrap_or_default();
            format!("the agent is of `{own}`, not of `{cluster}`")
        }
        Reason::OperatorRequired => "only operators of the gate pass here".to_owned(),
        Reason::SignInRequired if question.caller.kind != CallerKind::Session => {
            "the route asks for a sign-in, and this caller is no session".to_owned()
        }
        Reason::SignInRequired => format!(
            "the route asks for a sign-in of the last {} minutes",
            SIGN_IN_SECS_MAX / 60
        ),
        other => format!("the policy answers `{}`", other.code()),
    }
}
