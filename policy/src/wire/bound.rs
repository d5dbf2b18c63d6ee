//! What an answer can mean, whatever the policy says: first whether it makes sense at all, then the most that it may
//! open. A wrong or hostile policy can refuse too much; it cannot show a caller more than is theirs.

use std::collections::BTreeSet;

use crate::{
    Caller, CallerKind, ClusterSource, Clusters, Decision, Description, Grant, Outcome, Reason,
    RouteInfo, Rule, Vocabulary, is_management_path, packed::RequestRef, routing::pattern,
};

/// What concerns every organization: all of them, and the policies that decide for all.
const OPERATORS_PATHS: [&str; 2] = ["/-/api/organizations", "/-/api/policies"];
/// Bytes of a hand-written policy's own reason.
const WORD_BYTES_MAX: usize = 64;

/// Whether an answer makes sense: its indexes exist, its route is one of the request, its words are fit for headers
/// and logs.
///
/// # Errors
/// What makes no sense.
pub fn check_sense(
    decision: &Decision,
    description: &Description,
    vocabulary: &Vocabulary,
    caller: &Caller,
    request: &RequestRef<'_>,
) -> Result<(), String> {
    let route = route_of(&decision.rule, description)?;
    if let Grant::Role(index) = decision.rule.grant
        && description.roles.get(index as usize).is_none()
    {
        return Err(format!("its answer names role {index}, which is not there"));
    }
    if let Some(route) = route
        && !is_route_of(route, request)
    {
        return Err(format!(
            "its answer names the route `{} {}`, which is not the request's",
            route.method, route.pattern
        ));
    }
    let reason = match &decision.outcome {
        Outcome::Allow(_) if route.is_none() => return Err("it allows without a route".to_owned()),
        Outcome::Allow(_) => return Ok(()),
        Outcome::Deny(reason) => reason,
    };
    match reason {
        // The name goes into a header.
        Reason::MissingPermission(name) if !vocabulary.knows_permission(name) => {
            Err("it misses a permission that is not in its catalogue".to_owned())
        }
        Reason::ClusterNotAllowed(id) | Reason::AgentOutsideCluster(id) => {
            let named = route.and_then(|route| named_cluster(route, caller, request));
            if named == Some(id.as_str()) {
                Ok(())
            } else {
                Err("it refuses a cluster that the request does not name".to_owned())
            }
        }
        Reason::Other(word) if !is_word(word) => Err("its reason is not a word".to_owned()),
        _ => Ok(()),
    }
}

/// The decision with no more in it than this caller may have: a policy's allow is held against the route's own
/// description, the caller's clusters and those that are registered. A refusal stays as it is.
///
/// # Errors
/// What makes no sense about an allow.
pub fn bound(
    decision: Decision,
    description: &Description,
    caller: &Caller,
    request: &RequestRef<'_>,
    registered: &BTreeSet<String>,
) -> Result<Decision, String> {
    let is_anonymous = caller.kind == CallerKind::Anonymous;
    let visible = match decision.outcome {
        Outcome::Allow(visible) => visible,
        Outcome::Deny(Reason::NotAuthenticated) if !is_anonymous => {
            return Err("it takes an authenticated caller for nobody".to_owned());
        }
        Outcome::Deny(_) => return Ok(decision),
    };
    let rule = decision.rule;
    let Some(route) = route_of(&rule, description)? else {
        return Err("it allows without a route".to_owned());
    };
    if let Some(reason) = refused_management(route, caller, request) {
        let outcome = Outcome::Deny(reason);
        return Ok(Decision { outcome, rule });
    }
    if !route.public && (is_anonymous || rule.grant == Grant::Public) {
        return Err(format!(
            "it opens `{} {}`, which is not public",
            route.method, route.pattern
        ));
    }
    let may_touch = |cluster: &str| registered.contains(cluster) && caller.may_touch(cluster);
    let outcome = match named_cluster(route, caller, request) {
        _ if is_anonymous => Outcome::Allow(Clusters::Only(Vec::new())),
        _ if route.public => Outcome::Allow(within(visible, caller, may_touch)),
        // A cluster that does not exist is refused in the words for one that is forbidden.
        Some(cluster) if !may_touch(cluster) => {
            Outcome::Deny(Reason::ClusterNotAllowed(cluster.to_owned()))
        }
        Some(cluster) => Outcome::Allow(one_of(visible, cluster)),
        None => match route.cluster {
            ClusterSource::Spans if caller.is_restricted() => {
                Outcome::Deny(Reason::ClustersRestricted)
            }
            ClusterSource::Path(_) | ClusterSource::Query(_) | ClusterSource::Header(_)
                if caller.is_restricted() =>
            {
                Outcome::Deny(Reason::ClusterRequired)
            }
            _ => Outcome::Allow(within(visible, caller, may_touch)),
        },
    };
    Ok(Decision { outcome, rule })
}

