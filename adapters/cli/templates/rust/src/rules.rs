//! The decision. The same caller and request must always give the same answer.

use crate::bindings::exports::scopegate::policy::rules::{
    Caller, CallerKind, Clusters, Decision, Field, Grant, Outcome, Reason, Request, Restriction,
    Rule,
};
use crate::routes::{self, Found};
use crate::tables::{Cluster, KEYS_READ_ONLY, ROLES, ROUTES, Route};

/// How old a sign-in may be where a route asks for a fresh one; clocks may differ by a minute.
const SIGN_IN_SECS_MAX: i64 = 15 * 60;
const CLOCKS_DIFFER_SECS: i64 = 60;
/// The gate's own management API. No route of the product is there, and none leads there.
const MANAGEMENT: &str = "/-/api";

pub fn decide(caller: &Caller, request: &Request) -> Decision {
    let answer = Answer::default();
    // Strangers do not learn which routes there are.
    let unknown = if caller.kind == CallerKind::Anonymous {
        Reason::NotAuthenticated
    } else {
        Reason::NoRoute
    };
    let index = match routes::find(&request.method, &request.path) {
        Found::Route(index) => index,
        Found::Ambiguous => return answer.deny(Reason::AmbiguousPath),
        Found::Nothing => return answer.deny(unknown),
    };
    let route = &ROUTES[index];
    if is_management(&request.path) && !is_management(route.pattern) {
        return answer.deny(unknown);
    }
    let answer = Answer { route: Some(index), ..answer };
    match permitted(route, caller, request) {
        Ok(grant) => clusters(Answer { grant, ..answer }, route, caller, request),
        Err((reason, restriction)) => Answer { restriction, ..answer }.deny(reason),
    }
}

/// What holds the route's permission; or why the caller does not get that far.
fn permitted(
    route: &Route,
    caller: &Caller,
    request: &Request,
) -> Result<Grant, (Reason, Restriction)> {
    let refused = |reason| Err((reason, Restriction::None));
    if route.public {
        return Ok(Grant::Public);
    }
    if caller.kind == CallerKind::Anonymous {
        return refused(Reason::NotAuthenticated);
    }
    let is_management = is_management(route.pattern);
    let is_agent = caller.kind == CallerKind::Agent || caller.agent_cluster.is_some();
    if is_management && is_agent {
        return refused(Reason::NoRoute);
    }
    if route.operator && !caller.operator {
        return refused(Reason::OperatorRequired);
    }
    let is_write = request.method != "GET";
    if KEYS_READ_ONLY && !is_management && caller.kind == CallerKind::ApiKey && is_write {
        return Err((Reason::ReadOnlyKey, Restriction::ReadOnly));
    }
    let mut grant = Grant::None;
    if let Some(permission) = route.requires {
        let missing = || Reason::MissingPermission(permission.to_owned());
        grant = grant_of(caller, permission).ok_or((missing(), Restriction::None))?;
        let scopes = caller.scopes.as_ref();
        if scopes.is_some_and(|scopes| !scopes.iter().any(|scope| scope == permission)) {
            return Err((missing(), Restriction::Scopes));
        }
    }
    if route.sign_in && !has_signed_in(caller, request.now) {
        return refused(Reason::SignInRequired);
    }
    Ok(grant)
}

fn grant_of(caller: &Caller, permission: &str) -> Option<Grant> {
    let role = caller.roles.iter().find_map(|name| {
        ROLES
            .iter()
            .position(|role| role.name == name && role.permissions.contains(&permission))
    });
    match role {
        Some(index) => Some(Grant::Role(index as u32)),
        None => caller
            .permissions
            .iter()
            .any(|pattern| covers(pattern, permission))
            .then_some(Grant::Permission),
    }
}

/// `*`, `clusters:*`, `*:read` or the permission itself.
fn covers(pattern: &str, permission: &str) -> bool {
    let (Some((resource, action)), Some((of, what))) =
        (pattern.split_once(':'), permission.split_once(':'))
    else {
        return pattern == "*";
    };
    (resource == "*" || resource == of) && (action == "*" || action == what)
}

fn has_signed_in(caller: &Caller, now: i64) -> bool {
    let age = caller.auth_time.map(|auth_time| now.saturating_sub(auth_time));
    caller.kind == CallerKind::Session
        && age.is_some_and(|age| (-CLOCKS_DIFFER_SECS..=SIGN_IN_SECS_MAX).contains(&age))
}

/// Whether the caller may do this to the clusters that the route touches, and which of them they see.
fn clusters(answer: Answer, route: &Route, caller: &Caller, request: &Request) -> Decision {
    let narrowest = narrowest(caller);
    let everything = || Answer { restriction: narrowest, ..answer }.allow(visible(caller));
    let named = match route.cluster {
        _ if route.public => return everything(),
        Cluster::None | Cluster::Upstream | Cluster::Lists { .. } => return everything(),
        Cluster::Spans if narrowest == Restriction::None => return everything(),
        Cluster::Spans => {
            let answer = Answer { restriction: narrowest, ..answer };
            return answer.deny(Reason::ClustersRestricted);
        }
        Cluster::Path(segment) => request.path.split('/').nth(segment as usize + 1),
        Cluster::Query(name) => value(&request.query, name),
        Cluster::Header(name) => value(&request.headers, name),
    };
    match (named, &caller.agent_cluster) {
        (Some(cluster), _) => one(answer, cluster, caller),
        // An agent's own cluster is implied.
        (None, Some(own)) => one(answer, own, caller),
        (None, None) if narrowest == Restriction::None => everything(),
        (None, None) => Answer { restriction: narrowest, ..answer }.deny(Reason::ClusterRequired),
    }
}

