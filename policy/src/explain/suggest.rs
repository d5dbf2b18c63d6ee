//! What would have to be different for the other answer: the fewest changes first, each set of them tried.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    Caller, CallerKind, ClusterSource, Clusters, Decision, Description, Outcome, Reason,
    Restriction, is_cluster_id,
};

use super::{
    Change, NearMiss, Question, Suggestion, conditions, is_allowed, named_cluster, near, stands_for,
};

/// Changes that are needed together at most.
const CHANGES_MAX: usize = 4;
/// Suggestions at most.
const SUGGESTIONS_MAX: usize = 4;
/// Questions that are asked for the sake of suggestions at most.
const ASKED_MAX: usize = 400;
/// Roles that are suggested at most, those with the fewest permissions first.
const ROLES_MAX: usize = 3;
/// The role of agents' tokens, which no user has.
const AGENT_ROLE: &str = "agent";

/// Sets of changes that give the other answer.
pub(super) fn suggestions<E>(
    description: &Description,
    question: &Question,
    decision: &Decision,
    ask: &mut impl FnMut(&Question) -> Result<Decision, E>,
) -> Result<Vec<Suggestion>, E> {
    let found = if is_allowed(decision) {
        towards_refusal(description, question, decision, ask)?
    } else {
        towards_allow(description, question, decision, ask)?
    };
    let suggestion = |changes: Vec<Change>| {
        let words: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let text = words.join(", and ");
        Suggestion { changes, text }
    };
    Ok(found.into_iter().map(suggestion).collect())
}

/// Repairs what the refusal is about, asks again, and goes on from there: breadth first, so that the fewest changes
/// are found first.
fn towards_allow<E>(
    description: &Description,
    question: &Question,
    decision: &Decision,
    ask: &mut impl FnMut(&Question) -> Result<Decision, E>,
) -> Result<Vec<Vec<Change>>, E> {
    let mut found: Vec<Vec<Change>> = Vec::new();
    let mut asked = 0;
    let mut queue = VecDeque::from([(Vec::new(), question.clone(), decision.clone())]);
    while let Some((changes, from, refusal)) = queue.pop_front() {
        for repair in repairs(description, &from, &refusal) {
            if found.len() >= SUGGESTIONS_MAX || asked >= ASKED_MAX {
                return Ok(found);
            }
            let mut next = from.clone();
            repair.iter().for_each(|change| change.apply(&mut next));
            let opens = repair
                .iter()
                .any(|change| opens_conditionally(description, change));
            let all: Vec<Change> = changes.iter().cloned().chain(repair).collect();
            let is_known = |known: &Vec<Change>| known.iter().all(|change| all.contains(change));
            if next == from || found.iter().any(is_known) {
                continue;
            }
            asked += 1;
            let decision = ask(&next)?;
            if is_allowed(&decision) {
                let least = least(question, all, true, ask)?;
                if !found.contains(&least) {
                    found.push(least);
                }
            } else if all.len() < CHANGES_MAX && (opens || decision != refusal) {
                queue.push_back((all, next, decision));
            }
        }
    }
    Ok(found)
}

/// Without the changes that turned out not to be needed.
fn least<E>(
    question: &Question,
    mut changes: Vec<Change>,
    allowed: bool,
    ask: &mut impl FnMut(&Question) -> Result<Decision, E>,
) -> Result<Vec<Change>, E> {
    let mut place = 0;
    while changes.len() > 1 && place < changes.len() {
        let mut fewer = changes.clone();
        fewer.remove(place);
        let mut next = question.clone();
        fewer.iter().for_each(|change| change.apply(&mut next));
        if is_allowed(&ask(&next)?) == allowed {
            changes = fewer;
        } else {
            place += 1;
        }
    }
    Ok(changes)
}

/// Whether a change gives a role that grants something only where its condition is true: the refusal stays the same,
/// and can be repaired.
fn opens_conditionally(description: &Description, change: &Change) -> bool {
    let (Change::Role { role: name } | Change::SignInAs { role: Some(name) }) = change else {
        return matches!(change, Change::SignInAs { .. });
    };
    // Another credential may meet the same refusal for another cause.
    let is_sign_in = matches!(change, Change::SignInAs { .. });
    let mut roles = description.roles.iter();
    is_sign_in || roles.any(|role| role.name == *name && role.when.is_some())
}