/// Why nothing may open the gate's own management API here, whatever a policy says: it is for callers with a name who
/// are no agents, no catch-all leads there, and what concerns every organization is for operators.
fn refused_management(
    route: &RouteInfo,
    caller: &Caller,
    request: &RequestRef<'_>,
) -> Option<Reason> {
    if !is_management_path(request.path) {
        return None;
    }
    let is_agent = caller.kind == CallerKind::Agent || caller.agent_cluster.is_some();
    let is_of_all = OPERATORS_PATHS.iter().any(|path| {
        let rest = request.path.strip_prefix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    if caller.kind == CallerKind::Anonymous {
        Some(Reason::NotAuthenticated)
    } else if is_agent || !route.is_management() {
        Some(Reason::NoRoute)
    } else if is_of_all && !caller.operator {
        Some(Reason::OperatorRequired)
    } else {
        None
    }
}

/// Of the visible clusters those that the caller may touch. All of all stays all: it means the registered ones.
fn within(visible: Clusters, caller: &Caller, may_touch: impl Fn(&str) -> bool) -> Clusters {
    let visible = match visible {
        Clusters::All if !caller.is_restricted() => return Clusters::All,
        Clusters::All => caller.effective_clusters(),
        only @ Clusters::Only(_) => only,
    };
    match visible {
        Clusters::All => Clusters::All,
        Clusters::Only(mut ids) => {
            ids.retain(|id| may_touch(id));
            Clusters::Only(ids)
        }
    }
}

/// This cluster, if it is among the visible ones.
fn one_of(visible: Clusters, cluster: &str) -> Clusters {
    match visible {
        Clusters::All => Clusters::Only(vec![cluster.to_owned()]),
        Clusters::Only(mut ids) => {
            ids.retain(|id| id == cluster);
            Clusters::Only(ids)
        }
    }
}

fn route_of<'d>(
    rule: &Rule,
    description: &'d Description,
) -> Result<Option<&'d RouteInfo>, String> {
    let Some(index) = rule.route else {
        return Ok(None);
    };
    match description.routes.get(index as usize) {
        Some(route) => Ok(Some(route)),
        None => Err(format!(
            "its answer names route {index}, which is not there"
        )),
    }
}

/// The cluster that the request names, or the agent's own where it names none.
fn named_cluster<'r>(
    route: &RouteInfo,
    caller: &'r Caller,
    request: &RequestRef<'r>,
) -> Option<&'r str> {
    let named = route.cluster_named_by(request.path, request.query, request.headers);
    match route.cluster {
        ClusterSource::Query(_) | ClusterSource::Header(_) => {
            named.or(caller.agent_cluster.as_deref())
        }
        _ => named,
    }
}

/// Whether a route's method and pattern match the request.
fn is_route_of(route: &RouteInfo, request: &RequestRef<'_>) -> bool {
    let Some(method) = pattern::Method::of_route(&route.method) else {
        return false;
    };
    if method != pattern::Method::Any && method != pattern::Method::of_request(request.method) {
        return false;
    }
    let path = request.path.strip_suffix('/').unwrap_or(request.path);
    let mut segments = path.split('/').skip(1);
    // Descriptions were checked when the policy was loaded: only whole segments are parameters or a tail.
    for expected in route
        .pattern
        .split('/')
        .skip(1)
        .filter(|expected| !expected.is_empty())
    {
        if expected == "**" {
            return true;
        }
        match segments.next() {
            Some(segment) if expected.starts_with('{') || expected == segment => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

fn is_word(word: &str) -> bool {
    (1..=WORD_BYTES_MAX).contains(&word.len())
        && word
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

#[cfg(test)]
mod tests;
