//! Why a question is answered as it is, and what would have to be different for the other answer.
//!
//! What decides is asked as a function, so that a document's tables and a component in any language are explained
//! alike: from what the policy describes and from the rule in its decision. Every suggestion has been tried: the
//! question with its changes was asked again, and the answer was the other one.

mod change;
mod conditions;
mod near;
mod suggest;
mod words;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::document::Places;
use crate::permission::Pattern;
use crate::yaml::Span;
use crate::{
    Caller, CallerKind, ClusterSource, Clusters, Decision, Description, Grant, Outcome, Reason,
    Request, Restriction,
};

pub use change::{Change, written_age};
pub use near::{NearMiss, Why};

/// A question, with what is known around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub caller: Caller,
    /// For what.
    pub request: Request,
    /// The clusters that the organization has registered; `None` where that is not looked at, as if every cluster
    /// were.
    pub registered: Option<BTreeSet<String>>,
}

impl Question {
    /// Whether the caller is a key that does not follow an owner: its scopes are its permissions.
    fn has_authority_of_scopes(&self) -> bool {
        let caller = &self.caller;
        caller.kind == CallerKind::ApiKey
            && caller.roles.is_empty()
            && caller.scopes.as_ref() == Some(&caller.permissions)
    }
}

/// Why a question is answered as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The answer.
    pub decision: Decision,
    /// What decided, in a sentence: lower case, no full stop.
    pub because: String,
    /// Routes that nearly matched, the nearest first.
    pub near_misses: Vec<NearMiss>,
    /// What was looked at for the permission that the route requires, where it requires one.
    pub grants: Option<Grants>,
    /// The question of clusters, where a route matched.
    pub clusters: Option<ClusterQuestion>,
    /// What the conditions around it read of the question.
    pub reads: Reads,
    /// What would have to be different for the other answer, the least first. Each alone is enough.
    pub otherwise: Vec<Suggestion>,
}

impl Explanation {
    /// Whether the request is allowed.
    pub fn is_allowed(&self) -> bool {
        is_allowed(&self.decision)
    }

    /// The index of the route that matched.
    pub fn route(&self) -> Option<usize> {
        self.decision.rule.route.map(|index| index as usize)
    }

    /// Where what decided stands in the document: the role's entry, or the part of the route. Nothing where no route
    /// matched, or one of the management API did.
    pub fn place(&self, places: &Places) -> Option<Span> {
        let route = places.routes.get(self.route()?)?;
        let key = match &self.decision.outcome {
            Outcome::Allow(_) => match self.decision.rule.grant {
                Grant::Role(index) => {
                    let role = places.roles.get(index as usize)?;
                    let entry = self
                        .grants
                        .as_ref()
                        .and_then(|grants| role.entry_for(&grants.permission));
                    return Some(entry.map_or(role.name, |entry| entry.span));
                }
                Grant::Public => "public",
                Grant::Permission | Grant::None => "requires",
            },
            Outcome::Deny(reason) => match reason {
                Reason::OperatorRequired => "operator",
                Reason::SignInRequired => "sign_in",
                Reason::ReadOnlyKey => return places.keys,
                Reason::ClusterNotAllowed(_)
                | Reason::AgentOutsideCluster(_)
                | Reason::ClusterRequired
                | Reason::ClustersRestricted => "cluster",
                Reason::ConditionNotMet => "when",
                Reason::MissingPermission(_) => match self.unmet_role(places) {
                    Some(place) => return Some(place),
                    None => "requires",
                },
                _ => "requires",
            },
        };
        Some(route.key_or_match(key))
    }

    /// The condition of the role that would have granted it.
    fn unmet_role(&self, places: &Places) -> Option<Span> {
        if self.decision.rule.restriction == Restriction::Scopes {
            return None;
        }
        let seen = self.grants.as_ref()?.unmet()?;
        places.roles.get(seen.index?)?.when
    }
}

