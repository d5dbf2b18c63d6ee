//! The worlds of `wit/` on the host's side: bindings, and the way between their types and the policy's.

use scopegate_policy::{
    Caller, CallerKind, ClusterSource, Clusters, Decision, Description, Grant, ListShape, Outcome,
    PermissionInfo, Reason, Restriction, RoleInfo, RouteInfo, Rule, packed::RequestRef,
};
use smallvec::SmallVec;

use self::bindings::exports::scopegate::policy::rules as wit;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "policy",
        // Questions lend their strings: a call copies nothing on the host's side.
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

/// The exported interfaces and their functions.
pub(super) const RULES: &str = "scopegate:policy/rules@1.0.0";
pub(super) const DESCRIBE: &str = "describe";
pub(super) const DECIDE: &str = "decide";
pub(super) const PACKED: &str = "scopegate:policy/packed@1.0.0";
pub(super) const CONFIGURE: &str = "configure";
pub(super) const DECIDE_PACKED: &str = "decide-packed";

/// The functions as the component model types them.
pub(super) type DecideParams<'a> = (wit::Caller<'a>, wit::Request<'a>);
pub(super) type DecideResults = (wit::Decision,);
pub(super) type DescribeResults = (wit::Description,);
pub(super) type ConfigureParams<'a> = (&'a [u8],);
pub(super) type ConfigureResults = (Result<(), String>,);
pub(super) type PackedParams<'a> = (&'a [u8],);
pub(super) type PackedResults = (u64,);

/// Lends a caller and a request to `call`, in the types of the world.
pub(super) fn lend<T>(
    caller: &Caller,
    request: &RequestRef<'_>,
    call: impl FnOnce(DecideParams<'_>) -> T,
) -> T {
    let roles = strings(&caller.roles);
    let permissions = strings(&caller.permissions);
    let scopes = caller.scopes.as_deref().map(strings);
    let authority = ids(&caller.clusters);
    let allowed = ids(&caller.allowed_clusters);
    let query = fields(request.query);
    let headers = fields(request.headers);
    call((
        wit::Caller {
            kind: match caller.kind {
                CallerKind::Anonymous => wit::CallerKind::Anonymous,
                CallerKind::Session => wit::CallerKind::Session,
                CallerKind::ApiKey => wit::CallerKind::ApiKey,
                CallerKind::Agent => wit::CallerKind::Agent,
            },
            subject: &caller.subject,
            organization: &caller.organization,
            roles: &roles,
            permissions: &permissions,
            scopes: scopes.as_deref(),
            clusters: clusters(&caller.clusters, &authority),
            allowed_clusters: clusters(&caller.allowed_clusters, &allowed),
            agent_cluster: caller.agent_cluster.as_deref(),
            operator: caller.operator,
            mfa: caller.mfa,
            auth_time: caller.auth_time,
        },
        wit::Request {
            method: request.method,
            path: request.path,
            query: &query,
            headers: &headers,
            now: request.now,
        },
    ))
}

fn strings(strings: &[String]) -> SmallVec<[&str; 8]> {
    strings.iter().map(String::as_str).collect()
}

fn ids(clusters: &Clusters) -> SmallVec<[&str; 8]> {
    match clusters {
        Clusters::All => SmallVec::new(),
        Clusters::Only(ids) => strings(ids),
    }
}

fn clusters<'a>(clusters: &Clusters, ids: &'a [&'a str]) -> wit::ClustersParam<'a> {
    match clusters {
        Clusters::All => wit::ClustersParam::All,
        Clusters::Only(_) => wit::ClustersParam::Only(ids),
    }
}

fn fields(fields: &[(String, String)]) -> SmallVec<[wit::Field<'_>; 4]> {
    fields
        .iter()
        .map(|(name, value)| wit::Field { name, value })
        .collect()
}

/// A decision as the policy crate knows decisions.
pub(super) fn decision(decision: wit::Decision) -> Decision {
    let wit::Rule {
        route,
        grant,
        restriction,
    } = decision.rule;
    Decision {
        outcome: match decision.outcome {
            wit::Outcome::Allow(wit::ClustersResult::All) => Outcome::Allow(Clusters::All),
            wit::Outcome::Allow(wit::ClustersResult::Only(ids)) => {
                Outcome::Allow(Clusters::only(ids))
            }
            wit::Outcome::Deny(why) => Outcome::Deny(reason(why)),
        },
        rule: Rule {
            route,
            grant: match grant {
                wit::Grant::None => Grant::None,
                wit::Grant::Role(index) => Grant::Role(index),
                wit::Grant::Permission => Grant::Permission,
                wit::Grant::Public => Grant::Public,
            },
            restriction: match restriction {
                wit::Restriction::None => Restriction::None,
                wit::Restriction::Scopes => Restriction::Scopes,
                wit::Restriction::AuthorityClusters => Restriction::AuthorityClusters,
                wit::Restriction::KeyClusters => Restriction::KeyClusters,
                wit::Restriction::AgentCluster => Restriction::AgentCluster,
                wit::Restriction::ReadOnly => Restriction::ReadOnly,
            },
        },
    }
}

fn reason(reason: wit::Reason) -> Reason {
    match reason {
        wit::Reason::NotAuthenticated => Reason::NotAuthenticated,
        wit::Reason::NoRoute => Reason::NoRoute,
        wit::Reason::AmbiguousPath => Reason::AmbiguousPath,
        wit::Reason::MissingPermission(name) => Reason::MissingPermission(name),
        wit::Reason::ClusterNotAllowed(id) => Reason::ClusterNotAllowed(id),
        wit::Reason::ClusterRequired => Reason::ClusterRequired,
        wit::Reason::ClustersRestricted => Reason::ClustersRestricted,
        wit::Reason::ReadOnlyKey => Reason::ReadOnlyKey,
        wit::Reason::AgentOutsideCluster(id) => Reason::AgentOutsideCluster(id),
        wit::Reason::OperatorRequired => Reason::OperatorRequired,
        wit::Reason::SignInRequired => Reason::SignInRequired,
        wit::Reason::Other(word) => Reason::Other(word),
    }
}

/// A description as the policy crate knows descriptions.
pub(super) fn description(description: wit::Description) -> Description {
    Description {
        name: description.name,
        version: description.version,
        permissions: description
            .permissions
            .into_iter()
            .map(|permission| PermissionInfo {
                name: permission.name,
                category: permission.category,
                unlocks: permission.unlocks,
                scope: permission.scope,
            })
            .collect(),
        roles: description
            .roles
            .into_iter()
            .map(|role| RoleInfo {
                name: role.name,
                permissions: role.permissions,
            })
            .collect(),
        routes: description.routes.into_iter().map(route).collect(),
    }
}

fn route(route: wit::RouteInfo) -> RouteInfo {
    RouteInfo {
        method: route.method,
        pattern: route.pattern,
        public: route.public,
        requires: route.requires,
        cluster: match route.cluster {
            wit::ClusterSource::Spans => ClusterSource::Spans,
            wit::ClusterSource::Path(index) => ClusterSource::Path(index),
            wit::ClusterSource::Query(name) => ClusterSource::Query(name),
            wit::ClusterSource::Header(name) => ClusterSource::Header(name),
            wit::ClusterSource::None => ClusterSource::None,
            wit::ClusterSource::Upstream => ClusterSource::Upstream,
            wit::ClusterSource::Lists(shape) => ClusterSource::Lists(ListShape {
                items: shape.items,
                cluster: shape.cluster,
                keep: shape.keep,
            }),
        },
    }
}