/// What might repair a refusal, the best first; each of them is one step, of changes that are of use only together.
fn repairs(
    description: &Description,
    question: &Question,
    decision: &Decision,
) -> Vec<Vec<Change>> {
    let route = decision
        .rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let mut repairs = match &decision.outcome {
        Outcome::Deny(Reason::ConditionNotMet) => {
            let when = route.and_then(|route| route.when.as_deref());
            when.map_or_else(Vec::new, |when| conditions::changes(when, true, question))
        }
        Outcome::Deny(Reason::MissingPermission(name))
            if decision.rule.restriction != Restriction::Scopes =>
        {
            let whens = whens_of_roles(description, question, name);
            whens
                .flat_map(|when| conditions::changes(when, true, question))
                .collect()
        }
        _ => Vec::new(),
    };
    let others = single_repairs(description, question, decision);
    repairs.extend(others.into_iter().map(|change| vec![change]));
    repairs
}

/// The conditions of those of the caller's roles that have a permission.
fn whens_of_roles<'d>(
    description: &'d Description,
    question: &'d Question,
    permission: &'d str,
) -> impl Iterator<Item = &'d str> {
    let has = move |name: &String| {
        let mut roles = description.roles.iter();
        let role = roles.find(|role| role.name == *name)?;
        let has = role.permissions.iter().any(|held| held == permission);
        role.when.as_deref().filter(|_| has)
    };
    question.caller.roles.iter().filter_map(has)
}

fn single_repairs(
    description: &Description,
    question: &Question,
    decision: &Decision,
) -> Vec<Change> {
    let Outcome::Deny(reason) = &decision.outcome else {
        return Vec::new();
    };
    let route = decision
        .rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let requires = route.and_then(|route| route.requires.as_deref());
    let source = route.map_or(&ClusterSource::None, |route| &route.cluster);
    let caller = &question.caller;
    match reason {
        Reason::NotAuthenticated if route.is_none() => {
            other_requests(description, decision, question)
        }
        Reason::NotAuthenticated => sign_in(description, requires),
        Reason::NoRoute if route.is_some() => sign_in(description, requires),
        Reason::NoRoute | Reason::AmbiguousPath => other_requests(description, decision, question),
        Reason::MissingPermission(name) if decision.rule.restriction == Restriction::Scopes => {
            missing_scope(description, name)
        }
        Reason::MissingPermission(name) => missing_permission(description, question, name),
        Reason::ClusterNotAllowed(cluster) => {
            let mut changes = other_cluster(question, cluster);
            changes.extend(named_otherwise(question, source));
            changes
        }
        Reason::ClusterRequired => {
            let mut changes = named_otherwise(question, source);
            changes.extend(unrestricted(description, caller, requires));
            changes
        }
        Reason::ClustersRestricted => unrestricted(description, caller, requires),
        Reason::ReadOnlyKey => vec![Change::Session],
        Reason::AgentOutsideCluster(cluster) => {
            let mut changes = vec![Change::AgentOf {
                cluster: cluster.clone(),
            }];
            changes.extend(named_otherwise(question, source));
            changes
        }
        Reason::OperatorRequired => vec![Change::Operator],
        Reason::SignInRequired if caller.kind == CallerKind::Session => vec![Change::SignInAgain],
        Reason::SignInRequired => vec![Change::Session],
        // What would make it true takes several changes at times. These have no second factor.
        Reason::ConditionNotMet => match caller.kind {
            CallerKind::Agent | CallerKind::Anonymous => sign_in(description, requires),
            CallerKind::Session | CallerKind::ApiKey => Vec::new(),
        },
        // A hand-written policy's own word: its roles are all that is known.
        Reason::Other(_) => match requires {
            Some(name) => missing_permission(description, question, name),
            None => Vec::new(),
        },
    }
}

/// Roles that users may have and that hold a permission, those with the fewest permissions first.
fn roles_with<'d>(description: &'d Description, permission: &str) -> Vec<&'d str> {
    let mut roles: Vec<_> = description
        .roles
        .iter()
        .filter(|role| role.name != AGENT_ROLE)
        .filter(|role| role.permissions.iter().any(|held| held == permission))
        .collect();
    roles.sort_by_key(|role| role.permissions.len());
    let names = roles.into_iter().map(|role| role.name.as_str());
    names.take(ROLES_MAX).collect()
}