/// Facts that conditions read: those of the route, and of the caller's roles that have the permission.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// The client's address.
    pub address: bool,
    /// When it happens.
    pub time: bool,
    /// Whether the session was opened with a second factor.
    pub second_factor: bool,
    /// How old the credential or the sign-in is.
    pub age: bool,
    /// Headers, by their names in lower case.
    pub headers: Vec<String>,
}

/// What holds a permission, and what narrows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grants {
    /// The permission.
    pub permission: String,
    /// Each of the caller's roles.
    pub roles: Vec<RoleSeen>,
    /// The caller's own permissions, and whether each stands for it.
    pub own: Vec<Held>,
    /// The credential's scopes, and whether each stands for it; `None` where the credential carries none.
    pub scopes: Option<Vec<Held>>,
}

impl Grants {
    /// The first role that has the permission and whose condition is not true.
    pub fn unmet(&self) -> Option<&RoleSeen> {
        let is_unmet = |seen: &&RoleSeen| {
            let condition = seen.condition.as_ref();
            seen.has && condition.is_some_and(|condition| condition.holds == Some(false))
        };
        self.roles.iter().find(is_unmet)
    }
}

/// A role of the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RoleSeen {
    /// Its name.
    pub role: String,
    /// Whether the policy has such a role; others grant nothing.
    pub is_known: bool,
    /// Whether it has the permission; it grants it where its condition is true.
    pub has: bool,
    /// The condition without which it grants nothing, if it has one.
    pub condition: Option<ConditionSeen>,
    /// Its index in the description.
    #[serde(skip)]
    pub index: Option<usize>,
}

/// A condition of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionSeen {
    /// As its author wrote it.
    pub text: String,
    /// Whether it is true of the question; `None` where a component says a condition of itself that is none.
    pub holds: Option<bool>,
}

/// A permission or pattern that the caller or its credential holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// As it is held, such as `clusters:*`.
    pub pattern: String,
    /// Whether it stands for the permission.
    pub has: bool,
}

/// Which cluster is meant, and which lists have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClusterQuestion {
    /// Where the route reads it.
    pub source: ClusterSource,
    /// The cluster that the request names, or the agent's own where it names none.
    pub named: Option<String>,
    /// Whether it is the agent's own, which the request did not name.
    pub is_implied: bool,
    /// Whether the authority's list has it; `None` where there is no list, or no cluster.
    pub on_authority: Option<bool>,
    /// Whether the key's list has it; `None` where there is no list, or no cluster.
    pub on_key: Option<bool>,
    /// Whether it is the agent's own; `None` where the caller is none, or there is no cluster.
    pub is_agents: Option<bool>,
    /// Whether it is registered; `None` where that is not looked at, or there is no cluster.
    pub is_registered: Option<bool>,
}

/// Changes that together give the other answer. None of them can be left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// All of them are needed.
    pub changes: Vec<Change>,
    /// In words.
    pub text: String,
}

/// Explains the answer to a question. `ask` is the policy: it is asked again for every suggestion.
///
/// # Errors
/// The first that `ask` gives.
pub fn explain<E>(
    description: &Description,
    question: &Question,
    mut ask: impl FnMut(&Question) -> Result<Decision, E>,
) -> Result<Explanation, E> {
    let decision = ask(question)?;
    let near_misses = near::near_misses(description, &decision, &question.request);
    let route = decision
        .rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let otherwise = suggest::suggestions(description, question, &decision, &mut ask)?;
    let requires = route.and_then(|route| route.requires.as_deref());
    let grants = requires.map(|permission| grants(description, question, permission));
    let mut reads = Reads::default();
    let of_roles = grants.iter().flat_map(|grants| &grants.roles);
    let of_roles = of_roles.filter(|seen| seen.has).filter_map(|seen| {
        let condition = seen.condition.as_ref()?;
        Some(condition.text.as_str())
    });
    for when in of_roles.chain(route.and_then(|route| route.when.as_deref())) {
        conditions::note(&mut reads, when);
    }
    Ok(Explanation {
        because: words::because(description, question, &decision, grants.as_ref()),
        near_misses,
        grants,
        reads,
        clusters: route.map(|route| cluster_question(&route.cluster, question, &decision)),
        otherwise,
        decision,
    })
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision.outcome, Outcome::Allow(_))
}