fn one(answer: Answer, cluster: &str, caller: &Caller) -> Decision {
    let refuse = |restriction, reason: fn(String) -> Reason| {
        Answer { restriction, ..answer }.deny(reason(cluster.to_owned()))
    };
    if caller.agent_cluster.as_deref().is_some_and(|own| own != cluster) {
        return refuse(Restriction::AgentCluster, Reason::AgentOutsideCluster);
    }
    if !contains(&caller.clusters, cluster) {
        return refuse(Restriction::AuthorityClusters, Reason::ClusterNotAllowed);
    }
    if !contains(&caller.allowed_clusters, cluster) {
        return refuse(Restriction::KeyClusters, Reason::ClusterNotAllowed);
    }
    answer.allow(Clusters::Only(vec![cluster.to_owned()]))
}

/// The caller's clusters, the credential's, and an agent's own: what is in all of them.
fn visible(caller: &Caller) -> Clusters {
    if caller.kind == CallerKind::Anonymous {
        return Clusters::Only(Vec::new());
    }
    let both = match (&caller.clusters, &caller.allowed_clusters) {
        (Clusters::All, other) | (other, Clusters::All) => other.clone(),
        (Clusters::Only(ids), other) => {
            Clusters::Only(ids.iter().filter(|id| contains(other, id)).cloned().collect())
        }
    };
    match &caller.agent_cluster {
        Some(own) if contains(&both, own) => Clusters::Only(vec![own.clone()]),
        Some(_) => Clusters::Only(Vec::new()),
        None => both,
    }
}

fn contains(clusters: &Clusters, cluster: &str) -> bool {
    match clusters {
        Clusters::All => true,
        Clusters::Only(ids) => ids.iter().any(|id| id == cluster),
    }
}

fn narrowest(caller: &Caller) -> Restriction {
    if caller.agent_cluster.is_some() {
        Restriction::AgentCluster
    } else if matches!(caller.allowed_clusters, Clusters::Only(_)) {
        Restriction::KeyClusters
    } else if matches!(caller.clusters, Clusters::Only(_)) {
        Restriction::AuthorityClusters
    } else {
        Restriction::None
    }
}

/// The gate passes a parameter or header on only where it stands once.
fn value<'f>(fields: &'f [Field], name: &str) -> Option<&'f str> {
    let field = fields.iter().find(|field| field.name == name);
    field.map(|field| field.value.as_str())
}

fn is_management(path: &str) -> bool {
    let rest = path.strip_prefix(MANAGEMENT);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The rule that decides, so far.
#[derive(Clone, Copy)]
struct Answer {
    route: Option<usize>,
    grant: Grant,
    restriction: Restriction,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            route: None,
            grant: Grant::None,
            restriction: Restriction::None,
        }
    }
}

impl Answer {
    fn allow(self, clusters: Clusters) -> Decision {
        self.with(Outcome::Allow(clusters))
    }

    fn deny(self, reason: Reason) -> Decision {
        self.with(Outcome::Deny(reason))
    }

    fn with(self, outcome: Outcome) -> Decision {
        Decision {
            outcome,
            rule: Rule {
                route: self.route.map(|index| index as u32),
                grant: self.grant,
                restriction: self.restriction,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(kind: CallerKind) -> Caller {
        Caller {
            kind,
            subject: "somebody".to_owned(),
            organization: "acme".to_owned(),
            roles: Vec::new(),
            permissions: vec!["*".to_owned()],
            scopes: None,
            clusters: Clusters::All,
            allowed_clusters: Clusters::All,
            agent_cluster: None,
            operator: false,
            mfa: false,
            auth_time: None,
        }
    }

    fn request(method: &str, path: &str) -> Request {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: Vec::new(),
            now: 1_800_000_000,
        }
    }

    fn reason(caller: &Caller, method: &str, path: &str) -> Option<Reason> {
        match decide(caller, &request(method, path)).outcome {
            Outcome::Allow(_) => None,
            Outcome::Deny(reason) => Some(reason),
        }
    }

    #[test]
    fn what_no_route_matches_is_refused() {
        let key = caller(CallerKind::ApiKey);
        assert!(matches!(reason(&key, "GET", "/nowhere"), Some(Reason::NoRoute)));
        let stranger = caller(CallerKind::Anonymous);
        let refused = reason(&stranger, "GET", "/nowhere");
        assert!(matches!(refused, Some(Reason::NotAuthenticated)));
    }

    #[test]
    fn permissions_are_needed_and_scopes_narrow() {
        let mut session = caller(CallerKind::Session);
        for route in ROUTES.iter().filter(|route| !is_management(route.pattern)) {
            let Some(permission) = route.requires else { continue };
            let path = route.pattern.replace("/**", "").replace(['{', '}'], "_");
            session.scopes = None;
            assert!(reason(&session, route.method, &path).is_none(), "{}", route.pattern);
            session.scopes = Some(Vec::new());
            match reason(&session, route.method, &path) {
                Some(Reason::MissingPermission(missing)) => assert_eq!(missing, permission),
                other => panic!("{} {path}: {other:?}", route.method),
            }
        }
    }

    #[test]
    fn patterns_cover_permissions() {
        assert!(covers("*", "clusters:read") && covers("*:read", "clusters:read"));
        assert!(covers("clusters:*", "clusters:read") && covers("clusters:read", "clusters:read"));
        assert!(!covers("clusters:write", "clusters:read") && !covers("nodes:*", "clusters:read"));
    }
}