fn sign_in(description: &Description, requires: Option<&str>) -> Vec<Change> {
    let Some(permission) = requires else {
        return vec![Change::SignInAs { role: None }];
    };
    let roles = roles_with(description, permission);
    let sign_in = |role: &str| Change::SignInAs {
        role: Some(role.to_owned()),
    };
    match roles.as_slice() {
        [] => vec![Change::SignInAs { role: None }],
        roles => roles.iter().map(|role| sign_in(role)).collect(),
    }
}

fn missing_scope(description: &Description, name: &str) -> Vec<Change> {
    let permission = name.to_owned();
    let info = description
        .permissions
        .iter()
        .find(|info| info.name == name);
    if info.is_some_and(|info| info.scope) {
        vec![Change::Scope { permission }, Change::NoScopes]
    } else {
        vec![Change::NoScopes, Change::Session]
    }
}

fn missing_permission(description: &Description, question: &Question, name: &str) -> Vec<Change> {
    let permission = name.to_owned();
    let info = description
        .permissions
        .iter()
        .find(|info| info.name == name);
    let is_scope = info.is_some_and(|info| info.scope);
    if question.has_authority_of_scopes() {
        return if is_scope {
            vec![Change::Scope { permission }]
        } else {
            sign_in(description, Some(name))
        };
    }
    let roles = roles_with(description, name);
    if question.caller.kind == CallerKind::Agent {
        return sign_in(description, Some(name));
    }
    let is_new = |role: &&str| !question.caller.roles.iter().any(|held| held == role);
    let roles = roles.into_iter().filter(is_new).map(|role| Change::Role {
        role: role.to_owned(),
    });
    roles.chain([Change::Permission { permission }]).collect()
}

fn other_requests(
    description: &Description,
    decision: &Decision,
    question: &Question,
) -> Vec<Change> {
    let near = near::near_misses(description, decision, &question.request);
    let request = |near: NearMiss| {
        let method = match near.method.as_str() {
            "*" => question.request.method.clone(),
            method => method.to_owned(),
        };
        Some(Change::Request {
            method,
            path: near.path?,
        })
    };
    near.into_iter().filter_map(request).collect()
}

/// Puts the cluster on the list that lacks it.
fn other_cluster(question: &Question, cluster: &str) -> Vec<Change> {
    if !is_cluster_id(cluster) {
        return Vec::new();
    }
    let caller = &question.caller;
    let cluster = || cluster.to_owned();
    let mut changes = Vec::new();
    if !caller.clusters.contains(&cluster()) {
        changes.push(Change::Assign { cluster: cluster() });
    }
    if !caller.allowed_clusters.contains(&cluster()) {
        changes.push(Change::AllowCluster { cluster: cluster() });
    }
    let registered = question.registered.as_ref();
    if registered.is_some_and(|registered| !registered.contains(&cluster())) {
        changes.push(Change::Register { cluster: cluster() });
    }
    changes
}

/// Names a cluster that the caller may touch.
fn named_otherwise(question: &Question, source: &ClusterSource) -> Vec<Change> {
    let named = named_cluster(source, &question.request);
    let ids = match question.caller.effective_clusters() {
        Clusters::Only(ids) => ids,
        Clusters::All => question.registered.iter().flatten().cloned().collect(),
    };
    let is_registered = |id: &String| {
        let registered = question.registered.as_ref();
        registered.is_none_or(|registered| registered.contains(id))
    };
    let value = ids
        .into_iter()
        .find(|id| Some(id.as_str()) != named && is_cluster_id(id) && is_registered(id));
    let Some(value) = value else {
        return Vec::new();
    };
    match source {
        ClusterSource::Path(index) => {
            let mut path: Vec<&str> = question.request.path.split('/').collect();
            match path.get_mut(*index as usize + 1) {
                Some(segment) => *segment = &value,
                None => return Vec::new(),
            }
            vec![Change::Request {
                method: question.request.method.clone(),
                path: path.join("/"),
            }]
        }
        ClusterSource::Query(name) => vec![Change::Query {
            name: name.clone(),
            value,
        }],
        ClusterSource::Header(name) => vec![Change::Header {
            name: name.clone(),
            value,
        }],
        _ => Vec::new(),
    }
}