fn grants(description: &Description, question: &Question, permission: &str) -> Grants {
    let caller = &question.caller;
    let held = |patterns: &[String]| -> Vec<Held> {
        let held = patterns.iter().map(|pattern| Held {
            pattern: pattern.clone(),
            has: stands_for(pattern, permission),
        });
        held.collect()
    };
    let roles = caller.roles.iter().map(|name| {
        let index = description.roles.iter().position(|role| role.name == *name);
        let known = index.and_then(|index| description.roles.get(index));
        let when = known.and_then(|role| role.when.as_deref());
        RoleSeen {
            index,
            condition: when.map(|text| ConditionSeen {
                text: text.to_owned(),
                holds: conditions::holds(text, question),
            }),
            role: name.clone(),
            is_known: known.is_some(),
            has: known.is_some_and(|role| role.permissions.iter().any(|p| p == permission)),
        }
    });
    Grants {
        permission: permission.to_owned(),
        roles: roles.collect(),
        own: held(&caller.permissions),
        scopes: caller.scopes.as_deref().map(held),
    }
}

/// Whether a pattern stands for a permission.
fn stands_for(pattern: &str, permission: &str) -> bool {
    Pattern::parse(pattern).is_some_and(|pattern| pattern.matches(permission))
}

fn cluster_question(
    source: &ClusterSource,
    question: &Question,
    decision: &Decision,
) -> ClusterQuestion {
    let Question {
        caller,
        request,
        registered,
    } = question;
    let named = named_cluster(source, request);
    let is_implied = named.is_none()
        && caller.agent_cluster.is_some()
        && matches!(
            source,
            ClusterSource::Query(_) | ClusterSource::Header(_) | ClusterSource::Path(_)
        );
    let named = match &decision.outcome {
        Outcome::Deny(Reason::ClusterNotAllowed(id) | Reason::AgentOutsideCluster(id)) => {
            Some(id.clone())
        }
        _ if is_implied => caller.agent_cluster.clone(),
        _ => named.map(str::to_owned),
    };
    let on = |clusters: &Clusters| match &named {
        Some(id) if clusters.is_restricted() => Some(clusters.contains(id)),
        _ => None,
    };
    ClusterQuestion {
        source: source.clone(),
        is_implied,
        on_authority: on(&caller.clusters),
        on_key: on(&caller.allowed_clusters),
        is_agents: caller
            .agent_cluster
            .as_ref()
            .zip(named.as_ref())
            .map(|(own, named)| own == named),
        is_registered: named
            .as_ref()
            .zip(registered.as_ref())
            .map(|(named, registered)| registered.contains(named)),
        named,
    }
}

/// The cluster that a request names where a route reads it from `source`.
fn named_cluster<'r>(source: &ClusterSource, request: &'r Request) -> Option<&'r str> {
    let find = |fields: &'r [(String, String)], name: &str| {
        let field = fields.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value.as_str())
    };
    match source {
        ClusterSource::Path(index) => request.path.split('/').nth(*index as usize + 1),
        ClusterSource::Query(name) => find(&request.query, name),
        ClusterSource::Header(name) => find(&request.headers, name),
        _ => None,
    }
}

/// The first of the caller's roles that has a permission, as the decision says.
fn granting_role<'d>(description: &'d Description, decision: &Decision) -> Option<&'d str> {
    match decision.rule.grant {
        Grant::Role(index) => description
            .roles
            .get(index as usize)
            .map(|role| role.name.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