/// Lifts what restricts the caller to clusters. An agent always is restricted: somebody else must ask.
fn unrestricted(description: &Description, caller: &Caller, requires: Option<&str>) -> Vec<Change> {
    if caller.kind == CallerKind::Agent || caller.agent_cluster.is_some() {
        return sign_in(description, requires);
    }
    let mut changes = Vec::new();
    if caller.allowed_clusters.is_restricted() {
        changes.push(Change::AllowAllClusters);
    }
    if caller.clusters.is_restricted() {
        changes.push(Change::AssignAll);
    }
    changes
}

/// Takes away what the answer rests on, one thing at a time.
fn towards_refusal<E>(
    description: &Description,
    question: &Question,
    decision: &Decision,
    ask: &mut impl FnMut(&Question) -> Result<Decision, E>,
) -> Result<Vec<Vec<Change>>, E> {
    let mut found = Vec::new();
    for changes in losses(description, question, decision) {
        if found.len() >= SUGGESTIONS_MAX {
            break;
        }
        let mut next = question.clone();
        changes.iter().for_each(|change| change.apply(&mut next));
        if next != *question && !is_allowed(&ask(&next)?) {
            let least = least(question, changes, false, ask)?;
            if !found.contains(&least) {
                found.push(least);
            }
        }
    }
    Ok(found)
}

/// The conditions that are true where a question is allowed: the role's that granted it, and the route's.
fn deciding<'d>(
    description: &'d Description,
    question: &'d Question,
    decision: &Decision,
) -> Vec<&'d str> {
    let index = decision.rule.route.map(|index| index as usize);
    let Some(route) = index.and_then(|index| description.routes.get(index)) else {
        return Vec::new();
    };
    let requires = route.requires.as_deref();
    let of_roles = requires.map(|name| whens_of_roles(description, question, name));
    let of_roles = of_roles.into_iter().flatten();
    of_roles.chain(route.when.as_deref()).collect()
}

fn losses(description: &Description, question: &Question, decision: &Decision) -> Vec<Vec<Change>> {
    let caller = &question.caller;
    let route = decision
        .rule
        .route
        .and_then(|index| description.routes.get(index as usize));
    let mut losses = Vec::new();
    if let Some(name) = route.and_then(|route| route.requires.as_deref()) {
        losses.push(scopes_with(caller, name));
        if !question.has_authority_of_scopes() && caller.kind != CallerKind::Agent {
            losses.push(held_with(description, caller, name));
        }
    }
    for when in deciding(description, question, decision) {
        losses.extend(conditions::changes(when, false, question));
    }
    let named = route
        .and_then(|route| named_cluster(&route.cluster, &question.request))
        .map(str::to_owned);
    if caller.kind != CallerKind::Agent {
        let cluster = named.clone();
        losses.push(vec![Change::WithoutCluster { cluster }]);
    }
    if let (Some(cluster), Some(_)) = (named, &question.registered) {
        losses.push(vec![Change::Unregister { cluster }]);
    }
    if caller.auth_time.is_some() {
        losses.push(vec![Change::SignInLapsed]);
    }
    if caller.operator {
        losses.push(vec![Change::NotOperator]);
    }
    losses.push(vec![Change::Anonymous]);
    losses.retain(|changes| !changes.is_empty());
    losses
}

/// Every scope that stands for a permission.
fn scopes_with(caller: &Caller, permission: &str) -> Vec<Change> {
    let scopes: BTreeSet<&String> = caller.scopes.iter().flatten().collect();
    let scopes = scopes
        .into_iter()
        .filter(|scope| stands_for(scope, permission));
    let without = scopes.map(|scope| Change::WithoutScope {
        permission: scope.clone(),
    });
    without.collect()
}

/// Every role that has a permission, and everything of the caller's own that stands for it.
fn held_with(description: &Description, caller: &Caller, permission: &str) -> Vec<Change> {
    let has = |name: &String| {
        let role = description.roles.iter().find(|role| role.name == *name);
        role.is_some_and(|role| role.permissions.iter().any(|held| held == permission))
    };
    let roles: BTreeSet<&String> = caller.roles.iter().filter(|name| has(name)).collect();
    let own: BTreeSet<&String> = caller
        .permissions
        .iter()
        .filter(|pattern| stands_for(pattern, permission))
        .collect();
    let roles = roles
        .into_iter()
        .map(|role| Change::WithoutRole { role: role.clone() });
    let own = own.into_iter().map(|held| Change::WithoutPermission {
        permission: held.clone(),
    });
    roles.chain(own).collect()
}
